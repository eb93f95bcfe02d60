"""Text that a user gives: what editors and spreadsheets write is read, the rest is one sentence with file and line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgdata.errors import InputError
from bgdata.text import read_lines, read_table, read_text

ROWS = [{"id": "a", "name": "café"}, {"id": "b", "name": "two words"}]


def write(folder: Path, data: bytes) -> Path:
    path = folder / "list.csv"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_tables_are_read_as_spreadsheets_save_them(tmp_path: Path, bom: bytes, ending: str, delimiter: str) -> None:
    lines = ["id,name", "a,café", "", "b,two words", ","]
    text = ending.join(line.replace(",", delimiter) for line in lines)
    assert read_table(write(tmp_path, bom + text.encode()), ("name", "id")) == ROWS


def test_quotes_spaces_and_further_columns_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, b'id, name ,note,\na, "caf\xc3\xa9",,\n"b",two words\n')
    assert [{key: row[key] for key in ("id", "name", "note")} for row in read_table(path, ("id", "name"))] == [
        row | {"note": ""} for row in ROWS
    ]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", r"expected the columns id,name in .*list\.csv, got an empty line"),
        (b"id;nom\na;b\n", r"expected the columns id,name in .*list\.csv, got id;nom: mend its first line"),
        (b"id,name,name\na,b,c\n", r"expected the columns id,name in .*, got id,name,name"),
        (b"id,name\na,b\nc\n", r"list\.csv:3: expected 2 cells \(id,name\), got 1: 'c'"),
        (b"id,name\na,b,c\n", r"list\.csv:2: expected 2 cells \(id,name\), got 3: 'a,b,c'"),
        (b'id,name\na,b\n"c,d\ne,f\n', r"list\.csv:\d: unexpected end of data; mend the line's quotes"),
        (b"id,name\ra,caf\xe9\r\n", r"list\.csv:2: expected text in UTF-8, got the byte 0xe9: save the file as"),
        ("id,name\n".encode("utf-16"), r"list\.csv:1: expected text in UTF-8, got the byte 0xff"),
        ("id,name\n".encode("utf-16-le"), r"list\.csv:1: expected text in UTF-8, got a zero byte"),
    ],
)
def test_what_is_no_table_is_one_sentence_with_its_place(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_table(write(tmp_path, data), ("id", "name"))
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.txt", tmp_path):
        with pytest.raises(InputError, match=rf"{path} cannot be read \(.+\): check its name and permissions"):
            read_text(path)


def test_lines_are_stripped_and_empty_ones_left_out(tmp_path: Path) -> None:
    assert read_lines(write(tmp_path, b"\xef\xbb\xbf a\r\n\r\n\tb \n \x0cc")) == ["a", "b", "c"]


@given(st.binary(max_size=60))
def test_any_bytes_are_text_or_a_sentence(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = write(tmp_path_factory.getbasetemp(), data)
    try:
        text = read_text(path)
    except InputError as error:
        assert str(error).startswith(f"{path}:")
    else:
        assert "\r" not in text
        assert "\0" not in text
        assert text.count("\n") == data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")
