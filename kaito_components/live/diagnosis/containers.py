"""What can be wrong with a container: its image, its start, its end.

The words are the kubelet's: pkg/kubelet/images/types.go, pkg/kubelet/container/sync_result.go,
pkg/kubelet/kuberuntime/kuberuntime_container.go of Kubernetes 1.34.
"""

import re

from kaito_components.live.diagnosis.trouble import LastWords, Trouble, short
from kaito_components.live.snapshot import Object, name_of

SECONDS_FOR_REFUSED_IMAGE = 20  # not found, no access: the kubelet has tried again after 10 s by then
SECONDS_FOR_IMAGE = 90  # network and registry hiccups: three more tries, after 10, 20 and 40 s
SECONDS_FOR_START = 30
SECONDS_FOR_CONFIGURATION = 10  # a Secret or ConfigMap that is made at the same time
RESTARTS = 3  # of a crashing container: the kubelet has waited 10, 20 and 40 s
RESTARTS_FOR_MEMORY = 1  # the same program needs the same memory again

IMAGE_REASONS = {
    "ErrImagePull",
    "ImagePullBackOff",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
}
HOPELESS_IMAGE_REASONS = {"InvalidImageName", "ErrImageNeverPull"}
START_REASONS = {
    "CreateContainerError",
    "RunContainerError",
    "PreCreateHookError",
    "PreStartHookError",
    "PostStartHookError",
}
NOT_FOUND = ("not found", "manifest unknown", "name unknown", "does not exist")
NO_ACCESS = ("unauthorized", "authentication required", "authorization failed", "denied", "forbidden", "no basic auth")

CHECK_NAME = "Check the image's name and tag"
GIVE_ACCESS = "Name a pull secret for this registry, or attach the registry to the cluster (az aks update --attach-acr)"
CHECK_NETWORK = "Check that the nodes reach the registry"


def container_trouble(pod: Object, container: Object, word: str, pull_failure: str) -> Trouble | None:
    """What is wrong with one container now, if anything.

    Args:
        container: its status.
        word: `container` or `init container`.
        pull_failure: the newest event about a failed pull; older kubelets say there only what went wrong.
    """
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason, message = waiting.get("reason"), waiting.get("message", "")
    what = f"{word} {container['name']}"
    where = f"Pod {pod['metadata']['namespace']}/{name_of(pod)}"
    if reason in IMAGE_REASONS | HOPELESS_IMAGE_REASONS:
        words = message if "rror" in message else pull_failure or message
        return _image(where, what, container["image"], reason, _core(words))
    if reason == "CreateContainerConfigError":
        namespace = pod["metadata"]["namespace"]
        way_out = f"Create it in namespace {namespace}, or correct its name in the Workspace"
        return Trouble(where, "ContainerStartError", f"{what}: {short(message)}", way_out, SECONDS_FOR_CONFIGURATION)
    if reason in START_REASONS:
        way_out = "Check the container's command, devices and mounts"
        return Trouble(where, "ContainerStartError", f"{what}: {reason}: {short(message)}", way_out, SECONDS_FOR_START)
    if reason == "CrashLoopBackOff":
        return _crash_loop(where, what, pod, container)
    return None


def _image(where: str, what: str, image: str, reason: str, words: str) -> Trouble:
    said, subject = words.lower(), f'image "{image}" of {what}'
    if reason in HOPELESS_IMAGE_REASONS:
        return Trouble(where, "ImagePullError", f"{subject}: {reason}: {short(words)}", CHECK_NAME, 0)
    if any(sign in said for sign in NO_ACCESS):
        message = f"{subject}: the registry gives no access: {short(words)}"
        return Trouble(where, "ImagePullError", message, f"{GIVE_ACCESS}. {CHECK_NAME}", SECONDS_FOR_REFUSED_IMAGE)
    if any(sign in said for sign in NOT_FOUND):
        message = f"{subject}: the registry does not have it: {short(words)}"
        return Trouble(where, "ImagePullError", message, CHECK_NAME, SECONDS_FOR_REFUSED_IMAGE)
    return Trouble(where, "ImagePullError", f"{subject}: {reason}: {short(words)}", CHECK_NETWORK, SECONDS_FOR_IMAGE)


def _core(words: str) -> str:
    """What the registry said, without the runtime's way to it."""
    words = re.sub(r'^Back-off pulling image "[^"]*": \w+: ', "", words)
    words = re.sub(r"rpc error: code = \w+ desc = ", "", words)
    return re.sub(r'^.*failed to resolve (?:image|reference "[^"]*"): ', "", words, flags=re.DOTALL)


def _crash_loop(where: str, what: str, pod: Object, container: Object) -> Trouble:
    restarts = int(container.get("restartCount", 0))
    ended = (container.get("lastState") or {}).get("terminated") or {}
    reason, message, way_out = ending(what, pod, container, ended)
    allowed = RESTARTS_FOR_MEMORY if reason == "ContainerOOMKilled" else RESTARTS
    last_words = LastWords(name_of(pod), container["name"], previous=True)
    counted = f"{message}, {restarts} restarts" if restarts != 1 else f"{message}, 1 restart"
    return Trouble(where, reason, counted, way_out, 0 if restarts >= allowed else None, last_words)


def ending(what: str, pod: Object, container: Object, ended: Object) -> tuple[str, str, str]:
    """(reason, message, way out) of a container that ended badly; `ended` is its `terminated` state."""
    if ended.get("reason") == "OOMKilled":
        limit = _memory_limit(pod, container["name"])
        asked = f"its memory limit is {limit}" if limit else "it has no memory limit, so the node ran out of memory"
        way_out = "Choose a VM size with more memory" + (", or raise the limit" if limit else "")
        return "ContainerOOMKilled", f"{what} used up its memory and was killed; {asked}", way_out
    code, reason = ended.get("exitCode", "unknown"), ended.get("reason", "Error")
    said = f": {short(ended['message'])}" if ended.get("message") else ""
    cause = "" if reason == "Error" else f" ({reason})"
    way_out = "Its log says why: kubectl logs -n {} {} -c {}{}".format(
        pod["metadata"]["namespace"],
        name_of(pod),
        container["name"],
        " --previous" if "waiting" in container["state"] else "",
    )
    return "ContainerCrashLoopBackOff", f"{what} ended with exit code {code}{cause}{said}", way_out


def _memory_limit(pod: Object, name: str) -> str:
    containers = [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]
    limits = ((item.get("resources") or {}).get("limits") or {} for item in containers if item["name"] == name)
    return str(next(limits, {}).get("memory", ""))
