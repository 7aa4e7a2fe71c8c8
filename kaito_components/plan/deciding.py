"""A Workspace, its preset and its VM size -> `Plan`: each decision once, in the order in which they follow."""

from collections.abc import Iterable
from dataclasses import replace

from kaito_components import names
from kaito_components.errors import KaitoError
from kaito_components.plan.cost import about_cost, cost_of
from kaito_components.plan.deadlines import deadline_seconds, loading_seconds
from kaito_components.plan.findings import by_weight, findings_of
from kaito_components.plan.fit import fit
from kaito_components.plan.image_findings import findings_of_images
from kaito_components.plan.looking_up import look_up
from kaito_components.plan.model_findings import findings_of_model
from kaito_components.plan.nodes import disk_bytes, hardware_of, node_selector, pool_of
from kaito_components.plan.runtime import (
    choose_dtype,
    choose_image,
    choose_runtime,
    choose_weights,
    transformers_command,
    tuning_command,
    vllm_command,
)
from kaito_components.plan.serving import handing_over, serving_of, without_room
from kaito_components.plan.types import (
    NodeOptions,
    Plan,
    PlannedObject,
    Runtime,
    WaitOptions,
    Weights,
)
from kaito_components.presets import Preset
from kaito_components.prices import UnitPrice, region_name
from kaito_components.sizing.estimator import Parallelism
from kaito_components.skus import VmSize
from kaito_components.spec.model import Bundle, Workspace


def plan(
    spec: Workspace,
    *,
    bundle: Bundle | None = None,
    nodes: NodeOptions | None = None,
    wait: WaitOptions | None = None,
    image_registry: str | None = None,
    region: str | None = None,
    price: UnitPrice | None = None,
    model: Preset | KaitoError | None = None,
) -> Plan:
    """Decides everything that follows from a Workspace.

    Args:
        spec: the Workspace.
        bundle: what stands beside it in its files; its ConfigMaps are looked into.
        nodes: how nodes are had; AKS pools by default.
        wait: what `pulumi up` waits for; by default inference until ready, tuning until started.
        image_registry: where our serving and tuning images are, for example `myregistry.azurecr.io/kaito`.
        region: the Azure region of the nodes; with it the embedded table may know what they cost.
        price: of one node there, where it was asked for; it goes before the embedded table.
        model: what was found about the model that the Workspace names, or why nothing was; by default the shipped
            preset of that name.

    Returns:
        The plan. Its findings may hold errors: then nothing may be made from it.

    Raises:
        InvalidWorkspace: preset or VM size are unknown, so that there is nothing to plan with.
    """
    nodes, wait, bundle = nodes or NodeOptions(), wait or WaitOptions(), bundle or Bundle()
    facts = look_up(spec, bundle, nodes, model)
    preset, vm, config, hardware = facts.preset, facts.vm, facts.config, hardware_of(spec, facts.vm, nodes)
    runtime, dtype = choose_runtime(spec, preset, hardware), choose_dtype(spec, preset, hardware)
    weights, disk = choose_weights(spec, preset), disk_bytes(spec, preset)
    region = region_name(region) if region else None
    fitted = fit(spec, preset, vm, hardware, runtime, dtype, facts.context, config, region)
    pool = pool_of(spec, vm, fitted.node_count, disk, nodes) if vm and nodes.provider == "aks" else None
    cost = cost_of(pool, region, price)
    until = wait.until or ("started" if spec.tuning else "ready")
    decided = Plan(
        spec=spec,
        preset=preset,
        vm=vm,
        runtime=runtime,
        node_count=fitted.node_count,
        gpus_per_node=hardware.gpus,
        gpu_resource=hardware.resource,
        tensor_parallel_size=fitted.spread.tensor,
        pipeline_parallel_size=fitted.spread.pipeline,
        data_parallel_size=fitted.spread.data,
        max_model_len=fitted.max_model_len,
        dtype=dtype,
        image=choose_image(spec, runtime, hardware, image_registry),
        command=_command(spec, preset, vm, weights, dtype, fitted.spread, runtime),
        weights=weights,
        memory=fitted.memory,
        room=fitted.room,
        disk_bytes=disk,
        node_selector=node_selector(spec, pool),
        pool=pool,
        wait=until,
        timeout_seconds=wait.timeout_seconds or deadline_seconds(preset, pool, spec.tuning is not None, until),
        startup_seconds=loading_seconds(preset),
        region=region,
        cost=cost,
        config_map=config,
        findings=(
            *spec.findings,
            *facts.findings,
            *fitted.findings,
            *about_cost(spec, pool, region, cost),
        ),
    )
    serving = serving_of(decided, hardware, image_registry)
    no_room = without_room(decided, serving) if serving else []
    if serving and not no_room:
        decided = replace(decided, serving=serving, command=(*decided.command, *handing_over(serving)))
    elif spec.tuning and until == "ready":
        decided = replace(decided, wait="completed")  # nothing serves what it tunes
    more = (
        *no_room,
        *findings_of(decided, hardware, nodes, image_registry),
        *findings_of_model(decided),
        *findings_of_images(decided),
    )
    findings = tuple(sorted({*decided.findings, *more}, key=by_weight))
    return replace(decided, findings=findings, resources=tuple(_objects(decided)))


def _command(
    spec: Workspace,
    preset: Preset | None,
    vm: VmSize | None,
    weights: Weights,
    dtype: str,
    spread: Parallelism,
    runtime: Runtime,
) -> tuple[str, ...]:
    if preset is None:
        return ()
    if spec.tuning:
        return tuple(tuning_command(spec, preset, weights))
    if runtime == "vllm":
        return tuple(vllm_command(spec, preset, weights, dtype, spread, vm.gpu_model if vm else ""))
    return tuple(transformers_command(spec, preset, weights, dtype))


def _objects(decided: Plan) -> Iterable[PlannedObject]:
    if decided.pool:
        yield PlannedObject("AgentPool", decided.pool.name)
    yield PlannedObject("Service", decided.name)
    if decided.node_count > 1:
        yield PlannedObject("Service", names.headless_name(decided.name))
    if decided.spec.tuning:
        if decided.serving:
            scaler = names.scaler_name(decided.name)
            yield from (PlannedObject(kind, scaler) for kind in ("ServiceAccount", "Role", "RoleBinding"))
            yield PlannedObject("Deployment", decided.name)
        yield PlannedObject("Job", decided.name)
    else:
        yield PlannedObject("StatefulSet" if decided.node_count > 1 else "Deployment", decided.name)
