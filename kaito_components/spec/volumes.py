"""volumeSource and pod templates: what of Kubernetes' own forms is checked here. Called by the rules."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from kaito_components.errors import Finding
from kaito_components.spec.composing import below
from kaito_components.spec.document import Document
from kaito_components.spec.references import DNS_LABEL

# Kinds of volume, and what each needs. Source: Kubernetes core/v1 VolumeSource.
VOLUMES: dict[str, tuple[str, ...]] = {
    "awsElasticBlockStore": ("volumeID",), "azureDisk": ("diskName", "diskURI"),
    "azureFile": ("secretName", "shareName"),
    "cephfs": ("monitors",), "cinder": ("volumeID",), "configMap": ("name",), "csi": ("driver",), "downwardAPI": (),
    "emptyDir": (), "ephemeral": ("volumeClaimTemplate",), "fc": (), "flexVolume": ("driver",), "flocker": (),
    "gcePersistentDisk": ("pdName",), "glusterfs": ("endpoints", "path"), "hostPath": ("path",), "image": (),
    "iscsi": ("targetPortal", "iqn", "lun"), "nfs": ("server", "path"), "persistentVolumeClaim": ("claimName",),
    "photonPersistentDisk": ("pdID",), "portworxVolume": ("volumeID",), "projected": (),
    "quobyte": ("registry", "volume"),
    "rbd": ("monitors", "image"), "scaleIO": ("gateway", "system", "secretRef"), "secret": ("secretName",),
    "storageos": (), "vsphereVolume": ("volumePath",),
}  # fmt: skip


# Where what is written does not stay.
LOST = {
    "emptyDir": "is gone with the pod, and the adapter with it",
    "hostPath": "is a folder of one node: gone with it, and user 1000 can write there only if you let it",
}


def of_volume(document: Document, volume: Mapping[str, Any], field: str, written: bool = False) -> Iterator[Finding]:
    """Exactly one volume, of a kind that there is; `written`: what is written to it must stay."""
    if len(volume) != 1:
        text = f"must name exactly one kind of volume, such as persistentVolumeClaim; {len(volume)} are named"
        yield document.error("invalid-volume", field, text)
        return
    ((kind, source),) = volume.items()
    if kind not in VOLUMES:
        near = difflib.get_close_matches(kind, VOLUMES, n=1)
        hint = f"did you mean {near[0]}?" if near else "use persistentVolumeClaim, hostPath, nfs or csi"
        yield document.error("invalid-volume", field, f"{kind!r} is not a kind of volume; {hint}")
    elif not isinstance(source, Mapping):
        yield document.error("invalid-volume", below(field, kind), "must be a mapping")
    else:
        for name in VOLUMES[kind]:
            if source.get(name) in (None, ""):
                yield document.error("invalid-volume", f"{field}.{kind}.{name}", "is missing")
        if written and kind in LOST:
            yield document.warning("volume-lost", f"{field}.{kind}", f"{LOST[kind]}; use persistentVolumeClaim")


def of_template(document: Document, template: Mapping[str, Any], field: str) -> Iterator[Finding]:
    """What no workload can do without; the rest of a pod is the API server's to check, at preview."""
    for name in sorted(set(template) - {"metadata", "spec"}):
        yield document.error("unknown-field", below(field, name), "is not a field; fields here are metadata, spec")
    metadata = template.get("metadata")
    if metadata is not None and not isinstance(metadata, Mapping):
        yield document.error("invalid-template", f"{field}.metadata", "must be a mapping")
    elif metadata and not isinstance(metadata.get("labels", {}), Mapping | None):
        yield document.error("invalid-template", f"{field}.metadata.labels", "must be a mapping")
    spec = template.get("spec")
    if not isinstance(spec, Mapping):
        yield document.error("missing-field", f"{field}.spec", "is missing: the pod, with its containers")
        return
    for name, kind in (("tolerations", list), ("affinity", Mapping)):
        if spec.get(name) is not None and not isinstance(spec[name], kind):
            text = "must be a list" if kind is list else "must be a mapping"
            yield document.error("invalid-template", f"{field}.spec.{name}", text)
    if spec.get("restartPolicy") not in (None, "Always"):
        text = f"{spec['restartPolicy']!r} must be 'Always': a server is restarted"
        yield document.error("invalid-template", f"{field}.spec.restartPolicy", text)
    yield from _of_containers(document, spec.get("containers"), f"{field}.spec.containers")


def _of_containers(document: Document, containers: Any, field: str) -> Iterator[Finding]:
    if not isinstance(containers, list) or not containers:
        yield document.error("missing-field", field, "needs at least one container")
        return
    seen: set[str] = set()
    for index, container in enumerate(containers):
        here = f"{field}[{index}]"
        if not isinstance(container, Mapping):
            yield document.error("invalid-template", here, "must be a mapping with name and image")
            continue
        name, image = container.get("name"), container.get("image")
        if not isinstance(name, str) or len(name) > 63 or not DNS_LABEL.fullmatch(name):
            yield document.error(
                "invalid-template", f"{here}.name", "must be a name of lower-case letters, digits and '-'"
            )
        elif name in seen:
            yield document.error("invalid-template", f"{here}.name", f"{name!r} stands twice")
        else:
            seen.add(name)
        if not isinstance(image, str) or not image.strip():
            yield document.error("invalid-template", f"{here}.image", "must name the container's image")
        yield from _of_lists(document, container, here)


def _of_lists(document: Document, container: Mapping[str, Any], field: str) -> Iterator[Finding]:
    """Server-side apply knows the entries of these lists by one key, and takes each once."""
    for name, key in (("env", "name"), ("volumeMounts", "mountPath")):
        entries = container.get(name)
        values = (
            [entry.get(key) for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []
        )
        for value in sorted({str(value) for value in values if values.count(value) > 1}):
            yield document.error("invalid-template", f"{field}.{name}", f"{value!r} stands twice")
