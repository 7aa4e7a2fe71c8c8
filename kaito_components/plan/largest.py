"""The largest preset that one node of a size holds. Called by the `plan` command."""

from functools import cache

from kaito_components.plan.room import free_bytes, kept_by_system
from kaito_components.plan.tuning import default_training
from kaito_components.plan.types import Plan, Runtime
from kaito_components.presets import Preset, load_preset, presets_by_weight, tunable_presets
from kaito_components.sizing import estimator
from kaito_components.sizing import tuning as tuning_memory
from kaito_components.skus import VmSize

Method = str | None  # of tuning; None: inference


def largest_model(plan: Plan) -> Preset | None:
    """For the size, runtime and task of this plan; None: no preset fits, or the size is not known."""
    if plan.vm is None or plan.preset is None:
        return None
    return _largest(plan.vm, plan.runtime, plan.dtype, plan.spec.tuning.method if plan.spec.tuning else None)


@cache
def _largest(vm: VmSize, runtime: Runtime, dtype: str, method: Method) -> Preset | None:
    """Heaviest first; what cannot be it is not even read."""
    memory = vm.gpus * vm.gpu_memory_bytes or vm.memory_bytes
    tunable = set(tunable_presets())
    names = [name for weight, name in presets_by_weight() if (name in tunable if method else weight <= memory)]
    return next((one for name in names if _fits(one := load_preset(name), vm, runtime, dtype, method)), None)


def _fits(preset: Preset, vm: VmSize, runtime: Runtime, dtype: str, method: Method) -> bool:
    if method:
        training = default_training(preset, method, dtype)
        return free_bytes(vm, (*tuning_memory.terms(preset, training), kept_by_system(vm))) >= 0
    if runtime not in preset.runtimes:
        return False
    if preset.deep_gemm and (vm.compute_capability or 0) < estimator.DEEP_GEMM_MIN_CAPABILITY:
        return False
    if runtime == "vllm":
        tokens = estimator.DEFAULT_CONTEXT_TOKENS
        return estimator.vllm_nodes(preset.weights_bytes, preset.kv_bytes_per_token, vm, tokens) == 1
    return estimator.fits_node(estimator.unpacked_bytes(preset, dtype), vm)
