"""Clocks that are set, as NTP does, or a machine that sleeps: no duration is taken from the time of day."""

import re
import threading
from pathlib import Path

from tests.serving.servers import ROOT, running
from tests.serving.test_operation import read_stream

TELLING = re.compile(r"created|completed_at|STARTED =|wall: int")  # to a client or a collector, never subtracted
YEAR_SECONDS = 365 * 86400


def test_the_time_of_day_is_only_told():
    asked = {
        f"{path.name}: {line.strip()}"
        for path in (ROOT / "serving_image").rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(r"\btime\.time\b|\btime_ns|datetime\.(now|utcnow|today)", line)
    }
    assert asked and {line for line in asked if not TELLING.search(line)} == set()


def test_a_clock_that_is_set_a_year_on_and_back_ends_no_stream_and_reaches_no_deadline(
    tiny_model: Path, tmp_path: Path
):
    clock, deadlines = tmp_path / "clock", ("--queue-timeout", "60", "--first-token-timeout", "60")
    deadlines += ("--total-timeout", "120", "--liveness-timeout", "60", "--write-timeout", "60")
    start = {"module": "tests.serving.jumping", "environment": {"JUMPING_FILE": str(clock)}, "model": str(tiny_model)}
    with running(tmp_path, *deadlines, **start) as server, server.http() as http:
        for jump in (YEAR_SECONDS, -YEAR_SECONDS):
            began, ends = threading.Event(), []
            body = {"prompt": "a", "max_tokens": 300, "ignore_eos": True}
            stream = threading.Thread(target=lambda: ends.append(read_stream(server, body, began)))  # noqa: B023
            stream.start()
            assert began.wait(60)
            clock.write_text(str(jump))
            assert http.get("/health/live").json()["seconds_without_step"] < 60
            told = http.post("/v1/completions", json={"prompt": "a", "max_tokens": 1}).json()["created"]
            stream.join()
            assert ends == ["data: [DONE]"]
            assert abs(told - (http.get("/v1/models").json()["data"][0]["created"] + jump)) < YEAR_SECONDS / 2
