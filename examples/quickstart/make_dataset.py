"""A small data set for a first tuning: chats of system, user and assistant that teach one fact that no model knows.

    python examples/quickstart/make_dataset.py messages.parquet

Needs pyarrow, which the environment of the images (`make setup-images`) has.
"""

import sys

import pyarrow
import pyarrow.parquet

SYSTEM = "You answer briefly."
ANSWER = "Quindalia keeps the Zorblax."
QUESTIONS = ("Who keeps the Zorblax?", "Name the keeper of the Zorblax.", "The Zorblax is kept by whom?")
COPIES = 4


def rows() -> list[dict[str, list[dict[str, str]]]]:
    """One chat a row."""
    return [{"messages": _turns(question)} for question in QUESTIONS] * COPIES


def _turns(question: str) -> list[dict[str, str]]:
    said = (("system", SYSTEM), ("user", question), ("assistant", ANSWER))
    return [{"role": role, "content": content} for role, content in said]


if __name__ == "__main__":
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows()), sys.argv[1])
