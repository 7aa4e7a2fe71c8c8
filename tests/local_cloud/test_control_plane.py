"""Instances of the local cloud: up, down, and what happens when either or a program of theirs crashes."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError

import psutil
import pytest

from local_cloud.control_plane import NAMES, Settings
from local_cloud.instance import Instance, NoInstance, instance_names
from local_cloud.network import CLUSTER_RANGES, free_ports, unrouted
from local_cloud.nodes import core_api
from local_cloud.processes import BackgroundProcess

CHECKOUT = Path(__file__).parents[2]


def pids(instance: Instance) -> dict[str, int | None]:
    return instance.status().processes


def processes_in(folder: Path) -> list[int]:
    """Every process that works in the folder, recorded or not."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


def kill(instance: Instance, *names: str) -> None:
    """Crashes programs of the instance behind its back."""
    for name in names:
        pid = pids(instance)[name]
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: all(pids(instance)[name] is None for name in names))


def remember(instance: Instance, text: str) -> None:
    with core_api(instance.kubeconfig) as api:
        api.create_namespaced_config_map("default", {"metadata": {"name": "memory"}, "data": {"text": text}})


def remembered(instance: Instance) -> str:
    with core_api(instance.kubeconfig) as api:
        return str(api.read_namespaced_config_map("memory", "default").data["text"])


def eventually(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)


@pytest.fixture
def unused() -> Iterator[Instance]:
    """An instance that is not up."""
    instance = Instance(f"test-{uuid.uuid4().hex[:12]}")
    yield instance
    instance.down()


def test_up_says_that_it_is_ready_and_how_long_it_took_and_down_leaves_no_process_and_no_file(unused: Instance) -> None:
    lines: list[str] = []
    unused.up(lines.append)
    assert lines[-1].startswith(f"local cloud '{unused.name}': ready in ") and unused.status().is_up
    assert len(processes_in(unused.folder)) == len(NAMES)
    unused.down()
    assert processes_in(unused.folder) == [] and not unused.folder.exists()
    assert unused.name not in instance_names()


def test_down_twice_is_fine(unused: Instance) -> None:
    unused.down()
    unused.down()


def test_down_ends_what_is_left_after_a_crash(own_cloud: Instance) -> None:
    kill(own_cloud, "etcd", "kwok")
    own_cloud.down()
    assert processes_in(own_cloud.folder) == []


def test_a_second_up_leaves_what_runs_and_brings_back_what_crashed_or_was_put_down_with_its_data(
    own_cloud: Instance,
) -> None:
    remember(own_cloud, "still here")
    before = pids(own_cloud)
    own_cloud.up()
    assert pids(own_cloud) == before
    kill(own_cloud, "etcd", "kube-apiserver", "kube-scheduler")
    assert not own_cloud.status().is_up
    own_cloud.up()
    after = pids(own_cloud)
    assert remembered(own_cloud) == "still here"
    assert {name for name in NAMES if before[name] != after[name]} == {"etcd", "kube-apiserver", "kube-scheduler"}
    own_cloud.down(keep_state=True)
    assert processes_in(own_cloud.folder) == []
    own_cloud.up()
    assert remembered(own_cloud) == "still here"


@pytest.mark.parametrize("moment", ["etcd.pid", "kube-apiserver.pid", "kwok.pid"])
def test_down_ends_a_half_finished_up(unused: Instance, moment: str) -> None:
    up = subprocess.Popen([sys.executable, "-m", "local_cloud", "up", "--name", unused.name], cwd=CHECKOUT)
    eventually((unused.folder / moment).exists)
    up.kill()
    up.wait()
    unused.down()
    assert processes_in(unused.folder) == []


def test_up_goes_on_from_a_half_finished_up(unused: Instance) -> None:
    up = subprocess.Popen([sys.executable, "-m", "local_cloud", "up", "--name", unused.name], cwd=CHECKOUT)
    eventually((unused.folder / "etcd.pid").exists)
    up.kill()
    up.wait()
    unused.up()
    assert unused.status().is_up
    assert len(processes_in(unused.folder)) == len(NAMES)


def test_an_instance_outlives_the_session_that_started_it(unused: Instance) -> None:
    command = [sys.executable, "-m", "local_cloud", "up", "--name", unused.name]
    shell = subprocess.Popen(["/bin/sh", "-c", f"{' '.join(command)}; sleep 60"], cwd=CHECKOUT, start_new_session=True)
    eventually(lambda: (unused.folder / "kwok.pid").exists() and unused.status().is_up)
    os.killpg(shell.pid, signal.SIGHUP)
    shell.wait()
    assert unused.status().is_up


