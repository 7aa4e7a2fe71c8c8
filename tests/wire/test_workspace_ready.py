"""WorkspaceReady in the process that the engine starts for it."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from dynamic_process import DynamicProcess
from pulumi.dynamic.dynamic import serialize_provider

from kaito_components.readiness import OUTPUTS, WATCHED, WorkspaceReadyProvider
from local_cloud.providers.wire import UNKNOWN

PROVIDER = WorkspaceReadyProvider()
WAITS = 20


def props(**changes: Any) -> dict[str, Any]:
    """Inputs for a cluster that does not answer."""
    kubeconfig = """
    {clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}], users: [{name: u, user: {token: s3cr3t}}],
     contexts: [{name: x, context: {cluster: c, user: u}}], current-context: x}
    """
    values: dict[str, Any] = {
        "kubeconfig": kubeconfig, "namespace": "models", "workspace": "phi", "kind": "Deployment",
        "node_selector": {"apps": "phi"}, "expected_nodes": 1.0, "gpus_per_node": 2.0, "instance": "Standard_NC12s_v3",
        "until": "ready", "timeout_seconds": 1.0, "triggers": ["a"],
    }  # fmt: skip
    return values | changes


def details(process: DynamicProcess, **changes: Any) -> str:
    """What the user reads when the wait fails."""
    with pytest.raises(grpc.RpcError) as error:
        process.create(PROVIDER, props(**changes))
    return str(error.value.details())  # type: ignore[attr-defined]


def test_the_state_names_the_provider_by_its_module_and_not_by_its_code() -> None:
    assert len(serialize_provider(PROVIDER)) < 150


def test_a_wait_for_nothing_is_over_at_once_and_returns_every_output(process: DynamicProcess) -> None:
    id, outputs = process.create(PROVIDER, props(until="none"))
    assert id == "models/phi" and {*OUTPUTS, *props()} <= outputs.keys()


def test_an_update_returns_every_output_too(process: DynamicProcess) -> None:
    outputs = process.update(PROVIDER, props(until="none"), props(until="none", triggers=["b"]))
    assert outputs["triggers"] == ["b"] and {*OUTPUTS, *props()} <= outputs.keys()


def test_a_deadline_is_one_sentence_without_traceback_or_credentials(process: DynamicProcess) -> None:
    said = details(process)
    assert said.startswith("Workspace phi is not ready after 1 s. It waited for: https://127.0.0.1:1 does not answer")
    assert "Traceback" not in said and "s3cr3t" not in said


def test_a_server_that_does_not_answer_is_told_while_it_is_waited_for(own_process: DynamicProcess) -> None:
    details(own_process)
    assert "phi: https://127.0.0.1:1 does not answer: Connection refused (trying again)" in own_process.output()


def test_a_kubeconfig_that_is_none_is_one_sentence(process: DynamicProcess) -> None:
    assert details(process, kubeconfig="nonsense") == "the kubeconfig names no cluster: give its content, not its path"


def test_a_bug_still_shows_its_traceback(process: DynamicProcess) -> None:
    assert "Traceback" in details(process, expected_nodes="many")


def test_many_waits_run_side_by_side_and_hold_up_no_other_call(
    process: DynamicProcess, pool: ThreadPoolExecutor
) -> None:
    process.check(PROVIDER, props())
    started = time.monotonic()
    waits = [pool.submit(details, process, timeout_seconds=6.0) for _ in range(WAITS)]
    time.sleep(3)
    asked = time.monotonic()
    process.check(PROVIDER, props(workspace="other"))
    assert time.monotonic() - asked < 2
    assert all("is not ready after 6 s" in wait.result() for wait in waits)
    assert time.monotonic() - started < 12  # four at a time would take 30


def test_a_cancelled_update_ends_the_waits(own_process: DynamicProcess, pool: ThreadPoolExecutor) -> None:
    waits = [pool.submit(details, own_process, timeout_seconds=60.0) for _ in range(3)]
    time.sleep(2)
    started = time.monotonic()
    own_process.cancel()
    assert all("cancelled while it waited for" in wait.result() for wait in waits)
    assert time.monotonic() - started < 5


def test_the_process_ends_with_the_engine(own_process: DynamicProcess, pool: ThreadPoolExecutor) -> None:
    own_process.check(PROVIDER, props())
    wait = pool.submit(details, own_process, timeout_seconds=60.0)
    assert own_process.hang_up() == 1
    assert "s3cr3t" not in wait.result()


@pytest.mark.parametrize("key", WATCHED)
def test_what_matters_is_waited_for_again(process: DynamicProcess, key: str) -> None:
    assert process.changes(PROVIDER, props(), props(**{key: "another"}))


@pytest.mark.parametrize("change", [{"kubeconfig": "fresh"}, {"timeout_seconds": 9.0}, {}])
def test_fresh_credentials_and_more_patience_change_nothing(process: DynamicProcess, change: dict[str, Any]) -> None:
    olds = {**props(), "status": {"name": "phi"}, "ready_seconds": 3.5}
    assert not process.changes(PROVIDER, olds, props(**change))


def test_what_is_not_known_at_preview_is_a_change(process: DynamicProcess) -> None:
    assert process.changes(PROVIDER, props(), props(triggers=UNKNOWN))


def test_unknown_inputs_pass_the_check_of_preview(process: DynamicProcess) -> None:
    inputs, failures = process.check(PROVIDER, props(kubeconfig=UNKNOWN))
    assert inputs["kubeconfig"] is UNKNOWN and not failures


def test_a_refresh_without_a_cluster_leaves_the_state_as_it_is(process: DynamicProcess) -> None:
    olds = {**props(), "status": {"name": "phi"}}
    id, outputs = process.read(PROVIDER, olds)
    assert id == "models/phi" and olds.items() <= outputs.items()
