"""KAITO's annotations on a Workspace, and ours: which there are, their values, what they mean here. Called by rules."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kaito_components import names
from kaito_components.errors import Finding
from kaito_components.spec import accepting, schema
from kaito_components.spec.composing import below
from kaito_components.spec.document import Document
from kaito_components.spec.references import PLACEHOLDER, image_problem, key_problem, name_problem


@dataclass(frozen=True)
class Annotation:
    """One that decides something here.

    Attributes:
        meaning: for the documentation.
        values: the ones it may have; None for any.
        any_case: whether `Ubuntu` is `ubuntu`.
    """

    meaning: str
    values: tuple[str, ...] | None = None
    any_case: bool = False


KNOWN = {
    names.RUNTIME_ANNOTATION: Annotation(
        "which server runs the model; without it vllm where the GPU and the preset allow it, else transformers",
        ("vllm", "transformers"),
    ),
    names.LOAD_BALANCER_ANNOTATION: Annotation(
        "`True`: the Service is of type LoadBalancer, reachable from outside the cluster", ("True", "False")
    ),
    names.BYPASS_ANNOTATION: Annotation("any value: the check that the model fits the GPUs is left out"),
    names.IMAGE_FAMILY_ANNOTATION: Annotation(
        "operating system of the nodes that are made", ("ubuntu", "azurelinux"), any_case=True
    ),
    names.PERFORMANCE_ANNOTATION: Annotation(
        "vLLM's `--performance-mode`",
        ("balanced", "interactivity", "throughput"),
    ),
    names.LOCAL_WEIGHTS_ANNOTATION: Annotation(
        "`true`: weights are in `/opt/kaito/models/<model>` of the node",
        ("true", "false"),
    ),
    names.WEIGHTS_ANNOTATION: Annotation(
        "where weights come from: `huggingface`, `image:REF`, `pvc:CLAIM[/sub/path]` or `hostPath:/path` (ours)",
    ),
    names.DTYPE_ANNOTATION: Annotation(
        "what the model computes in; without it what its preset and the GPU have (ours)",
        ("bfloat16", "float16", "float32"),
    ),
    names.API_KEY_ANNOTATION: Annotation(
        f"a Secret with the key `{names.API_KEY}`: who asks the model must send its value as a bearer token (ours)",
    ),
    names.SERVE_ANNOTATION: Annotation(
        '`"false"`: a tuning Workspace does not serve what it tuned; without it, it does (ours)', ("true", "false")
    ),
    names.ACCEPT_ANNOTATION: Annotation(
        "`CODE: REASON`, one a line: the warnings of this Workspace that may stand ([findings.md](findings.md)) (ours)",
    ),
}
WITHOUT_MEANING = {
    "kaito.sh/disable-benchmark": "no benchmark is run after loading",
    "kaito.sh/node-class-name": "nodes are AKS agent pools, not Karpenter's",
    "kaito.sh/model-streaming": "there is no model mirror",
    "kaito.sh/model-mirror-storage-class": "there is no model mirror",
    "kaito.sh/streaming-service-account": "there is no model mirror",
    "kaito.sh/upgrade-start-time": "no controller upgrades images; `pulumi up` does",
    "inference.kaito.sh/static-model-mirror": "there is no model mirror",
    "inference.kaito.sh/stream-datarefs-url": "there is no model mirror",
    "inference.kaito.sh/stream-identity-client-id": "there is no model mirror",
    "inference.kaito.sh/stream-source-type": "there is no model mirror",
}
SERVER_SET = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "workspace.kaito.io/revision",
    "workspace.kaito.io/hash",
)
_OTHER_KINDS = ("scaledobject.kaito.sh/", "inferenceset.kaito.io/", "ragengine.kaito.io/", "karpenter.kaito.sh/")
_OURS_OR_KAITOS = (".kaito.sh", ".kaito.io")


def kept(annotations: Mapping[str, str]) -> dict[str, str]:
    """Without what a cluster or kubectl has added: the last applied text of a Secret holds its values."""
    return {key: value for key, value in annotations.items() if key not in SERVER_SET}


def of_object(document: Document, annotations: Mapping[str, str]) -> Iterator[Finding]:
    """Rules for the annotations of any object."""
    for key in annotations:
        field = below("metadata.annotations", key)
        if key in SERVER_SET:
            yield document.info("server-field", field, "is set by kubectl or a controller; it is not used")
        elif problem := key_problem(key):
            yield document.error(problem[0], "metadata.annotations", problem[1])


def of_workspace(document: Document, parsed: schema.WorkspaceFile) -> Iterator[Finding]:
    """Rules for the annotations of a Workspace."""
    annotations = kept(parsed.metadata.annotations)
    for key, value in annotations.items():
        prefix = key.rpartition("/")[0]
        if key in KNOWN:
            yield from _of_known(document, key, value)
        elif key in WITHOUT_MEANING:
            text = f"decides nothing here: {WITHOUT_MEANING[key]}; remove it"
            yield document.warning("ignored-annotation", below("metadata.annotations", key), text)
        elif key.startswith(_OTHER_KINDS):
            text = "decides nothing here: it belongs to KAITO's autoscaler or to another kind; remove it"
            yield document.warning("ignored-annotation", below("metadata.annotations", key), text)
        elif prefix in ("kaito.sh", "kaito.io") or prefix.endswith(_OURS_OR_KAITOS):
            yield document.error("unknown-annotation", below("metadata.annotations", key), _unknown(key))


def _of_known(document: Document, key: str, value: str) -> Iterator[Finding]:
    known, field = KNOWN[key], below("metadata.annotations", key)
    compared = value.lower() if known.any_case else value
    if known.values and compared not in known.values:
        text = f"{value!r} must be {' or '.join(map(repr, known.values))}"
        exact = "" if known.any_case or value.lower() not in map(str.lower, known.values) else ", written exactly so"
        yield document.error("annotation-value", field, text + exact)
    elif key == names.ACCEPT_ANNOTATION:
        for text in accepting.problems(value):
            yield document.error("acceptance", field, text)
    elif problem := _problem_of(key, value):
        yield document.error(problem[0], field, problem[1])


def _problem_of(key: str, value: str) -> tuple[str, str] | None:
    if key == names.API_KEY_ANNOTATION:
        return name_problem(value, "Secret")
    return _weights_problem(value) if key == names.WEIGHTS_ANNOTATION else None


def _weights_problem(value: str) -> tuple[str, str] | None:
    kind, colon, reference = value.partition(":")
    claim, _, sub_path = reference.partition("/")
    if kind == "image" and colon:
        return image_problem(reference)
    if kind == "pvc" and colon:
        if ".." in sub_path.split("/"):
            return "annotation-value", f"{value!r} leaves its volume: a sub-path has no '..'"
        return name_problem(claim, "PersistentVolumeClaim")
    if (kind == "hostPath" and reference.startswith("/")) or value == "huggingface":
        return None
    code = "placeholder" if PLACEHOLDER.search(value) else "annotation-value"
    return code, f"{value!r} must be huggingface, image:REF, pvc:CLAIM[/sub/path] or hostPath:/path"


def _unknown(key: str) -> str:
    known = sorted({*KNOWN, *WITHOUT_MEANING})
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(KNOWN))}"
    return f"is not an annotation of KAITO's or ours; {hint}"
