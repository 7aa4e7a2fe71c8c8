"""Kubernetes' Pod Security Standard `restricted` as rules over a pod's spec, and a file system that is read-only.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/ (1.34), Baseline and Restricted.
"""

from collections.abc import Iterator
from typing import Any

HARMLESS_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
PROFILES = ("RuntimeDefault", "Localhost")
HANDLERS = ("startupProbe", "livenessProbe", "readinessProbe")


def violations(pod: dict[str, Any]) -> set[str]:
    """What a pod does that the standard forbids, as `OBJECT: field`: a container's, a volume's, or the `pod`'s own."""
    containers = [*pod["containers"], *pod.get("initContainers", ()), *pod.get("ephemeralContainers", ())]
    common = pod.get("securityContext", {})
    found = {f"pod: {field}" for field in _of_pod(pod, common)}
    for volume in pod.get("volumes", ()):
        found |= {f"{volume['name']}: {kind}" for kind in set(volume) - {"name"} - HARMLESS_VOLUMES}
    for one in containers:
        found |= {f"{one['name']}: {field}" for field in _of_container(one, common)}
    return found


def _of_pod(pod: dict[str, Any], common: dict[str, Any]) -> Iterator[str]:
    yield from (field for field in ("hostNetwork", "hostPID", "hostIPC") if pod.get(field))
    if common.get("sysctls"):
        yield "sysctls"
    yield from _of_any(common)


def _of_any(context: dict[str, Any]) -> Iterator[str]:
    """What neither a pod's nor a container's securityContext may hold."""
    if context.get("seLinuxOptions"):
        yield "seLinuxOptions"
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield "hostProcess"
    if context.get("appArmorProfile", {}).get("type", "RuntimeDefault") not in PROFILES:
        yield "appArmorProfile"
    if context.get("runAsUser") == 0:
        yield "runAsUser"


def _of_container(one: dict[str, Any], common: dict[str, Any]) -> Iterator[str]:
    own = one.get("securityContext", {})
    both = {**common, **own}
    yield from _of_any(own)
    if own.get("privileged"):
        yield "privileged"
    if own.get("procMount", "Default") != "Default":
        yield "procMount"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    if both.get("runAsNonRoot") is not True:
        yield "runAsNonRoot"
    if both.get("seccompProfile", {}).get("type") not in PROFILES:
        yield "seccompProfile"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", ()) or set(capabilities.get("add", ())) - {"NET_BIND_SERVICE"}:
        yield "capabilities"
    if any(port.get("hostPort") for port in one.get("ports", ())):
        yield "hostPort"
    hooks = [one.get(probe, {}) for probe in HANDLERS] + list(one.get("lifecycle", {}).values())
    if any(hook.get(kind, {}).get("host") for hook in hooks for kind in ("httpGet", "tcpSocket")):
        yield "host"
    if own.get("readOnlyRootFilesystem") is not True:
        yield "readOnlyRootFilesystem"
