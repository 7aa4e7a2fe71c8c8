"""What real nodes of the local cloud bring is what pods of our Workspaces ask for."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from kaito_components.manifests.pods import ORAS_IMAGE, SKOPEO_IMAGE
from kaito_components.plan import plan
from kaito_components.spec.model import Workspace
from local_cloud.real import node_images
from tests.unit.workspaces import CPU, T4, V100, inference, tuning


def test_nodes_have_the_pullers_under_the_names_that_pods_give_them() -> None:
    assert SKOPEO_IMAGE in node_images.DEBIAN.values() and ORAS_IMAGE == node_images.ORAS_NAME


@pytest.mark.parametrize(
    "spec", [inference(CPU, "smollm2-135m-instruct"), tuning(V100), tuning(T4, "smollm2-135m-instruct")]
)
def test_nodes_have_our_images_under_every_name_that_a_plan_gives_them(spec: Workspace) -> None:
    made = plan(spec, image_registry=node_images.REGISTRY)
    built = f"localhost/{made.image.rsplit('/', 1)[-1].rsplit('-', 1)[0]}-cpu"
    assert made.image in node_images.names_of(built)
    assert made.serving is None or made.serving.image in node_images.names_of(built.replace("tuning", "serving"))


def test_images_are_built_where_they_fit_and_where_they_were_built_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAITO_CACHE", str(tmp_path))
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=5 * 10**9))
    assert re.search(r"need 28 GB of disk the first time, .* has 5 GB free", node_images.no_room() or "")
    key = tmp_path / "node-images" / "key"
    key.write_text("a" * 64)
    node_images._generation("a" * 64).mkdir()
    assert node_images.no_room() is None
    shutil.rmtree(key.parent)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=node_images.FIRST_BUILD_BYTES))
    assert node_images.no_room() is None
