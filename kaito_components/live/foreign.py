"""Objects that stand where a new Workspace's are to go, and are somebody else's. Called by `readiness` at preview.

Objects of an interrupted `pulumi up` are taken over by their names, so anything of these names would be.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from kaito_components import names
from kaito_components.live.cluster import Cluster, Query
from kaito_components.live.snapshot import Object, kind_of, name_of

GROUPS = {"Service": "/api/v1", "Job": "/apis/batch/v1"}


def foreign_objects(cluster: Cluster, props: Mapping[str, Any]) -> str:
    """What stands in the way and what to do, or nothing. Raises ClusterError if the cluster cannot be asked."""
    namespace, workspace = props["namespace"], props["workspace"]
    found: list[Object] = []
    for kind in props.get("kinds") or ("Service", props["kind"]):
        path = f"{GROUPS.get(kind, '/apis/apps/v1')}/namespaces/{namespace}/{kind.lower()}s"
        found += cluster.get(Query(path, kind, fields=f"metadata.name={workspace}")).items
    return refusal(found, props["stack"])


def refusal(objects: Iterable[Object], stack: str) -> str:
    """The same for objects that are known. Pure."""
    others = [one for one in objects if _annotations(one).get(names.STACK_ANNOTATION) != stack]
    if not others:
        return ""
    listed = ", ".join(
        f"{kind_of(one)} {one['metadata']['namespace']}/{name_of(one)} ({_owner(one)})" for one in others
    )
    return f"{listed} stands there already and is not this stack's. Delete it, or give the Workspace another name"


def _annotations(one: Object) -> Mapping[str, str]:
    return one["metadata"].get("annotations") or {}


def _owner(one: Object) -> str:
    if stack := _annotations(one).get(names.STACK_ANNOTATION):
        return f"of stack {stack}"
    owners = [f"of {owner['kind']} {owner['name']}" for owner in one["metadata"].get("ownerReferences") or []]
    managers = [f"made with {entry['manager']}" for entry in one["metadata"].get("managedFields") or []]
    return next(iter([*owners, *managers]), "nobody knows whose")
