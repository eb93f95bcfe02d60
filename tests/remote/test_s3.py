"""Sets shared through an S3 remote: the command lines of docs/share.md, and what happens when something is wrong."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bgdata.labels import IN9
from bgdata.shards import ImageSet, Row, corrupt_files, finish_set, shard_name, write_shard
from tests.conftest import ROOT
from tests.remote.s3 import BUCKET, Server, Wire, free_port, server

pytest.importorskip("moto")
pytest.importorskip("dvc_s3")
pytestmark = pytest.mark.scale

SHARDS, IMAGES, SIZE = 12, 4, 60_000
ADD = "dvc remote add -d storage s3://bucket/backgrounds"
ENDPOINT = "dvc remote modify storage endpointurl https://s3.example.org"
SET = "data/in9/mixed_rand"


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[Server]:
    with server(tmp_path / "server.log") as started:
        yield started


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with a set of twelve shards that dvc tracks."""
    folder = tmp_path / "project"
    folder.mkdir()
    run(folder, "git", "init", "-q")
    run(folder, "git", "config", "user.email", "me@example.org")
    run(folder, "git", "config", "user.name", "me")
    run(folder, "dvc", "init", "-q")
    write_set(folder / SET)
    run(folder, "dvc", "add", "-q", SET)
    commit(folder)
    return folder


def write_set(folder: Path, changed: int | None = None) -> None:
    """Write the set; one shard can be another."""
    for number in range(SHARDS):
        pixels = np.random.default_rng([number, number == changed])
        members = [
            (Row(name := f"n{number}_{place}", "train", 0, "n0", IN9.member_name(0, name)), pixels.bytes(SIZE))
            for place in range(IMAGES)
        ]
        write_shard(folder, shard_name("train", number), members)
    finish_set(folder, classes=IN9)
    shutil.rmtree(folder / "parts")


def environment(folder: Path, s3: Server | None) -> dict[str, str]:
    key = {} if s3 is None else {name.upper(): value for name, value in s3.key.items()}
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DVC_"))}
    home = {"HOME": str(folder.parent), "DVC_NO_ANALYTICS": "1", "AWS_DEFAULT_REGION": "us-east-1"}
    return plain | home | key | {"AWS_MAX_ATTEMPTS": "1"}


def run(folder: Path, *command: str, s3: Server | None = None, code: int = 0) -> str:
    """Run git or dvc; returns what it prints."""
    line = [sys.executable, "-m", *command] if command[0] == "dvc" else list(command)
    done = subprocess.run(
        line, cwd=folder, env=environment(folder, s3), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def commit(folder: Path) -> None:
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", "more")


def add_remote(folder: Path, port: int, bucket: str = BUCKET) -> None:
    """By the lines of docs/share.md, with another bucket and endpoint."""
    text = (ROOT / "docs/share.md").read_text()
    for line in (ADD, ENDPOINT):
        assert line in text
        told = line.replace("s3://bucket", f"s3://{bucket}").replace(
            "https://s3.example.org", f"http://127.0.0.1:{port}"
        )
        run(folder, *told.split())
    commit(folder)


def wipe(folder: Path) -> None:
    for path in (folder / ".dvc/cache", folder / SET, folder / ".dvc/tmp"):
        shutil.rmtree(path, ignore_errors=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_push_pull_and_get_bring_the_same_bytes(project: Path, s3: Server, tmp_path: Path) -> None:
    add_remote(project, s3.port)
    before = contents(project / SET)
    run(project, "dvc", "push", "-j", "4", s3=s3)
    wipe(project)
    run(project, "dvc", "pull", SET, s3=s3)
    assert contents(project / SET) == before
    with ImageSet(project / SET) as images:
        assert len(images.rows) == SHARDS * IMAGES
        assert list(corrupt_files(images)) == []
    (tmp_path / "elsewhere").mkdir()
    run(tmp_path / "elsewhere", "dvc", "get", str(project), SET, "-o", "mixed_rand", s3=s3)
    assert contents(tmp_path / "elsewhere/mixed_rand") == before


def test_of_a_changed_set_only_the_changed_shard_travels(project: Path, s3: Server) -> None:
    wire = Wire(s3.port)
    add_remote(project, wire.port)
    run(project, "dvc", "push", s3=s3)
    first, whole = s3.objects(), wire.sent
    write_set(project / SET, changed=3)
    run(project, "dvc", "add", "-q", SET)
    run(project, "dvc", "push", s3=s3)
    new = s3.objects().items() - first.items()
    shard = (project / SET / shard_name("train", 3)).stat().st_size
    # The shard, its manifest, the folder's listing; the index is the same, since places and sizes are.
    assert len(new) == 3
    assert shard in {size for _, size in new}
    travelled = wire.sent - whole
    assert shard < travelled < 1.2 * shard < whole / 8
    wire.close()


def test_a_push_that_was_cut_goes_on_with_what_is_missing(project: Path, s3: Server) -> None:
    wire = Wire(s3.port)
    add_remote(project, wire.port)
    total = sum(map(len, contents(project / SET).values()))
    wire.cut_after = total // 2
    said = run(project, "dvc", "push", "-j", "2", s3=s3, code=1)
    assert "files failed to push" in said or "ERROR" in said
    arrived = s3.objects()
    assert 0 < len(arrived) < SHARDS
    wire.cut_after, before = None, wire.sent
    run(project, "dvc", "push", "-j", "2", s3=s3)
    assert wire.sent - before < total - sum(arrived.values()) + total // 8
    kept = contents(project / SET)
    wipe(project)
    run(project, "dvc", "pull", s3=s3)
    assert contents(project / SET) == kept
    wire.close()


def test_a_server_that_was_killed_mid_push_is_filled_by_the_next(project: Path, tmp_path: Path) -> None:
    port = free_port()
    with server(tmp_path / "first.log", port) as first:
        wire = Wire(port)
        add_remote(project, wire.port)
        pushing = subprocess.Popen(
            [sys.executable, "-m", "dvc", "push", "-j", "2"],
            cwd=project,
            env=environment(project, first),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while wire.sent < SIZE * IMAGES * 3 and pushing.poll() is None:
            time.sleep(0.01)
        first.process.kill()
        assert pushing.wait(120) != 0
    with server(tmp_path / "second.log", port) as second:  # its bucket is empty
        run(project, "dvc", "push", s3=second)
        kept = contents(project / SET)
        wipe(project)
        run(project, "dvc", "pull", s3=second)
        assert contents(project / SET) == kept
    wire.close()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("key", ("InvalidAccessKeyId", "does not exist in our records", "Forbidden")),
        ("bucket", ("bucket does not exist",)),
        ("server", ("Could not connect to the endpoint URL", "Connect")),
    ],
)
def test_what_is_wrong_ends_with_words_and_loses_nothing(
    project: Path, s3: Server, wrong: str, words: tuple[str, ...]
) -> None:
    port = free_port() if wrong == "server" else s3.port
    add_remote(project, port, "none" if wrong == "bucket" else BUCKET)
    before, key = contents(project / SET), dict(s3.key)
    if wrong == "key":
        s3.key = {"aws_access_key_id": "AKIAWRONG", "aws_secret_access_key": "wrong"}
    said = run(project, "dvc", "push", s3=s3, code=255)
    assert any(word in said for word in words), said
    assert "Traceback" not in said
    assert contents(project / SET) == before
    s3.key = key
