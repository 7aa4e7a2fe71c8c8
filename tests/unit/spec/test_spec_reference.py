"""docs/workspace.md says what the reader does, and every code is documented and used."""

import re
from pathlib import Path

import kaito_components.spec
from kaito_components.spec.codes import CODES
from kaito_components.spec.reference import with_tables

DOCS = Path(__file__).parents[3] / "docs" / "workspace.md"
SOURCES = sorted(Path(kaito_components.spec.__file__).parent.glob("*.py"))


def test_the_tables_are_what_the_reader_knows() -> None:
    text = DOCS.read_text()
    assert with_tables(text) == text, "run: python -m kaito_components.spec.reference docs/workspace.md"
    assert "`tuning.output.imagePushSecret`" in text and "`kaito.sh/runtime`" in text


def test_every_documented_code_is_used_and_every_used_one_documented() -> None:
    source = "\n".join(path.read_text() for path in SOURCES if path.name != "codes.py")
    assert set(CODES) <= set(re.findall(r'"([a-z0-9-]+)"', source))
    said = re.findall(
        r'(?:error|warning|info|say|Unusable|Finding)\(\s*(?:line, |"error", )?"(?!error")([a-z0-9-]+)"', source
    )
    assert len(said) > 40 and set(said) <= set(CODES)
