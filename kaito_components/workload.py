"""The Kubernetes objects of a Workspace, and those beside it, declared with Pulumi. Called by workspace."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from kaito_components import names
from kaito_components.connection import Cluster
from kaito_components.declare import kubernetes_object, this_stack
from kaito_components.spec.model import ConfigMap, Secret

WORKLOADS = ("Deployment", "StatefulSet", "Job")


def make_objects(
    manifests: Sequence[Mapping[str, Any]],
    provider: pulumi.ProviderResource,
    parent: pulumi.Resource,
    after: Sequence[pulumi.Resource],
) -> list[pulumi.CustomResource]:
    """Declares Services and workload; the workload comes up after the nodes, and goes before them."""
    made: list[pulumi.CustomResource] = []
    for manifest in manifests:
        kind, metadata = manifest["kind"], manifest["metadata"]
        annotations = {**metadata["annotations"], names.STACK_ANNOTATION: this_stack()}
        manifest = {**manifest, "metadata": {**metadata, "annotations": annotations}}
        needed = [*after, *(one for one in made if kind == "Job")] if kind in WORKLOADS else None
        opts = pulumi.ResourceOptions(parent=parent, depends_on=needed)
        if names.SCALED_BY_ANNOTATION in annotations:
            opts.ignore_changes = ["spec.replicas"]
        logical = f"{names.logical_name(metadata['namespace'], metadata['name'])}-{kind.lower()}"
        made.append(kubernetes_object(logical, manifest, provider, opts))
    return made


def make_beside(objects: Sequence[ConfigMap | Secret], cluster: Cluster) -> list[pulumi.CustomResource]:
    """Declares the ConfigMaps and Secrets that stand beside Workspaces; Secrets' values stay secret.

    Raises:
        pulumi.RunError: the program has declared one of that name with other content.
    """
    return [_once(one, cluster) for one in objects]


def _once(one: ConfigMap | Secret, cluster: Cluster) -> pulumi.CustomResource:
    """Workspaces that are given by Python args name the same ConfigMap each for itself."""
    kind = type(one).__name__
    known, made = cluster.beside.get((kind, one.namespace, one.name), (one, None))
    if known != one:
        text = "stands beside two Workspaces with different content; give it the same content, or two names"
        raise pulumi.RunError(f"{kind} {one.name} in namespace {one.namespace} {text}")
    if made is None:
        made = _declare(one, cluster.provider)
        cluster.beside[kind, one.namespace, one.name] = one, made
    return made


def _declare(one: ConfigMap | Secret, provider: pulumi.ProviderResource) -> pulumi.CustomResource:
    kind = type(one).__name__
    manifest: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {
            "name": one.name,
            "namespace": one.namespace,
            "labels": {**one.labels, "app.kubernetes.io/managed-by": "pulumi", "app.kubernetes.io/part-of": "kaito"},
            "annotations": dict(one.annotations),
        },
    }
    if isinstance(one, ConfigMap):
        manifest["data"] = dict(one.data)
    else:
        manifest["type"] = one.type
        for key, values in (("data", one.data), ("stringData", one.string_data)):
            if values:
                manifest[key] = pulumi.Output.secret(dict(values))
    logical = f"{names.logical_name(one.namespace, one.name)}-{kind.lower()}"
    return kubernetes_object(logical, manifest, provider, pulumi.ResourceOptions())
