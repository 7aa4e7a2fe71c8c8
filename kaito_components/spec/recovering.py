"""A document with wrong fields -> what is left of it, so that the rules can be applied to the rest. Called by bundling.

Without it a person would see a misspelt field first, and the other problems of the file one run later.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import ValidationError

from kaito_components.errors import Finding
from kaito_components.spec import schema
from kaito_components.spec.document import Document
from kaito_components.spec.explaining import explain, holder_of, path_of

_ROUNDS = 8  # a wrong model is replaced level by level; the deepest field is seven levels down
_ABOUT_FIELDS_BELOW = {"one-of", "adapter-source"}
_ABOUT_FIELDS_BESIDE = {"partition"}


@dataclass(frozen=True)
class Parsed:
    """What a document was parsed to.

    Attributes:
        file: None if not even the rest could be parsed.
        findings: what is wrong with its fields' names and types.
        mended: paths of the fields that were left out, or have a stand-in now.
    """

    file: schema.Strict | None
    findings: tuple[Finding, ...]
    mended: frozenset[str]

    def tells(self, finding: Finding) -> bool:
        """Whether a rule's finding is about the document, and not about what was mended in it."""
        for path in self.mended:
            if finding.field == path or finding.field.startswith((f"{path}.", f"{path}[")):
                return False
            if finding.code in _ABOUT_FIELDS_BELOW and _parent(path) == finding.field:
                return False
            if finding.code in _ABOUT_FIELDS_BESIDE and _parent(path) == _parent(finding.field):
                return False
        return True


def parse(document: Document, shape: type[schema.Strict]) -> Parsed:
    """Parses a document, or what is right of it."""
    values = document.values
    findings: tuple[Finding, ...] = ()
    mended: frozenset[str] = frozenset()
    for _ in range(_ROUNDS):
        try:
            return Parsed(shape.model_validate(values), findings, mended)
        except ValidationError as refused:
            findings = findings or tuple(explain(document, shape, refused))
            values = copy.deepcopy(values)
            for error in refused.errors(include_url=False):
                mended |= {path_of(error["loc"])}
                _mend(values, shape, error["loc"], error["type"])
    return Parsed(None, findings, mended)


def _mend(values: Any, shape: type[schema.Strict], location: Sequence[Any], wrong: str) -> None:
    """Takes a wrong field away; puts a stand-in where one must be."""
    place = values
    for part in location[:-1]:
        place = place[part]
    last = location[-1]
    if wrong == "missing" or isinstance(last, int):
        place[last] = _stand_in(shape, location)
    else:
        place.pop(last, None)


def _stand_in(shape: type[schema.Strict], location: Sequence[Any]) -> Any:
    names = [part for part in location if isinstance(part, str)]
    holder = holder_of(shape, names)
    field = schema.fields(holder).get(names[-1]) if holder else None
    if field is None:
        return "x"
    if schema.model_of(field.annotation):
        return {}
    choices = get_args(field.annotation)
    return choices[-1] if choices and isinstance(choices[-1], str) else "x"


def _parent(path: str) -> str:
    return path.rpartition("[")[0] if path.endswith("]") else path.rpartition(".")[0]
