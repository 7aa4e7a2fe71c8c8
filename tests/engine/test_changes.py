"""docs/changes.md holds: every row is made on a Workspace that is up, and does what its cells say.

One Workspace a row, all of them brought up together and changed together, so that the engine really does it, once.
"""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_cloud.instance import Instance
from local_cloud.nodes import apply_node, delete_node, node_manifest
from local_cloud.stack import PROJECT, Stack
from tests.engine.conftest import Azure
from tests.engine.workspaces import config_map, inference, secret, tuning

Row = tuple[str, str]  # section, change
WORKLOADS = ("deployment", "statefulset", "job")
LOGIN = {".dockerconfigjson": json.dumps({"auths": {"r.example.com": {"auth": "dTpw"}}})}


def documented() -> dict[Row, tuple[str, ...]]:
    """What the tables say: (section, change) -> cells for pool, workload and Service."""
    rows: dict[Row, tuple[str, ...]] = {}
    section = ""
    for line in (PROJECT / "docs/changes.md").read_text().splitlines():
        section = line.removeprefix("## ") if line.startswith("## ") else section
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("|") and cells[0] != "Change" and not line.startswith("|---"):
            rows[section, cells[0]] = tuple(cells[1:])
    return rows


@dataclass
class Entry:
    """One entry of kaito:workspaces: the objects of its file, the Workspace first, and its options."""

    objects: list[dict[str, Any]]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def workspace(self) -> dict[str, Any]:
        return self.objects[0]


Change = Callable[[Entry], Any]
Make = Callable[[str], Entry]


def serving(name: str) -> Entry:
    return Entry([inference(name, config=f"{name}-c"), config_map(f"{name}-c", "vllm: {max-num-seqs: 8}")])


def with_secret(name: str) -> Entry:
    login = secret(f"{name}-s") | {"type": "kubernetes.io/dockerconfigjson", "stringData": LOGIN}
    return Entry([inference(name), login])


def template(count: int) -> Make:
    def make(name: str) -> Entry:
        one = inference(name)
        one["resource"]["count"] = count
        one["inference"] = {"template": {"spec": {"containers": [{"name": "web", "image": "r.example.com/web:1"}]}}}
        return Entry([one])

    return make


def tunes(name: str) -> Entry:
    return Entry([tuning(name)])


def on_cpu(name: str) -> Entry:
    one = inference(name, "Standard_D8s_v5")
    one["inference"]["preset"]["name"] = "smollm2-135m-instruct"
    return Entry([one])


def part(*path: str, **values: Any) -> Change:
    """Sets keys of a part of the Workspace."""

    def change(entry: Entry) -> None:
        inner = entry.workspace
        for key in path:
            inner = inner.setdefault(key, {})
        inner.update(values)

    return change


def annotation(key: str, value: str) -> Change:
    return part("metadata", "annotations", **{key: value})


def options(**values: Any) -> Change:
    return lambda entry: entry.options.update(values)


def other_settings(entry: Entry) -> None:
    name = f"{entry.workspace['metadata']['name']}-d"
    entry.objects[1]["metadata"]["name"] = name
    entry.workspace["inference"]["config"] = name


def tune_instead(entry: Entry) -> None:
    del entry.workspace["inference"]
    entry.workspace["tuning"] = tuning("x")["tuning"]


def rename(entry: Entry) -> None:
    entry.workspace["metadata"]["name"] += "-new"


def to_existing(entry: Entry) -> None:
    del entry.workspace["resource"]["instanceType"]
    entry.options["nodes"] = {"provider": "existing"}


ADAPTER = {"source": {"name": "a", "image": "r.example.com/a:1"}}
OTHER_CONTAINERS = [{"name": "web", "image": "r.example.com/web:2"}]
LABELS = part("resource", "labelSelector", "matchLabels", team="a")
VOLUME = {"persistentVolumeClaim": {"claimName": "results"}}
SETS = "A set of replicas"  # shown by test_inference_set.py
SERVES, TUNES, STACK = "A Workspace that serves", "A Workspace that tunes", "The stack's configuration"

