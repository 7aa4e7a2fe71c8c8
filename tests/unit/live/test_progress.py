"""What a wait says while it lasts, and what it watches."""

import pytest
from observed import goal, tuning

from kaito_components.live.waiting import Progress, asked_for, queries


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def progress(said: list[str]) -> Progress:
    return Progress("phi", said.append)


def test_each_stage_is_said_at_once(progress: Progress, said: list[str]) -> None:
    progress.tell("nodes", "0 of 1 nodes", 0)
    progress.tell("pods", "0 of 1 pods", 0.1)
    assert said == ["phi: 0 of 1 nodes", "phi: 0 of 1 pods"]


def test_other_words_within_a_stage_are_said_every_15_seconds(progress: Progress, said: list[str]) -> None:
    for second in range(31):
        progress.tell("pods", f"word {second}", second)
    assert said == ["phi: word 0", "phi: word 15", "phi: word 30"]


def test_the_same_words_are_repeated_every_minute(progress: Progress, said: list[str]) -> None:
    for second in range(121):
        progress.tell("pods", "loading", second)
    assert said == ["phi: loading"] * 3


def test_the_service_is_not_watched_for_tuning() -> None:
    assert queries(tuning()).keys() == {"nodes", "pods", "workload", "events"}


def test_a_deployment_is_watched_by_name_and_its_pods_by_label() -> None:
    watched = queries(goal())
    assert (watched["workload"].path, watched["workload"].fields) == (
        "/apis/apps/v1/namespaces/models/deployments", "metadata.name=phi",
    )  # fmt: skip
    assert watched["pods"].labels == "kaito.sh/workspace=phi"


def test_numbers_that_come_over_the_wire_as_floats_are_whole() -> None:
    wire = {
        "namespace": "models", "workspace": "phi", "kind": "Deployment", "node_selector": {"apps": "phi"},
        "expected_nodes": 1.0, "gpus_per_node": 2.0, "instance": "Standard_NC12s_v3", "until": "ready",
    }  # fmt: skip
    assert repr(asked_for(wire)) == repr(goal())
