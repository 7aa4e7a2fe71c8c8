"""Files of every format and of every wrong kind."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import chat, jsonl, read

from tuning_image.data import loading, rows
from tuning_image.data.shapes import Example
from tuning_image.errors import UserError

ROWS = [chat("a", "b"), chat("c", "d", "be kind")]


def load(tmp_path: Path, data: Path | str, *flags: str) -> loading.Dataset:
    """The data set of a run."""
    return loading.load(read(tmp_path / "out", data, "--set", "DatasetConfig.shuffle_dataset=false", *flags), tmp_path)


def write(path: Path, values: list[dict[str, Any]]) -> Path:
    """Rows in the format that the name says."""
    table = pa.Table.from_pylist(values)
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".arrow":
        with pa.ipc.new_stream(path, table.schema) as sink:
            sink.write_table(table)
    elif path.suffix == ".json":
        path.write_text(json.dumps(values))
    else:
        jsonl(path, values)
    return path


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "json", "jsonl"])
def test_the_same_rows_come_from_every_format(tmp_path: Path, suffix: str) -> None:
    examples = load(tmp_path, write(tmp_path / f"data.{suffix}", ROWS)).train
    assert [e.messages for e in examples] == [
        (("user", "a"), ("assistant", "b")),
        (("system", "be kind"), ("user", "c"), ("assistant", "d")),
    ]


def test_json_lines_under_the_name_json_are_read(tmp_path: Path) -> None:
    assert len(load(tmp_path, jsonl(tmp_path / "data.json", ROWS)).train) == 2


def test_a_csv_file_of_instructions_becomes_chats(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text('instruction,input,output\n"Add",1 and 2,3\n')
    assert load(tmp_path, tmp_path / "d.csv").train[0].messages == (("user", "Add\n\n1 and 2"), ("assistant", "3"))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "a", "completion": "b"}, Example(parts=(("a", False), ("b", True)))),
        ({"text": "a"}, Example(parts=(("a", True),))),
        ({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
         Example(messages=(("user", "a"), ("assistant", "b")))),
    ],
)  # fmt: skip
def test_shapes_are_detected(tmp_path: Path, row: dict[str, Any], expected: Example) -> None:
    found = load(tmp_path, jsonl(tmp_path / "d.jsonl", [row])).train[0]
    assert (found.messages, found.parts) == (expected.messages, expected.parts)


def test_the_column_of_chats_can_be_named(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "d.jsonl", [{"talk": chat("x", "y")["messages"], "text": "not this"}])
    assert load(tmp_path, path, "--set", "DatasetConfig.messages_column=talk").train[0].messages[1] == (
        "assistant",
        "y",
    )


def test_a_checksum_is_of_a_file_and_not_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="#sha256 is of one file"):
        load(tmp_path, f"{jsonl(tmp_path / 'd.jsonl', ROWS).parent}#sha256={'0' * 64}")


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "json", "csv"])
def test_a_row_of_ten_megabytes_is_named_in_every_format(tmp_path: Path, suffix: str) -> None:
    path, values = tmp_path / f"d.{suffix}", [{"text": "short"}, {"text": "a" * 10_000_001}]
    if suffix == "csv":
        path.write_text("".join(f"{row['text']}\n" for row in [{"text": "text"}, *values]))
    else:
        write(path, values)
    with pytest.raises(UserError, match=r"row 2: is 10\.0 MB; the limit is 10 MB"):
        load(tmp_path, path)


def test_columns_can_be_mapped(tmp_path: Path) -> None:
    flags = ["--set", "DatasetConfig.context_column=q", "--set", "DatasetConfig.response_column=a"]
    assert load(tmp_path, jsonl(tmp_path / "d.jsonl", [{"q": "x", "a": "y"}]), *flags).train[0].messages[1][1] == "y"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"<!DOCTYPE html><html>", "HTML"),
        ('{"text": "naïve"}\n'.encode("latin-1"), "not UTF-8"),
        ("\ufeff{}".encode("utf-16"), "UTF-16"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "d.jsonl").write_bytes(content)
    with pytest.raises(UserError, match=reason):
        load(tmp_path, tmp_path / "d.jsonl")


BAD_ROWS = [
    ('{"messages": [', "is not JSON"),
    ("[1]", "is list"),
    ('{"messages": []}', "messages is empty"),
    ('{"messages": [{"role": "user", "content": "a"}]}', "no assistant turn"),
    ('{"messages": [{"role": "bot", "content": "a"}]}', "role is 'bot'"),
    ('{"messages": [{"role": "assistant", "content": "a"}]}', "begins with assistant"),
    ('{"messages": [{"role": "user", "content": null}]}', "content is NoneType"),
    ('{"prompt": "a", "completion": " "}', "completion is empty"),
    ('{"chosen": "a", "rejected": "a"}', "are the same"),
    ('{"question": "a"}', "has the columns question"),
    ("[" * 100_000, "nested too deeply"),
    ('{"text": ' + "9" * 5000 + "}", "cannot be read"),
    (r'{"text": "\ud800"}', "half of a surrogate pair"),
    (json.dumps({"text": "a" * 10_000_001}), "MB; the limit is 10 MB"),
]


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS)
def test_a_bad_row_is_named_with_its_reason(tmp_path: Path, row: str, reason: str) -> None:
    (tmp_path / "d.jsonl").write_text(f"{json.dumps(ROWS[0])}\n{row}\n")
    with pytest.raises(UserError, match=f"row 2: .*{reason}"):
        load(tmp_path, tmp_path / "d.jsonl")


def test_a_few_bad_rows_are_counted_and_left_out_where_allowed(tmp_path: Path) -> None:
    data = load(tmp_path, jsonl(tmp_path / "d.jsonl", [*ROWS, {"x": 1}]), "--max-bad-rows", "0.4")
    assert (len(data.train), [bad.number for bad in data.bad]) == (2, [3])


def test_weights_mix_sources(tmp_path: Path) -> None:
    one, two = jsonl(tmp_path / "1.jsonl", [chat("one")] * 4), jsonl(tmp_path / "2.jsonl", [chat("two")] * 4)
    train = load(tmp_path, f"{one}#weight=2", "--data", f"{two}#weight=0.5").train
    assert [e.messages[0][1] for e in train].count("one") == 8
    assert [e.messages[0][1] for e in train].count("two") == 2


def test_all_files_of_a_folder_are_read_whatever_their_format(tmp_path: Path) -> None:
    (tmp_path / "data" / "more").mkdir(parents=True)
    write(tmp_path / "data" / "1.parquet", ROWS)
    write(tmp_path / "data" / "2.jsonl", ROWS)
    write(tmp_path / "data" / "more" / "3.csv.json", ROWS)
    found = load(tmp_path, tmp_path / "data")
    assert (len(found.train), len(found.files)) == (6, 3)


def test_no_row_is_both_learned_and_evaluated(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "d.jsonl", [chat(str(n)) for n in range(10)])
    data = load(tmp_path, f"{path}#weight=3", "--set", "DatasetConfig.train_test_split=0.8")
    assert len(data.validation) == 2 and len(data.train) == 24
    assert not {e.number for e in data.train} & {e.number for e in data.validation}


def test_preference_pairs_need_a_preference_loss(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "d.jsonl", [{"prompt": "a", "chosen": "b", "rejected": "c"}])
    with pytest.raises(UserError, match="dpo"):
        load(tmp_path, path)
    assert load(tmp_path, path, "--set", "TrainingArguments.loss_type=dpo").train[0].rejected


def test_the_format_table_has_a_reader_for_each(tmp_path: Path) -> None:
    assert set(rows.FORMATS.values()) == set(rows._READERS)
