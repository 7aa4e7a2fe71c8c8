"""Clocks that are set, as NTP does, or a machine that sleeps: no duration is taken from the time of day."""

import re

from tests.serving.servers import ROOT

TELLING = re.compile(r"created|completed_at|STARTED =|wall: int")  # to a client or a collector, never subtracted


def test_the_time_of_day_is_only_told():
    asked = {
        f"{path.name}: {line.strip()}"
        for path in (ROOT / "serving_image").rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(r"\btime\.time\b|\btime_ns|datetime\.(now|utcnow|today)", line)
    }
    assert asked and {line for line in asked if not TELLING.search(line)} == set()
