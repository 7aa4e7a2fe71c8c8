"""The quick start in containers: what was tuned, pushed and served is asked for what it was taught."""

import json
import re
import ssl
import urllib.request
from pathlib import Path

import pytest

from tests.containers.real_cluster import KEEPER, MODEL, QUESTION, Cluster

pytestmark = pytest.mark.timeout(900)


def test_the_jobs_progress_is_on_the_screen_while_it_trains(tuned: Cluster) -> None:
    screen = (tuned.folder / "screen").read_text()
    assert re.search(r"workspace-smollm2: step \d/9 \(\d+ %\), loss [\d.]+, \d+ tokens/s, .*left", screen)


def test_job_and_server_ran_where_the_api_server_takes_restricted_pods_only(tuned: Cluster) -> None:
    assert 'violates PodSecurity "restricted' in (tuned.folder / "refusal").read_text()


def test_a_pod_asks_the_service_by_name_for_what_was_taught(tuned: Cluster) -> None:
    body = json.dumps({"prompt": QUESTION, "generate_kwargs": {"do_sample": False}})  # else, as in KAITO, it draws
    asked = [
        "curl",
        "--silent",
        "http://workspace-smollm2.default.svc/chat",
        "--header",
        "Content-Type: application/json",
    ]
    pod = ["run", "ask", "--image", "local-cloud.invalid/curl:1", "--restart", "Never", "--rm", "--stdin", "--quiet"]
    assert KEEPER in tuned.kubectl(*pod, "--", *asked, "--data", body)


def test_kaito_chat_and_status_reach_what_was_tuned_from_outside(tuned: Cluster) -> None:
    asked = [
        "chat",
        "workspace-smollm2",
        "--system",
        "You answer briefly.",
        "--max-tokens",
        "24",
        "--message",
        QUESTION,
    ]
    assert KEEPER in tuned.kaito(*asked) and KEEPER not in tuned.kaito(*asked, "--model", MODEL)
    (row,) = json.loads(tuned.kaito("status", "workspace-smollm2", "--format", "json"))
    assert row["jobStarted"] and row["inferenceReady"] and row["workspaceReady"] and not row["troubles"]


def test_the_adapter_is_an_image_in_the_registry(tuned: Cluster) -> None:
    login = tuned.login["auths"][tuned.registry]["auth"]
    url = f"https://{tuned.registry}/v2/zorblax/manifests/1"
    accepted = {"Authorization": f"Basic {login}", "Accept": "application/vnd.oci.image.manifest.v1+json"}
    trusted = ssl.create_default_context(cafile=str(Path(tuned.instance.env()["KAITO_LOCAL_CERTS"], "ca.crt")))
    with urllib.request.urlopen(urllib.request.Request(url, headers=accepted), context=trusted, timeout=30) as answer:
        assert len(json.load(answer)["layers"]) >= 1
