"""The tables of docs/serving.md are those of the code."""

from serving_image import field_tables


def test_the_tables_of_the_page_are_up_to_date():
    page = field_tables.PAGE.read_text()
    assert field_tables.MARKER in page
    assert page == field_tables.updated(page), "run .venv-images/bin/python -m serving_image.field_tables"
