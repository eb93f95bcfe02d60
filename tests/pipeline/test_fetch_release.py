"""The official release, fetched from a mirror of this machine."""

import argparse
import tarfile
from pathlib import Path

import pytest

from bgdata.compose.names import FG_MASK, VARIANTS
from bgdata.errors import InputError
from bgdata.fetch.sources import SOURCES
from bgdata.sources import open_sources
from models.weights.files import file_sha256
from pipeline import fetch_release
from tests.releases import draw_release

(REMOTE,) = SOURCES["in9_release"]


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    draw_release(tmp_path / "bg_challenge", names=(*VARIANTS, FG_MASK), side=16)
    folder.mkdir()
    with tarfile.open(folder / REMOTE.name, "w:gz") as archive:
        archive.add(tmp_path / "bg_challenge", "bg_challenge")
    return folder


def fetch(out: Path, mirror: Path) -> None:
    fetch_release.main(argparse.Namespace(out=out, mirror=mirror.as_uri()))


def test_the_release_arrives_is_read_and_can_be_judged(
    mirror: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(tmp_path / "downloads", mirror)
    archive = tmp_path / "downloads" / REMOTE.name
    said = capsys.readouterr().out
    assert file_sha256(archive) == file_sha256(mirror / REMOTE.name)
    assert file_sha256(archive) in said
    assert "original 18, " in said
    assert f"python -m pipeline.challenge --data {archive}" in said
    assert len(open_sources(archive, ["mixed_rand"])["mixed_rand"].split("val")) == 18


def test_an_archive_that_was_cut_short_or_is_not_there_is_said(mirror: Path, tmp_path: Path) -> None:
    whole = (mirror / REMOTE.name).read_bytes()
    (mirror / REMOTE.name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="is damaged or cut short"):
        fetch(tmp_path / "downloads", mirror)
    (mirror / REMOTE.name).write_bytes(whole)
    fetch(tmp_path / "downloads", mirror)
    with pytest.raises(InputError, match="is not a file: put backgrounds_challenge_data"):
        fetch(tmp_path / "elsewhere", tmp_path)
