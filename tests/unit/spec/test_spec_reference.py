"""docs/workspace.md says what the reader does."""

from pathlib import Path

from kaito_components.spec.reference import with_tables

DOCS = Path(__file__).parents[3] / "docs" / "workspace.md"


def test_the_tables_are_what_the_reader_knows() -> None:
    text = DOCS.read_text()
    assert with_tables(text) == text, "run: python -m kaito_components.spec.reference docs/workspace.md"
    assert "`tuning.output.imagePushSecret`" in text and "`kaito.sh/runtime`" in text
