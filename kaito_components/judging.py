"""What findings weigh in the end: warnings that the user accepts, and warnings that a strict stack refuses. Pure.

Called by workspace and cli.plan when everything is found.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from kaito_components.codes import codes
from kaito_components.errors import Finding
from kaito_components.names import ACCEPT_ANNOTATION
from kaito_components.plan import Plan
from kaito_components.plan.findings import by_weight
from kaito_components.spec.model import Workspace

FIELD = f"metadata.annotations.{ACCEPT_ANNOTATION}"
STRICT = "a warning, and an error because of strict; where you must have it so, accept it with the reason in"


ELSEWHERE = ("Azure", "cluster")  # what is found there is not known in every run


def judged(plan: Plan, strict: bool) -> Plan:
    """The plan with its findings as they weigh in the end."""
    return replace(plan, findings=tuple(weighed(plan.findings, plan.spec, strict)))


def weighed(findings: Iterable[Finding], spec: Workspace, strict: bool) -> list[Finding]:
    """The findings about a Workspace, and what there is to say about what it accepts; errors first."""
    found = list(findings)
    said = [weigh(one, spec.accepted, strict) for one in found]
    return sorted([*said, *_misplaced(found, spec)], key=by_weight)


def weigh(found: Finding, accepted: Mapping[str, str], strict: bool) -> Finding:
    """One finding: an accepted warning is an info with the reason; any other is an error in a strict stack."""
    if found.severity != "warning":
        return found
    if reason := accepted.get(found.code):
        return replace(found, severity="info", accepted=reason)
    if strict:
        text = f"{found.message} ({STRICT} the annotation {ACCEPT_ANNOTATION})"
        return replace(found, severity="error", message=text)
    return found


def _misplaced(found: Iterable[Finding], spec: Workspace) -> Iterator[Finding]:
    """What is accepted and is no warning here; what Azure says comes only where it is asked."""
    severities = {(one.code, one.severity) for one in found}
    for code in sorted(spec.accepted):
        if (code, "error") in severities:
            text = f"{code} is an error here and cannot be accepted; put right what it says"
            yield spec.finding("error", "acceptance-of-error", FIELD, text)
        elif (code, "warning") not in severities and codes()[code].found_in not in ELSEWHERE and spec.is_first:
            text = f"{code} is accepted, and no such warning comes; remove the line"
            yield spec.finding("info", "acceptance-unused", FIELD, text)
