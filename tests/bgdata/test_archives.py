"""Archives: what is packed comes out to the byte, and nothing that is hostile or broken gets through in silence."""

import io
import os
import stat
import subprocess
import sys
import tarfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bgdata.errors import InputError
from bgdata.fetch.archives import extract, iterate_members

FILES = {"set/a.txt": b"one", "set/deep/b.bin": bytes(range(256)) * 40, "c": b"", "set/deep/d": b"x" * 512}
FORMATS = ("zip", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz")
Change = Callable[[tarfile.TarInfo], None]


def write_tar(path: Path, files: dict[str, bytes], *, change: Change = lambda _: None) -> Path:
    packed = {".gz": "gz", ".tgz": "gz", ".bz2": "bz2", ".xz": "xz"}.get(path.suffix, "")
    with tarfile.open(path, f"w:{packed}") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            change(info)
            archive.addfile(info, io.BytesIO(data))
    return path


def write_zip(path: Path, files: dict[str, bytes], *, mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return path


def pack(folder: Path, files: dict[str, bytes], form: str) -> Path:
    return (write_zip if form == "zip" else write_tar)(folder / f"a.{form}", files)


def unpacked(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(archive: Path, folder: Path, words: str, **settings: object) -> None:
    """Neither way of reading lets it through, and nothing lies outside the folder."""
    with pytest.raises(InputError, match=words):
        extract(archive, folder / "out", **settings)
    with pytest.raises(InputError, match=words):
        list(iterate_members(archive, **settings))
    assert {path.name for path in folder.iterdir()} <= {archive.name, "out"}


@pytest.mark.parametrize("form", FORMATS)
def test_what_was_packed_comes_out(tmp_path: Path, form: str) -> None:
    archive = pack(tmp_path, FILES, form)
    assert extract(archive, tmp_path / "out") == len(FILES)
    assert unpacked(tmp_path / "out") == FILES
    assert list(iterate_members(archive)) == list(FILES.items())


@pytest.mark.parametrize("form", FORMATS)
def test_only_what_is_kept_comes_out(tmp_path: Path, form: str) -> None:
    archive = pack(tmp_path, FILES | {"../evil": b"skipped unseen"}, form)
    deep = {name: data for name, data in FILES.items() if "deep" in name}
    assert extract(archive, tmp_path / "out", keep=lambda name: "deep" in name) == len(deep)
    assert unpacked(tmp_path / "out") == deep
    assert dict(iterate_members(archive, keep=lambda name: "deep" in name)) == deep


def test_names_are_made_plain_before_they_are_chosen(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar", {"./set//a.txt": b"one"})
    assert list(iterate_members(archive, keep=lambda name: name == "set/a.txt")) == [("set/a.txt", b"one")]


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_there_is_not_written_again(tmp_path: Path, form: str) -> None:
    archive = pack(tmp_path, FILES, form)
    out = tmp_path / "out"
    extract(archive, out)
    (out / "set/a.txt").unlink()
    (out / "set/deep/b.bin").write_bytes(b"half")
    old = (out / "set/deep/d").stat().st_ino
    assert extract(archive, out) == len(FILES)
    assert unpacked(out) == FILES
    assert (out / "set/deep/d").stat().st_ino == old


def test_a_killed_extraction_leaves_no_half_file_and_goes_on(tmp_path: Path) -> None:
    files = {f"{number}.bin": bytes([number]) * 2_000_000 for number in range(60)}
    archive, out = write_tar(tmp_path / "a.tar", files), tmp_path / "out"
    code = "import sys; from pathlib import Path; from bgdata.fetch.archives import extract\n" + (
        "extract(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    child = subprocess.Popen([sys.executable, "-c", code, archive, out], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 20
    while not (out / "3.bin").exists() and child.poll() is None and time.monotonic() < until:
        time.sleep(0.001)
    child.kill()
    child.wait()
    whole = {name: data for name, data in unpacked(out).items() if not name.endswith(".tmp")}
    assert whole.items() <= files.items(), "what has a file's name is that file"
    assert extract(archive, out) == len(files)
    assert unpacked(out) == files


@pytest.mark.parametrize("form", ["zip", "tar"])
@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "a/..", "C:/x", "C:x", "a\\..\\x"])
def test_names_outside_the_folder_are_refused(tmp_path: Path, name: str, form: str) -> None:
    refused(pack(tmp_path, {name: b"evil"}, form), tmp_path, "expected names below its own folder")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE], ids=repr
)
def test_links_and_devices_in_tars_are_refused(tmp_path: Path, kind: bytes) -> None:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname = kind, "../outside"

    refused(write_tar(tmp_path / "a.tar", {"x": b""}, change=change), tmp_path, "x in .* is a link or a device")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_in_zips_are_refused(tmp_path: Path, kind: int) -> None:
    refused(write_zip(tmp_path / "a.zip", {"x": b"../outside"}, mode=kind), tmp_path, "x in .* is a link or a device")


@pytest.mark.parametrize("form", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_bombs_are_not_unpacked(tmp_path: Path, form: str) -> None:
    archive = pack(tmp_path, {f"{number}": bytes(2_000_000) for number in range(3)}, form)
    assert archive.stat().st_size < 20_000
    with pytest.raises(InputError, match="unpacks to more than the expected 5000000 bytes"):
        extract(archive, tmp_path / "out", max_bytes=5_000_000)
    assert sorted(unpacked(tmp_path / "out")) == ["0", "1"]
    with pytest.raises(InputError, match=r"0 in .* has 2000000 bytes, expected 1000000 at most"):
        list(iterate_members(archive, max_bytes=1_000_000))


def test_a_bomb_is_known_by_its_ratio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bgdata.fetch.archives._BOMB_BYTES", 1_000_000)
    archive = write_tar(tmp_path / "a.tgz", {"x": bytes(5_000_000)})
    with pytest.raises(InputError, match="unpacks to more than the expected 1000000 bytes"):
        extract(archive, tmp_path / "out")
    random = write_tar(tmp_path / "b.tgz", {"x": os.urandom(5_000_000)})
    assert extract(random, tmp_path / "out") == 1


@pytest.mark.parametrize("form", FORMATS)
def test_every_cut_is_noticed(tmp_path: Path, form: str) -> None:
    """Also between two members, where tarfile sees a good end; but a tar's padding may be missing."""
    data = pack(tmp_path, FILES, form).read_bytes()
    end = -(-len(data.rstrip(b"\0")) // 512) * 512 if form == "tar" else len(data) - 1
    for length in [*range(0, end, max(1, len(data) // 60) if form != "tar" else 256), end]:
        archive = tmp_path / f"cut.{form}"
        archive.write_bytes(data[:length])
        with pytest.raises(InputError, match=r"damaged or cut short|not a whole archive|is empty"):
            extract(archive, tmp_path / "out")
        with pytest.raises(InputError, match=r": remove it and what was unpacked of it, and fetch it again"):
            list(iterate_members(archive))


@pytest.mark.parametrize("form", FORMATS)
def test_flipped_bits_are_noticed_where_the_format_has_checksums(tmp_path: Path, form: str) -> None:
    data = bytearray(pack(tmp_path, {"a": b"first", "b": os.urandom(50_000)}, form).read_bytes())
    place = 1024 + 10 if form == "tar" else len(data) // 2  # a plain tar guards its headers alone: that of "b"
    data[place] ^= 0xFF
    archive = tmp_path / f"flipped.{form}"
    archive.write_bytes(data)
    with pytest.raises(InputError, match=r"damaged or cut short|not a whole archive|is empty"):
        list(iterate_members(archive))


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar.xz"])
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"<!DOCTYPE html><p>Log in", r"a web page \(HTML\)"),
        (b'\xef\xbb\xbf\n<?xml version="1.0"?><Error>', "an XML document"),
        (b'{"message": "rate limit"}', "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"", "empty"),
        (b"Rar!\x1a\x07", "a RAR archive"),
        (b"7z\xbc\xaf\x27\x1c\0", "a 7-Zip archive"),
        (b"\x28\xb5\x2f\xfd\0", "compressed by zstd"),
        (b"\0\1\2\3\4", r"not a whole archive \(it begins b'\\x00"),
    ],
)
def test_foreign_files_are_called_what_they_are(tmp_path: Path, name: str, content: bytes, what: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    refused(path, tmp_path, f"{name} is {what}.*, expected .zip, .tar")
    with pytest.raises(InputError) as caught:
        list(iterate_members(path))
    assert "\n" not in str(caught.value)


def test_a_missing_archive_is_said(tmp_path: Path) -> None:
    refused(tmp_path / "a.zip", tmp_path, r"a\.zip is missing: fetch it first")


@pytest.mark.parametrize("form", FORMATS)
def test_archives_are_known_by_their_content(tmp_path: Path, form: str) -> None:
    archive = pack(tmp_path, FILES, form).rename(tmp_path / "download")
    assert list(iterate_members(archive)) == list(FILES.items())


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_compression_of_zips_is_read(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("a", b"content" * 100)
    assert list(iterate_members(tmp_path / "a.zip")) == [("a", b"content" * 100)]


@pytest.mark.parametrize("form", ["zip", "tar.bz2"])
def test_hidden_and_system_files_are_left_out(tmp_path: Path, form: str) -> None:
    names = (".DS_Store", "set/._a.txt", "__MACOSX/set/._a.txt", "set/Thumbs.db", "set/.ipynb_checkpoints/a.txt")
    archive = pack(tmp_path, dict.fromkeys(names, b"x") | FILES, form)
    assert list(iterate_members(archive)) == list(FILES.items())
    assert extract(archive, tmp_path / "out") == len(FILES)


def test_a_zip_with_a_password_is_refused(tmp_path: Path) -> None:
    data = bytearray(write_zip(tmp_path / "a.zip", {"x": b"secret"}).read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(data)
    refused(tmp_path / "a.zip", tmp_path, "x in .* has a password or a rare compression")


def test_many_members_cost_no_memory(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar", {f"{number}": b"x" for number in range(3000)})
    tracemalloc.start()
    count = sum(1 for _ in iterate_members(archive))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 3000
    assert peak < 500_000, "tarfile alone keeps all it has seen"


def test_a_tar_is_no_zip_by_its_first_name(tmp_path: Path) -> None:
    assert list(iterate_members(write_tar(tmp_path / "a.tar", {"PKG/x": b"x"}))) == [("PKG/x", b"x")]
