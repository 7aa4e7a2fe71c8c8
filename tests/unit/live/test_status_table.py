"""The table of `kaito status`."""

from dataclasses import replace

import pytest
from observed import goal, node, running_pod, snapshot, tuning, tuning_snapshot

from kaito_components.cli.status_text import Table, as_json, set_lines
from kaito_components.live.status import row
from kaito_components.units import duration

SERVING = row(snapshot(), goal())
BROKEN = row(snapshot(nodes=(node(gpus=0),)), goal(workspace="llama-3-70b"))
TUNING = row(tuning_snapshot(running_pod(owner="phi")), tuning(workspace="phi-tuned"))


def words(*rows: object, **options: bool) -> list[list[str]]:
    found = list(rows)
    return [line.split() for line in Table(found, **{"with_namespace": False} | options).lines(found)]  # type: ignore[arg-type]


def test_inference_has_kaitos_columns() -> None:
    header, line = words(SERVING)
    assert header == ["NAME", "INSTANCE", "RESOURCEREADY", "INFERENCEREADY", "WORKSPACEREADY", "AGE"]
    assert line[:5] == ["phi", "Standard_NC12s_v3", "True", "True", "True"]


def test_tuning_adds_a_column() -> None:
    header, serving, tuned = words(SERVING, TUNING)
    assert header[4] == "JOBSTARTED"
    assert (serving[3:6], tuned[3:6]) == (["True", "-", "True"], ["-", "True", "False"])


def test_all_namespaces_add_a_column() -> None:
    header, line = words(SERVING, with_namespace=True)
    assert (header[0], line[0]) == ("NAMESPACE", "models")


def test_a_set_is_counted_below_its_replicas() -> None:
    replicas = [replace(SERVING, inference_set="phi"), replace(BROKEN, inference_set="phi"), TUNING]
    blank, header, line = (one.split() for one in set_lines(replicas, with_namespace=True))
    assert blank == [] and header == ["NAMESPACE", "INFERENCESET", "REPLICAS", "READYREPLICAS", "AGE"]
    assert line[:4] == ["models", "phi", "2", "1"]
    assert set_lines([SERVING], with_namespace=False) == []


def test_columns_are_aligned_and_plain() -> None:
    lines = Table([SERVING, BROKEN], with_namespace=False).lines([SERVING, BROKEN])
    assert {line.index(word) for line, word in zip(lines, ("INSTANCE", "Standard", "Standard"), strict=True)} == {14}


def test_later_rows_keep_the_columns_of_the_first() -> None:
    table = Table([SERVING, BROKEN], with_namespace=False)
    assert table.lines([SERVING], with_header=False) == [table.lines([SERVING])[1]]
    assert table.fits([BROKEN]) and not table.fits([TUNING])


def test_json_holds_conditions_and_troubles() -> None:
    made = as_json(BROKEN)
    assert made["resourceReady"] is False and made["conditions"][1]["reason"] == "NodePluginsNotReady"
    assert made["troubles"][0].keys() == {"object", "reason", "message", "wayOut", "log"}
    assert made["ageSeconds"] >= 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (119, "119s"), (120, "2m"), (200, "3m20s"), (599, "9m59s"), (600, "10m"), (10799, "179m"),
        (10800, "3h"), (11100, "3h5m"), (28800, "8h"), (172800, "2d"), (180000, "2d2h"), (691200, "8d"),
        (730 * 86400, "2y"), (800 * 86400, "2y70d"),
    ],
)  # fmt: skip
def test_an_age_is_written_as_kubectl_writes_it(seconds: int, text: str) -> None:
    assert duration(seconds) == text