ROWS: dict[Row, tuple[Make, Change]] = {
    (SERVES, "nothing"): (serving, lambda entry: None),
    (SERVES, "`resource.instanceType`"): (serving, part("resource", instanceType="Standard_NC40ads_H100_v5")),
    (SERVES, "`resource.labelSelector`"): (serving, LABELS),
    (SERVES, "`resource.count` of a template, from one to several"): (template(1), part("resource", count=2)),
    (SERVES, "`resource.count` of a template, from several to more"): (template(2), part("resource", count=3)),
    (SERVES, "`inference.preset.name`"): (serving, part("inference", "preset", name="phi-3-mini-128k-instruct")),
    (SERVES, "`inference.preset.presetOptions`"): (
        serving, part("inference", "preset", "presetOptions", modelAccessSecret="token"),
    ),
    (SERVES, "`inference.template`"): (template(1), part("inference", "template", "spec", containers=OTHER_CONTAINERS)),
    (SERVES, "`inference.config`, another ConfigMap"): (serving, other_settings),
    (SERVES, "content of that ConfigMap, when it stands in the files"): (
        serving, lambda entry: entry.objects[1]["data"].update({"inference_config.yaml": "vllm: {max-num-seqs: 9}"}),
    ),
    (SERVES, "content of a Secret that stands in the files"): (
        with_secret, lambda entry: entry.objects[1]["stringData"].update({"note": "renewed"}),
    ),
    (SERVES, "`inference.adapters`"): (serving, part("inference", adapters=[ADAPTER])),
    (SERVES, "`inference` turned into `tuning`"): (lambda name: Entry([inference(name)]), tune_instead),
    (SERVES, "annotation `kaito.sh/runtime`"): (
        lambda name: Entry([inference(name)]), annotation("kaito.sh/runtime", "transformers"),
    ),
    (SERVES, "annotation `kaito.sh/node-image-family`"): (
        serving, annotation("kaito.sh/node-image-family", "azurelinux"),
    ),
    (SERVES, "annotation `kaito.sh/enablelb`"): (serving, annotation("kaito.sh/enablelb", "True")),
    (SERVES, "annotation `kaito.sh/performance-mode`"): (
        serving, annotation("kaito.sh/performance-mode", "throughput"),
    ),
    (SERVES, "annotation `pulumi.kaito.sh/weights`"): (
        serving, annotation("pulumi.kaito.sh/weights", "hostPath:/models/phi"),
    ),
    (SERVES, "annotation `pulumi.kaito.sh/api-key-secret`"): (
        serving, annotation("pulumi.kaito.sh/api-key-secret", "key"),
    ),
    (SERVES, "annotation `pulumi.kaito.sh/accept`"): (
        serving, annotation("pulumi.kaito.sh/accept", "vm-size-retired: known"),
    ),
    (SERVES, "`metadata.labels`"): (serving, part("metadata", "labels", team="a")),
    (SERVES, "`metadata.name`"): (lambda name: Entry([inference(name)]), rename),
    (SERVES, "the Workspace taken out"): (serving, lambda entry: entry.objects.clear()),
    (TUNES, "`resource.instanceType`"): (tunes, part("resource", instanceType="Standard_NC12s_v3")),
    (TUNES, "`resource.labelSelector`"): (tunes, LABELS),
    (TUNES, "`tuning.preset.name`"): (tunes, part("tuning", "preset", name="phi-4-mini-instruct")),
    (TUNES, "`tuning.method`"): (tunes, part("tuning", method="lora")),
    (TUNES, "`tuning.input`"): (tunes, part("tuning", "input", urls=["https://example.com/other.parquet"])),
    (TUNES, "`tuning.output`"): (tunes, part("tuning", "output", image="r.example.com/out:2")),
    (TUNES, "annotation `pulumi.kaito.sh/serve`"): (tunes, annotation("pulumi.kaito.sh/serve", "false")),
    (TUNES, "`kaito:nodes.minCount`, `maxCount`"): (tunes, options(nodes={"minCount": 1, "maxCount": 2})),
    (TUNES, "`tuning.config`, another ConfigMap"): (tunes, part("tuning", config="elsewhere")),
    (STACK, "`kaito:imageRegistry`, for a Workspace with an image of ours"): (on_cpu, lambda entry: None),
    (STACK, "`kaito:nodes.spot`"): (serving, options(nodes={"spot": True})),
    (STACK, "`kaito:nodes.zones`"): (serving, options(nodes={"zones": ["1"]})),
    (STACK, "`kaito:nodes.osDiskGib`"): (serving, options(nodes={"osDiskGib": 256})),
    (STACK, "`kaito:nodes.minCount`, `maxCount`"): (serving, options(nodes={"minCount": 1, "maxCount": 2})),
    (STACK, "`kaito:nodes.provider`, from `aks` to `existing`"): (template(1), to_existing),
    (STACK, "`wait.timeoutSeconds`"): (serving, options(wait={"timeoutSeconds": 5000})),
    (STACK, "`wait.until`"): (serving, options(wait={"until": "none"})),
}  # fmt: skip


