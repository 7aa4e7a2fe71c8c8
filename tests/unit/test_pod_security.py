"""Every pod keeps to the `restricted` Pod Security Standard, but for the exceptions that docs/security.md names."""

from pathlib import Path
from typing import Any

import pytest

from kaito_components.live.admission import refusal
from kaito_components.manifests import security, workload_objects
from kaito_components.manifests.pod_security import LEVELS, needed
from kaito_components.plan import Plan
from kaito_components.presets import preset_names, tunable_presets
from kaito_components.spec.model import Adapter, DataDestination, DataSource, Workspace
from tests.unit.pod_security import violations
from tests.unit.workspaces import A10, A100, CPU, EXISTING, T4, config, inference, planned, tuning

PUSHED = DataDestination(image="r.example.com/o:1", image_push_secret="p")
ROOT = Path(__file__).parents[2]
AS_ROOT = {"runAsNonRoot", "capabilities", "readOnlyRootFilesystem"}  # what KAITO's image of vLLM cannot do
CLAIM = {"persistentVolumeClaim": {"claimName": "c"}}
ADAPTERS = (
    Adapter(DataSource("a", image="r.example.com/a:1", image_pull_secrets=("pull",))),
    Adapter(DataSource("b", volume_source=CLAIM)),
)
SOURCES = ("huggingface", "image:r.example.com/w:1", "pvc:models/phi", "hostPath:/models")
INFERENCE = [
    inference(size, adapters=ADAPTERS, annotations={"pulumi.kaito.sh/weights": source, **key})
    for size in (CPU, T4, A100)
    for source in SOURCES
    for key in ({}, {"pulumi.kaito.sh/api-key-secret": "key"})
]
TUNING = [
    tuning(size, input=data, output=output, annotations={"pulumi.kaito.sh/weights": source})
    for size in (CPU, A100)
    for source in SOURCES
    for data in (DataSource(urls=("https://example.com/d.parquet",)), DataSource(image="r.example.com/d:1"))
    for output in (PUSHED, DataDestination(volume_source=CLAIM))
]
PRESETS = [
    *(inference(size, name) for name in preset_names() for size in (CPU, T4, A100)),
    *(tuning(A100, name) for name in tunable_presets()),
]


def pods(made: Plan) -> list[dict[str, Any]]:
    """The pods of a Workspace: one, or the Job's and the server's."""
    objects = [one["spec"]["template"]["spec"] for one in workload_objects(made) if "template" in one.get("spec", {})]
    assert objects
    return objects


def exceptions(pod: dict[str, Any]) -> set[str]:
    """The named ones: vLLM's containers run as root, and what comes from the node is a hostPath."""
    containers = [*pod["containers"], *pod.get("initContainers", ())]
    of_vllm = {one["name"] for one in containers if one["image"].startswith("mcr.microsoft.com/aks/kaito/")}
    return {f"{name}: {field}" for name in of_vllm for field in AS_ROOT} | {
        f"{volume['name']}: hostPath" for volume in pod["volumes"] if "hostPath" in volume
    }


@pytest.mark.parametrize("shapes", [INFERENCE, TUNING, PRESETS], ids=["inference", "tuning", "presets"])
def test_every_pod_is_restricted_but_for_the_named_exceptions(shapes: list[Workspace]) -> None:
    for spec in shapes:
        for pod in pods(planned(spec)):
            assert violations(pod) == exceptions(pod), spec


@pytest.mark.parametrize("shapes", [INFERENCE, TUNING], ids=["inference", "tuning"])
def test_the_level_that_a_workspace_needs_is_that_of_its_pods_exceptions(shapes: list[Workspace]) -> None:
    levels = set()
    for spec in shapes:
        made = planned(spec)
        found = needed(workload_objects(made))
        excepted = set[str]().union(*map(exceptions, pods(made)))
        expected = "privileged" if any("hostPath" in one for one in excepted) else "baseline"
        assert found["level"] == (expected if excepted else "restricted") and bool(found["because"]) == bool(excepted)
        levels.add(found["level"])
    assert levels == set(LEVELS) - ({"baseline"} if shapes is TUNING else set())


@pytest.mark.parametrize(
    ("enforced", "level", "refused"),
    [
        (None, "privileged", False),
        ("privileged", "privileged", False),
        ("baseline", "restricted", False),
        ("baseline", "privileged", True),
        ("restricted", "baseline", True),
        ("of-some-later-version", "privileged", False),
    ],
)
def test_a_namespace_refuses_what_needs_more_than_it_allows(enforced: str | None, level: str, refused: bool) -> None:
    said = refusal("models", enforced, level, "volume weights is of the kind hostPath")
    assert bool(said) == refused
    assert not refused or said.startswith(f"namespace models takes no pod that is not {enforced}")


