"""The stage that writes corrupted sets, and the command that fetches published ones."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bgdata.corrupt.corruptions import Corruption
from bgdata.fetch.imagenet_c import SOURCE
from bgdata.fetch.sources import SOURCES, RemoteFile
from bgdata.shards import MANIFEST, ImageSet
from tests.bgdata.corrupted_photos import PER_CLASS, SETTINGS, WNIDS, pack, published_files, write_photos
from tests.conftest import ROOT
from tests.pipeline.conftest import Run

CONFIG: dict[str, Any] = SETTINGS | {"seed": 0, "images_per_shard": 5}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with settings and rendered sets, which is the working directory."""
    (tmp_path / "build/config").mkdir(parents=True)
    configure(tmp_path)
    write_photos(tmp_path / "data/in9")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WORK_DIR", raising=False)
    return tmp_path


def configure(folder: Path, **changed: object) -> None:
    (folder / "build/config/corrupt.json").write_text(json.dumps(CONFIG | changed))
    (folder / "build/config/runtime.json").write_text(json.dumps({"workers": 1}))


def shards(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_stage_writes_every_set_and_names_them(project: Path, run_command: Run) -> None:
    assert run_command("corrupt")[0] == 0
    manifest = json.loads((project / "data/corrupted" / MANIFEST).read_text())
    assert manifest["stored"] is True
    assert len(manifest["sets"]) == 12
    images = ImageSet(project / "data/corrupted" / Corruption("spatter", 4, "background").folder)
    assert len(images.rows) == 9 * PER_CLASS
    assert len(images.manifest["shards"]) == 4


def test_on_the_fly_it_writes_what_is_to_be_made(project: Path, run_command: Run) -> None:
    configure(project, store=False)
    assert run_command("corrupt")[0] == 0
    assert [path.name for path in (project / "data/corrupted").iterdir()] == [MANIFEST]
    assert json.loads((project / "data/corrupted" / MANIFEST).read_text())["seed"] == 0


def test_a_killed_stage_goes_on_to_the_same_bytes(project: Path, run_command: Run) -> None:
    assert run_command("corrupt")[0] == 0
    whole = shards(project / "data/corrupted")
    configure(project, severities=[1, 2, 3, 4, 5])
    command = [sys.executable, "-m", "pipeline.corrupt"]
    with subprocess.Popen(
        command, cwd=project, env={"PYTHONPATH": str(ROOT), "PATH": ""}, stderr=subprocess.DEVNULL
    ) as stage:
        for _ in range(1000):
            if list(project.glob(".work/corrupt/*/corrupted/whole/spatter/2/val-00000.tar")):
                break
            time.sleep(0.02)
        stage.send_signal(signal.SIGKILL)
    assert shards(project / "data/corrupted") == whole  # nothing is published before the end
    written = {
        path: path.stat().st_mtime_ns for path in project.glob(".work/corrupt/*/corrupted/whole/spatter/1/*.tar")
    }
    assert len(written) == 4
    assert run_command("corrupt")[0] == 0
    assert {path: path.stat().st_mtime_ns for path in written} == written
    again = shards(project / "data/corrupted")
    assert {name: again[name] for name in whole if name.endswith(".tar")} == {
        name: digest for name, digest in whole.items() if name.endswith(".tar")
    }


def test_before_its_inputs_or_with_broken_settings_it_says_so(project: Path, run_command: Run) -> None:
    (project / "data/in9/fg_mask" / MANIFEST).unlink()
    code, _, said = run_command("corrupt")
    assert (code, said.splitlines()[-1][:6]) == (2, "error:")
    assert "fg_mask/manifest.json is missing: run the stage that makes it first" in said
    (project / "build/config/corrupt.json").unlink()
    assert "build/config/corrupt.json is missing: run `dvc repro config` first" in run_command("corrupt")[2]


def test_published_ones_are_fetched_and_named(project: Path, run_command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pack(published_files("gaussian_noise", 1) | published_files("gaussian_noise", 3))
    (project / "noise.tar").write_bytes(data)
    remote = RemoteFile("noise.tar", "https://host/noise.tar", md5=hashlib.md5(data).hexdigest())
    monkeypatch.setitem(SOURCES, SOURCE, (remote, *SOURCES[SOURCE][1:]))
    mirror = ("--mirror", project.as_uri())
    code, said, _ = run_command("fetch_corruptions", "--only", "noise", *mirror)
    assert code == 0
    assert f"noise {2 * 9 * PER_CLASS}\n" in said
    assert "gaussian_noise: severities 1, 3" in said
    assert "python -m pipeline.corruptions --corrupted data/downloads/imagenet_c --arch resnet50" in said
    assert (project / "data/downloads/imagenet_c/gaussian_noise/3" / WNIDS[0]).is_dir()
    assert "noise was there" in run_command("fetch_corruptions", "--only", "noise", *mirror)[1]
    (project / "noise.tar").write_bytes(data[:-5000])
    code, _, said = run_command("fetch_corruptions", "--only", "noise", "--out", "elsewhere", *mirror)
    assert code == 2
    assert "noise.tar" in said.splitlines()[-1]
    assert run_command("fetch_corruptions", "--only", "fog")[0] == 2
