"""Plans that were made together -> components: Workspaces, InferenceSets, and what stands beside them.

Called by config, and by programs that have KAITO's files (`workspaces_from_files`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pulumi

from kaito_components.connection import Cluster, ClusterArgs, cluster_of
from kaito_components.errors import InvalidWorkspace
from kaito_components.inference_set import InferenceSet
from kaito_components.names import logical_name
from kaito_components.options import Reader
from kaito_components.plan import Plan
from kaito_components.spec import model
from kaito_components.spec.model import Bundle
from kaito_components.workload import make_beside
from kaito_components.workspace import (
    NodesArgs,
    Planned,
    WaitArgs,
    Workspace,
    plan_bundle,
    refuse_pools_elsewhere,
    report,
    reviewed,
    today,
)


def make_workspaces(
    plans: Sequence[Plan], bundle: Bundle, cluster: Cluster, strict: bool
) -> list[Workspace | InferenceSet]:
    """Declares planned Workspaces, InferenceSets, and the ConfigMaps and Secrets that stand beside them."""
    plans = reviewed(plans, cluster, strict)
    report(bundle.findings)
    if cluster.review.knows_prices:
        pulumi.log.info(f"cost of the stack: {cluster.review.total.sentence(today())}")
    beside = make_beside([*bundle.config_maps, *bundle.secrets], cluster)
    planned: list[Any] = [Planned(one, cluster, beside, strict) for one in plans]
    alone = [one for one in planned if not one.plan.spec.inference_set]
    made: list[Workspace | InferenceSet] = [Workspace(_name(one.plan.spec), one) for one in alone]
    for whole in bundle.inference_sets:
        replicas = [one for one in planned if _set_of(one.plan.spec) == (whole.namespace, whole.name)]
        made.append(InferenceSet(_name(whole), replicas))
    return made


def _name(one: model.Workspace | model.InferenceSet) -> str:
    return logical_name(one.namespace, one.name)


def _set_of(spec: model.Workspace) -> tuple[str, str]:
    return spec.namespace, spec.inference_set


def workspaces_from_files(
    files: Sequence[str | Path],
    cluster: Cluster | ClusterArgs,
    nodes: NodesArgs | None = None,
    wait: WaitArgs | None = None,
    image_registry: str | None = None,
    strict: bool = False,
) -> list[Workspace | InferenceSet]:
    """Makes the Workspaces of KAITO files, with the ConfigMaps and Secrets beside them.

    Raises:
        pulumi.RunError: with every problem of every file.
    """
    from kaito_components.spec.reader import read_files

    reader = Reader("workspaces_from_files")
    options = (reader.nodes(nodes or {}, "nodes"), reader.wait(wait or {}, "wait"))
    try:
        bundle = read_files(files)
        plans = plan_bundle(bundle, [options] * len(bundle.workspaces), image_registry, strict)
    except InvalidWorkspace as refused:
        reader.problems.extend(refused.findings)
    if reader.problems:
        raise pulumi.RunError(str(InvalidWorkspace(reader.problems)))
    refuse_pools_elsewhere(plans, cluster)
    return make_workspaces(plans, bundle, cluster_of(cluster), strict)