def test_a_template_of_the_users_own_needs_what_is_seen_in_it() -> None:
    spec = {
        "containers": [{"name": "web"}],
        "securityContext": {"runAsNonRoot": True},
        "volumes": [{"name": "n", "nfs": {}}],
    }
    assert needed([{"spec": {"template": {"spec": spec}}}])["because"] == "volume n is of the kind nfs"
    root = {"containers": [{"name": "web", "securityContext": {"runAsNonRoot": False}}], "volumes": None}
    assert needed([{"spec": {"template": {"spec": root}}}])["because"] == "container web may run as root"


@pytest.mark.parametrize("spec", [inference(CPU), inference(T4, adapters=ADAPTERS), tuning(CPU), tuning(A100)])
def test_a_pod_of_ours_has_no_exception(spec: Workspace) -> None:
    assert violations(pods(planned(spec))[-1]) == set()


def test_the_named_exceptions_are_two() -> None:
    compiled = pods(planned(inference("Standard_ND96isr_H200_v5", "deepseek-v3.2")))[0]
    assert violations(compiled) == {
        *(f"inference: {field}" for field in AS_ROOT),
        *(f"cuda-toolkit-provisioner: {field}" for field in AS_ROOT),
        "cuda-toolkit: hostPath",
    }
    wide = planned(
        inference(A10, "phi-3-mini-128k-instruct", config="c"), bundle=config("vllm: {max-model-len: 32768}")
    )
    assert violations(pods(wide)[0]) == {f"inference: {field}" for field in AS_ROOT}


def test_nodes_that_exist_already_change_nothing() -> None:
    made = planned(inference(None, "smollm2-135m-instruct"), nodes=EXISTING)
    assert violations(pods(made)[0]) == exceptions(pods(made)[0])


@pytest.mark.parametrize("spec", [inference(CPU, adapters=ADAPTERS), inference(A100, adapters=ADAPTERS), tuning(A100)])
def test_a_container_whose_files_are_read_only_has_a_place_to_write(spec: Workspace) -> None:
    for pod in pods(planned(spec)):
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for one in [*pod["containers"], *pod.get("initContainers", ())]:
            at = {mount["mountPath"]: mount["name"] for mount in one["volumeMounts"]}
            assert ("/tmp" in at) == bool(one["securityContext"].get("readOnlyRootFilesystem"))
            assert "/tmp" not in at or volumes[at["/tmp"]]["emptyDir"] == {}


@pytest.mark.parametrize("kind", ["serving", "tuning"])
def test_the_user_is_the_images_and_all_that_they_write_is_below_tmp(kind: str) -> None:
    text = (ROOT / f"{kind}_image" / "Dockerfile").read_text()
    assert f"\nUSER {security.USER}\n" in text
    written = [word.split("=")[1] for word in text.split() if word.startswith(("HOME=", "HF_HOME=", "MPLCONFIGDIR="))]
    assert len(written) == 3 and all(f"{path}/".startswith("/tmp/") for path in written)


def test_volumes_are_writable_for_the_images_user() -> None:
    for spec in (inference(CPU), tuning(A100)):
        assert all(pod["securityContext"]["fsGroup"] == security.USER for pod in pods(planned(spec)))


BAD = {
    "pod: hostNetwork": {"hostNetwork": True},
    "pod: hostPID": {"hostPID": True},
    "pod: hostIPC": {"hostIPC": True},
    "pod: sysctls": {"securityContext": {"sysctls": [{"name": "kernel.shm_rmid_forced", "value": "1"}]}},
    "pod: seLinuxOptions": {"securityContext": {"seLinuxOptions": {"type": "spc_t"}}},
    "pod: appArmorProfile": {"securityContext": {"appArmorProfile": {"type": "Unconfined"}}},
    "pod: runAsUser": {"securityContext": {"runAsUser": 0}},
    "x: nfs": {"volumes": [{"name": "x", "nfs": {}}]},
}
BAD_CONTAINER = {
    "privileged": {"securityContext": {"privileged": True}},
    "runAsUser": {"securityContext": {"runAsUser": 0}},
    "procMount": {"securityContext": {"procMount": "Unmasked"}},
    "capabilities": {"securityContext": {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}}},
    "seccompProfile": {"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
    "runAsNonRoot": {"securityContext": {"runAsNonRoot": False}},
    "allowPrivilegeEscalation": {"securityContext": {}},
    "readOnlyRootFilesystem": {"securityContext": {"readOnlyRootFilesystem": False}},
    "hostPort": {"ports": [{"hostPort": 1}]},
    "host": {"livenessProbe": {"httpGet": {"host": "example.com"}}},
}


@pytest.mark.parametrize("rule", BAD)
def test_the_rules_of_the_standard_find_a_bad_pod(rule: str) -> None:
    assert rule in violations({**pods(planned(inference(CPU)))[0], **BAD[rule]})


@pytest.mark.parametrize("rule", BAD_CONTAINER)
def test_the_rules_of_the_standard_find_a_bad_container(rule: str) -> None:
    pod = pods(planned(inference(CPU)))[0]
    pod["containers"][0] |= BAD_CONTAINER[rule]
    assert f"inference: {rule}" in violations(pod)
