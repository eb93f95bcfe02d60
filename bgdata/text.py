"""All text that a user gives: lists and tables as editors and spreadsheets save them."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from bgdata.errors import InputError

_BOM = b"\xef\xbb\xbf"
# Spreadsheets write semicolons where the comma is the decimal point, and tabs when asked for text.
_DELIMITERS = (",", ";", "\t")
_SHOWN = 60


def read_text(path: Path, *, fallback: str | None = None) -> str:
    r"""Read a text file: UTF-8 with or without a byte order mark; any line ending becomes `\n`.

    A file that is not UTF-8 is read in the `fallback`'s coding, where one is given.

    Raises InputError where it cannot be read, or naming the line that is not UTF-8 (also where it holds a zero byte, as
    UTF-16 does).
    """
    try:
        data = path.read_bytes().removeprefix(_BOM)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check its name and permissions") from None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        if fallback is None:
            raise _not_utf8(path, data, error.start, f"the byte 0x{data[error.start]:02x}") from None
        text = data.decode(fallback)
    if (place := data.find(b"\0")) >= 0:
        raise _not_utf8(path, data, place, "a zero byte")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that are not empty, without white space around them; see `read_text`."""
    return [line.strip() for line in read_text(path).split("\n") if line.strip()]


def read_table(
    path: Path, columns: Sequence[str], *, comment: str | None = None, fallback: str | None = None
) -> list[dict[str, str]]:
    """Read a CSV file whole: see `iter_table`."""
    return list(iter_table(path, columns, comment=comment, fallback=fallback))


def iter_table(
    path: Path, columns: Sequence[str], *, comment: str | None = None, fallback: str | None = None
) -> Iterator[dict[str, str]]:
    """Read row by row a CSV file whose header names `columns` among others: parted by commas, semicolons or tabs.

    Rows that begin with `comment` are passed over; `fallback`: see `read_text`.

    Empty rows are passed over; cells that are missing at a row's end are empty, as spreadsheets leave them out.

    Raises InputError naming the file and line: no text, a column that is missing or there twice, a row that ends before
    one of `columns` or is longer than the header, quotes that never close.
    """
    text = read_text(path, fallback=fallback)
    delimiter, header = _header(path, text.partition("\n")[0], columns)
    needed = max((header.index(column) for column in columns), default=0) + 1
    for number, cells in _records(path, text, delimiter):
        if comment is not None and cells[0].startswith(comment):
            continue
        if len(cells) < needed or any(cells[len(header) :]):
            raise InputError(
                f"{path}:{number}: expected {len(header)} cells ({delimiter.join(header)[:_SHOWN]}), got {len(cells)}: "
                f"{delimiter.join(cells)[:_SHOWN]!r}; mend the line, or take the file anew"
            )
        row = dict(zip(header, cells, strict=False))
        yield row if len(cells) >= len(header) else dict.fromkeys(header, "") | row


def _not_utf8(path: Path, data: bytes, place: int, found: str) -> InputError:
    line = len((data[:place] + b".").splitlines())
    return InputError(f"{path}:{line}: expected text in UTF-8, got {found}: save the file as UTF-8")


def _header(path: Path, line: str, columns: Sequence[str]) -> tuple[str, list[str]]:
    """The delimiter with which the first line names all columns, and its names."""
    for delimiter in _DELIMITERS:
        header = [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
        if all(header.count(column) == 1 for column in columns):
            return delimiter, header
    raise InputError(
        f"expected the columns {','.join(columns)} in {path}, got {line[:_SHOWN] or 'an empty line'}: mend its first "
        "line, or take the file anew"
    )


def _lines(text: str) -> Iterator[str]:
    """The lines with their ends; `io.StringIO` would hold a copy of four bytes a character."""
    start = 0
    while end := text.find("\n", start) + 1:
        yield text[start:end]
        start = end
    if start < len(text):
        yield text[start:]


def _records(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows below the header that are not empty, each with the number of its last line."""
    reader = csv.reader(_lines(text), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        next(reader, None)
        for cells in reader:
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: {error}; mend the line's quotes, or take the file anew") from None