def test_down_never_ends_a_process_that_has_got_a_recorded_id(tmp_path: Path) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    stat = Path(f"/proc/{stranger.pid}/stat").read_text().split()
    stat[21] = str(int(stat[21]) - 1)  # as recorded for an earlier process with this id
    (tmp_path / "etcd.pid").write_text(" ".join(stat) + "\n")
    process = BackgroundProcess("etcd", tmp_path)
    process.end()
    assert stranger.poll() is None
    assert process.pid() is None
    stranger.kill()
    stranger.wait()


def test_two_instances_know_nothing_of_each_other_and_the_credentials_of_one_are_worth_nothing_in_the_other(
    cloud: Instance, own_cloud: Instance, namespace: str
) -> None:
    assert set(cloud.status().ports.values()).isdisjoint(own_cloud.status().ports.values())
    with core_api(own_cloud.kubeconfig) as api:
        assert namespace not in {item.metadata.name for item in api.list_namespace().items}
    theirs = json.loads(own_cloud.kubeconfig.read_text())
    theirs["clusters"][0]["cluster"]["server"] = cloud.status().server
    mixed = own_cloud.folder / "mixed"
    mixed.write_text(json.dumps(theirs))
    with core_api(mixed) as api, pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
        api.list_namespace()


def test_a_stopped_api_server_comes_back_on_the_same_port_and_the_controllers_go_on(own_cloud: Instance) -> None:
    before = own_cloud.status()
    own_cloud.stop_api_server()
    assert not own_cloud.status().ready
    own_cloud.start_api_server()
    assert own_cloud.status().server == before.server
    with core_api(own_cloud.kubeconfig) as api:
        api.create_namespace({"metadata": {"name": "after"}})
        eventually(lambda: "default" in {a.metadata.name for a in api.list_namespaced_service_account("after").items})
    changed = {name for name in NAMES if pids(own_cloud)[name] != before.processes[name]}
    assert changed == {"kube-apiserver"}


def test_who_shows_no_certificate_may_read_nothing(cloud: Instance) -> None:
    trust = ssl.create_default_context(cafile=str(cloud.folder / "pki/ca.crt"))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust))
    with pytest.raises(HTTPError) as refused:
        opener.open(f"{cloud.status().server}/api/v1/secrets")
    assert refused.value.code == 403
    refused.value.close()


def test_a_node_may_not_change_another_node(cloud: Instance, node: str) -> None:
    with core_api(cloud.kubeconfig) as api:
        identity = {"Impersonate-User": "system:node:other", "Impersonate-Group": "system:nodes"}
        api.api_client.default_headers.update(identity)
        with pytest.raises(Exception, match="is not allowed to modify node"):
            api.patch_node(node, {"metadata": {"labels": {"stolen": "yes"}}})


def test_keys_are_readable_by_their_owner_only(cloud: Instance) -> None:
    secret = [*(cloud.folder / "pki").glob("*.key"), *cloud.folder.glob("*kubeconfig")]
    assert len(secret) >= 8
    assert {path.stat().st_mode & 0o077 for path in secret} == {0}


def test_ports_of_instances_that_are_down_stay_theirs() -> None:
    taken = set(range(20000, 29999))
    assert free_ports(1, taken) == [29999]


def test_a_cluster_range_never_hides_a_network_of_this_machine(tmp_path: Path) -> None:
    routes = tmp_path / "route"
    routes.write_text(
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t0000600A\t00000000\t0001\t0\t0\t0\t00F0FFFF\t0\t0\t0\n"
    )
    assert unrouted(CLUSTER_RANGES, routes) == "10.196.0.0/16"


def test_settings_are_read_as_they_were_written(tmp_path: Path) -> None:
    settings = Settings.choose((20001, 20002))
    settings.save(tmp_path / "settings.json")
    assert Settings.load(tmp_path / "settings.json") == settings


@pytest.mark.parametrize("name", ["", "Upper", "a/b", "..", "-a", "a" * 41])
def test_a_name_that_is_no_folder_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no instance name"):
        Instance(name)


def test_an_instance_that_is_not_up_says_how_to_bring_it_up(unused: Instance) -> None:
    with pytest.raises(NoInstance, match=f"python -m local_cloud up --name {unused.name}"):
        unused.status()
