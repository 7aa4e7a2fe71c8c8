"""What the tuning Job writes is what the tuning image reads: parsed with the image's own parser."""

from pathlib import Path
from typing import Any

from kaito_components.manifests import tuning as manifests
from kaito_components.manifests import workload_objects
from kaito_components.spec.model import DataDestination, DataSource
from tests.unit.workspaces import planned, tuning
from tuning_image import arguments, errors, settings

ROOT = Path(__file__).parents[2]


def job(**changes: Any) -> dict[str, Any]:
    """The container of a tuning Job."""
    made = workload_objects(planned(tuning(**changes)))[-1]
    found: dict[str, Any] = made["spec"]["template"]["spec"]["containers"][0]
    return found


def parsed(container: dict[str, Any]) -> arguments.Arguments:
    """Its command line as the image reads it."""
    assert container["command"][:3] == ["python", "-m", "tuning_image"]
    return arguments.parse(container["command"][3:])


def test_both_agree_on_the_exit_code_that_ends_the_job() -> None:
    assert manifests.USER_ERROR == errors.USER_ERROR


def test_the_job_ends_at_the_images_user_error_and_at_none_of_its_other_exit_codes() -> None:
    rules = workload_objects(planned(tuning()))[-1]["spec"]["podFailurePolicy"]["rules"]
    (stop,) = (rule["onExitCodes"] for rule in rules if rule["action"] == "FailJob")
    assert (stop["operator"], stop["values"], stop["containerName"]) == ("In", [errors.USER_ERROR], job()["name"])
    assert {errors.DONE, errors.TRY_AGAIN, errors.STOPPED}.isdisjoint(stop["values"])


def test_every_folder_that_the_image_is_told_is_mounted() -> None:
    container = job(input=DataSource(image="r.example.com/data:1"), config="mine")
    read, mounts = parsed(container), {one["mountPath"] for one in container["volumeMounts"]}
    assert read.config is not None and {str(read.output), read.data[0], str(read.config.parent)} <= mounts


def test_the_image_watches_the_port_that_the_job_opens() -> None:
    text = (ROOT / "tuning_image/Dockerfile").read_text()
    assert f"TUNING_PORT={job()['ports'][0]['containerPort']}" in text


def test_the_image_logs_in_with_the_push_secret_that_is_mounted() -> None:
    container = job(output=DataDestination(image="r.example.com/a:1", image_push_secret="p"))
    (folder,) = (one["value"] for one in container["env"] if one["name"] == "DOCKER_CONFIG")
    assert folder in {one["mountPath"] for one in container["volumeMounts"]}
    assert '"DOCKER_CONFIG"' in (ROOT / "tuning_image/output/push.py").read_text()


def test_the_image_reads_the_command_line_of_the_job() -> None:
    read = parsed(job(input=DataSource(urls=("https://a/1.parquet", "https://a/2.parquet")), config="mine"))
    assert (read.output, read.config) == (Path("/mnt/results"), Path("/mnt/config/training_config.yaml"))
    assert read.data == ("https://a/1.parquet", "https://a/2.parquet")


def test_the_image_pushes_to_where_the_workspace_says() -> None:
    assert (
        parsed(job(output=DataDestination(image="r.example.com/a:1", image_push_secret="p"))).push_image
        == "r.example.com/a:1"
    )


def test_the_image_adapts_the_modules_that_the_preset_names() -> None:
    container = job()
    environment = {one["name"]: one.get("value", "") for one in container["env"]}
    lora = settings.read(parsed(container), environment).config.LoraConfig
    assert ",".join(lora.target_modules or ()) == environment["DEFAULT_TARGET_MODULES"]


def test_a_service_called_tuning_does_not_reach_the_images_own_variables() -> None:
    assert workload_objects(planned(tuning()))[-1]["spec"]["template"]["spec"]["enableServiceLinks"] is False
