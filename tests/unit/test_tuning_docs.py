"""docs/tuning.md names every field of training_config.yaml with its default."""

import re
from pathlib import Path

from tuning_image.sections import Config

TEXT = (Path(__file__).parents[2] / "docs" / "tuning.md").read_text()


def shown(value: object) -> str:
    """A default as the list has it."""
    return "–" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def test_every_field_stands_there_with_its_default() -> None:
    (part,) = re.findall(r"<!-- fields: .*? -->\n(.*?)<!-- end -->", TEXT, re.DOTALL)
    for name, section in Config():
        fields = ", ".join(f"`{key}` {shown(value)}" for key, value in section)
        assert f"- `{name}`: {fields}\n" in part