def test_every_row_of_the_document_is_shown() -> None:
    assert {row for row in documented() if row[0] != SETS} == ROWS.keys() and len(ROWS) > 30


def cells(order: list[tuple[str, str]], name: str, tunes: bool = False) -> tuple[str, ...]:
    """What the steps did to pool, workload and Service of one Workspace; of one that tunes, to its server, too."""
    if tunes:
        return tuple(cell(order, name, kind) for kind in ("pool", "job", "service", "deployment"))
    return cell(order, name, "pool"), cell(order, name, *WORKLOADS), cell(order, name, "service")


def cell(order: list[tuple[str, str]], name: str, *kinds: str) -> str:
    """What the steps did to the parts of one Workspace, in the document's words."""
    steps = [(op, kind) for kind in kinds for op, of in order if of in (f"{name}-{kind}", f"{name}-new-{kind}")]
    ops = [op for op, of in order if of in {f"{whose}-{kind}" for kind in kinds for whose in (name, f"{name}-new")}]
    match sorted(set(ops)):
        case []:
            return "-"
        case ["update"]:
            return "updated"
        case ["delete"]:
            return "deleted"
        case ["create-replacement", "delete-replaced", *_]:
            return "new first" if ops.index("create-replacement") < ops.index("delete-replaced") else "replaced"
        case ["create", "create-replacement", "delete-replaced", "replace"]:
            return "other kind"  # a Job, and a server that starts without a pod
        case ["create", "delete"] if ops.index("create") < ops.index("delete"):
            return "new first" if len({kind for _, kind in steps}) == 1 else "other kind"
    return f"unexpected: {ops}"


@pytest.fixture
def existing_node(cloud: Instance, namespace: str) -> Iterator[Callable[[str], None]]:
    """Makes a node with the label apps=NAME, that is no pool's."""
    name = f"{namespace}-vmss000000"
    cluster = "/subscriptions/0/resourceGroups/mine/providers/Microsoft.ContainerService/managedClusters/mine"

    def make(app: str) -> None:
        node = node_manifest(name, "mine", cluster, "any", 8, 2**36, 1, "here", {"apps": app}, [])
        apply_node(cloud.kubeconfig, node)

    yield make
    delete_node(cloud.kubeconfig, name)


@pytest.mark.timeout(1500)  # one preview a row, and as many pools, which are deleted one after the other
def test_each_change_does_what_the_document_says(
    make_stack: Callable[..., Stack], azure: Azure, namespace: str, tmp_path: Path, existing_node: Callable[[str], None]
) -> None:
    stack = make_stack()
    prefix = namespace[-6:]
    names = {row: f"w{prefix}{index}" for index, row in enumerate(ROWS)}
    entries = {row: make(names[row]) for row, (make, _) in ROWS.items()}
    write(stack, entries, tmp_path, namespace)
    stack.up()
    for row, (_, change) in ROWS.items():
        change(entries[row])
        if "provider" in row[1]:
            existing_node(names[row])
    write(stack, entries, tmp_path, namespace)
    done = stack.up()
    found = {row: cells(done.order, name, row[0] == TUNES) for row, name in names.items()}
    said = documented()
    registry = (STACK, "`kaito:imageRegistry`, for a Workspace with an image of ours")
    assert found.pop(registry) == ("-", "-", "-")
    assert found == {row: said[row] for row in found}
    assert stack.preview("--expect-no-changes").ops == {}
    stack.config["kaito:imageRegistry"] = "other.azurecr.io"
    assert cells(stack.preview().order, names[registry]) == said[registry]


def write(stack: Stack, entries: dict[Row, Entry], folder: Path, namespace: str) -> None:
    """The stack's files, one an entry; an entry without objects is gone."""
    stack.config["kaito:workspaces"] = []
    for index, entry in enumerate(entries.values()):
        objects = copy.deepcopy(entry.objects)
        for one in objects:
            one["metadata"]["namespace"] = namespace
        if objects:
            (path := folder / f"entry-{index}.yaml").write_text(yaml.safe_dump_all(objects))
            stack.config["kaito:workspaces"].append({"file": str(path), **entry.options})
