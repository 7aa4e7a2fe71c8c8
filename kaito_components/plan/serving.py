"""How a tuning Workspace serves what it tuned: base model and adapter behind its own Service. Called by plan.deciding.

While the Job runs, the GPU is the Job's; the server is made with no pod, and the Job's last step gives it one.
"""

from dataclasses import replace

from kaito_components import names
from kaito_components.errors import Finding
from kaito_components.plan.fit import fit
from kaito_components.plan.runtime import choose_dtype, choose_image, served_name, transformers_command
from kaito_components.plan.types import Hardware, Plan
from kaito_components.presets import Preset
from kaito_components.spec.model import Adapter, DataSource, Inference, Workspace

RESULT_FOLDER = "adapter"  # of the tuning image's output folder


def serving_of(decided: Plan, hardware: Hardware, registry: str | None) -> Plan | None:
    """The plan of the server; a finding is an error where there is room to tune the model, and none to serve it."""
    preset = decided.preset
    if not decided.spec.tuning or preset is None or not names.serves(decided.spec.annotations):
        return None
    if preset.tuning is None or any(found.severity == "error" for found in decided.findings):
        return None
    tuned = _tuned_name(decided.spec, preset)
    spec = _as_inference(decided.spec, tuned)
    dtype = choose_dtype(spec, preset, hardware)
    fitted = fit(spec, preset, decided.vm, hardware, "transformers", dtype, None)
    command = [*transformers_command(spec, preset, decided.weights, dtype), "--default-model", tuned]
    return replace(
        decided,
        spec=spec,
        dtype=dtype,
        image=choose_image(spec, "transformers", hardware, registry),
        command=tuple(command),
        memory=fitted.memory,
        room=fitted.room,
        max_model_len=fitted.max_model_len,
        config_map=None,
        findings=fitted.findings,
    )


def without_room(decided: Plan, serving: Plan) -> list[Finding]:
    """Why what is tuned cannot be served on the same nodes; empty where it can."""
    text = "nothing serves the adapter here; serve it from a Workspace of its own, on a larger VM size"
    return [
        decided.spec.finding("warning", "tuned-not-served", "tuning", f"{found.message}; {text}")
        for found in serving.findings
        if found.severity == "error"
    ]


def handing_over(serving: Plan) -> tuple[str, str]:
    """The option that tells the Job which Deployment to give a pod."""
    return "--then-serve", f"{serving.namespace}/{serving.name}"


def model_name(plan: Plan) -> str | None:
    """The `model` that clients send to a Workspace: what it tuned, or the preset's."""
    if plan.preset is None:
        return None
    return _tuned_name(plan.spec, plan.preset) if plan.serving else served_name(plan.spec, plan.preset)


def _tuned_name(spec: Workspace, preset: Preset) -> str:
    """The Workspace's; the base model is served too, under its own."""
    return spec.name if spec.name != served_name(spec, preset) else f"{spec.name}-tuned"


def _as_inference(spec: Workspace, name: str) -> Workspace:
    """The same Workspace as one that serves the adapter which it tunes."""
    assert spec.tuning
    out = spec.tuning.output
    pull = (out.image_push_secret,) if out.image_push_secret else ()
    if out.image:
        adapter = Adapter(DataSource(name, image=out.image, image_pull_secrets=pull))
    else:
        adapter = Adapter(DataSource(name, volume_source=out.volume_source), folder=RESULT_FOLDER)
    return replace(spec, tuning=None, inference=Inference(spec.tuning.preset, adapters=(adapter,)), findings=())
