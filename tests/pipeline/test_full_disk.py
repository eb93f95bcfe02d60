"""A full disk: a sentence with exit code 2, and what was finished is there for the next run."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bgdata.compose.render import SETS
from bgdata.shards import ImageSet

from ..bgdata.conftest import draw_photo, write_sets

ROOT = Path(__file__).resolve().parent.parent.parent
SETTINGS = {
    "resize": 256,
    "size": 224,
    "jpeg_quality": 95,
    "edge": "hard",
    "feather": 1.0,
    "mixed_rand_from": "any_class",
    "placement": {"position": "keep", "size": [1.0, 1.0]},
    "per_class": {"train": None, "val": None},
    "images_per_shard": 6,
    "seed": 0,
}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of which 1 MB beyond the crops is free."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs root on Linux to mount a small tmpfs")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def render(project: Path, disk: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.render"],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(ROOT), "WORK_DIR": str(disk)},
        capture_output=True,
        text=True,
        check=False,
    )


def finished_parts(disk: Path) -> dict[Path, int]:
    """When each part of the index was written, of the shards that all sets have: the disk may fill between two sets."""
    parts = {path: path.stat().st_mtime_ns for path in disk.rglob("parts/*.json")}
    sets_of = Counter(path.name for path in parts)
    return {path: written for path, written in parts.items() if sets_of[path.name] == len(SETS)}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_a_sentence_and_loses_nothing(tmp_path: Path, small_disk: Path, workers: int) -> None:
    photos = [draw_photo(label, split, n) for split in ("train", "val") for label in range(9) for n in range(2)]
    write_sets(tmp_path / "data/in9", photos)
    (tmp_path / "build/config").mkdir(parents=True)
    for name, settings in (("render", SETTINGS), ("runtime", {"workers": workers})):
        (tmp_path / f"build/config/{name}.json").write_text(json.dumps(settings))
    filler = small_disk / "filler"
    filler.write_bytes(bytes(3_800_000))
    full = render(tmp_path, small_disk)
    assert full.returncode == 2, full.stderr
    assert "error: no space is left on" in full.stderr
    assert "Traceback" not in full.stderr
    kept = finished_parts(small_disk)
    assert kept, "the first shards were finished"
    assert not (tmp_path / "data/in9/original").exists()
    filler.unlink()
    whole = render(tmp_path, small_disk)
    assert whole.returncode == 0, whole.stderr
    assert all(path.stat().st_mtime_ns == written for path, written in kept.items())
    with ImageSet(tmp_path / "data/in9/mixed_rand") as images:
        assert len(images.rows) == 36
