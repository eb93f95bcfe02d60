"""ImageNet from Hugging Face: shards of the same form as its own, from a folder and from a server that asks a token."""

import functools
import hashlib
import http.server
import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from bgdata.errors import InputError
from bgdata.fetch import huggingface
from bgdata.fetch.huggingface import DATASET, LISTING, REVISION, fetch_imagenet
from bgdata.ingest.ilsvrc import find_tree, list_candidates
from bgdata.ingest.photos import ingest_photos
from bgdata.ingest.settings import FilterSettings, IngestSettings, PerClass
from bgdata.io import encode_jpeg
from bgdata.labels import in9_label_by_wnid
from bgdata.prompts import imagenet_wnids
from bgdata.shards import ImageSet
from tests.conftest import WNIDS

TOKEN = "hf_aSecretThatNobodyMaySee"
ELSEWHERE = "n01629819"  # a salamander: outside the nine classes
SHARDS = {"train": 3, "validation": 2}
A_SHARD = 2  # photos of each wnid


def stem_of(split: str, wnid: str, number: int) -> str:
    if split == "train":
        return f"{wnid}_{number}"
    return f"ILSVRC2012_val_{number * 10 + [*WNIDS, ELSEWHERE].index(wnid):08d}"


@functools.cache
def jpeg_of(stem: str) -> bytes:
    rng = np.random.default_rng([ord(letter) for letter in stem])
    return encode_jpeg(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8), 80)


def row(path: str | None, wnid: str, data: bytes | None) -> dict[str, Any]:
    return {"image": {"bytes": data, "path": path}, "label": imagenet_wnids().index(wnid)}


def rows_of(split: str, shard: int) -> list[dict[str, Any]]:
    """The photos of a shard, mixed: two of each of the nine wnids, and two of another class."""
    rows = []
    for number in range(shard * A_SHARD, (shard + 1) * A_SHARD):
        for wnid in (*WNIDS, ELSEWHERE):
            stem = stem_of(split, wnid, number)
            suffix = "" if number % 2 else f"_{wnid}"  # the Hub's names have it; ImageNet's have not
            rows.append(row(f"{stem}{suffix}.JPEG", wnid, jpeg_of(stem)))
    return rows


def write_shard(path: Path, rows: list[dict[str, Any]]) -> None:
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    schema = pa.schema({"image": image, "label": pa.int64()})
    parquet.write_table(pa.Table.from_pylist(rows, schema), path, row_group_size=7)


def shard_name(split: str, number: int) -> str:
    return f"{split}-{number:05d}-of-{SHARDS[split]:05d}.parquet"


def write_listing(folder: Path) -> None:
    """The tree API's answer for the shards of a folder, and for files that are no shards."""
    entries: list[dict[str, Any]] = [{"type": "file", "path": "data/README.md", "size": 3, "oid": "0"}]
    for path in sorted(folder.glob("*.parquet")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        size = path.stat().st_size
        lfs = {"oid": digest, "size": size, "pointerSize": 134}
        entries.append({"type": "file", "path": f"data/{path.name}", "size": size, "oid": "0", "lfs": lfs})
    (folder / LISTING).write_text(json.dumps(entries))


@pytest.fixture(scope="module")
def shared_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    for split, count in SHARDS.items():
        for number in range(count):
            write_shard(folder / shard_name(split, number), rows_of(split, number))
    write_shard(folder / "test-00000-of-00001.parquet", [row("ILSVRC2012_test_00000001.JPEG", WNIDS[0], b"")])
    write_listing(folder)
    return folder


@pytest.fixture
def shards(shared_shards: Path, tmp_path: Path) -> Path:
    """A copy of one's own."""
    folder = tmp_path / "shards"
    folder.mkdir()
    for path in shared_shards.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def fetch(root: Path, source: Path | str, *, token: str | None = None, **options: Any) -> dict[str, bytes]:
    """Fetch from a folder as a mirror, or a hub; returns all photos by their place in the tree."""
    options |= {"hub": source} if isinstance(source, str) else {"mirror": source.as_uri()}
    photos = fetch_imagenet(root, downloads=root.with_name("downloads"), token=token, **options).photos
    return {path.relative_to(photos).as_posix(): path.read_bytes() for path in photos.rglob("*.*")}


def expected(train: int = 6, val: int = 4) -> dict[str, bytes]:
    stems = {f"train/{wnid}/": [stem_of("train", wnid, n) for n in range(train)] for wnid in WNIDS}
    stems |= {"val/": [stem_of("validation", wnid, n) for n in range(val) for wnid in WNIDS]}
    return {f"{folder}{stem}.JPEG": jpeg_of(stem) for folder, of in stems.items() for stem in of}


# From a folder


def test_only_the_wnids_asked_for_are_kept(shared_shards: Path, tmp_path: Path) -> None:
    assert fetch(tmp_path / "root", shared_shards, wnids=WNIDS) == expected()
    assert [path.name for path in (tmp_path / "downloads").iterdir()] == [LISTING]
    two = fetch(tmp_path / "other", shared_shards, wnids=WNIDS[:2])
    assert {name: data for name, data in expected().items() if name in two} == two
    assert len(two) == 2 * (6 + 4)


def test_the_tree_is_ingested(shared_shards: Path, tmp_path: Path) -> None:
    fetch(tmp_path / "root", shared_shards, wnids=WNIDS)
    tree = find_tree(tmp_path / "root")
    candidates = list_candidates(tree)
    assert Counter(one.split for one in candidates) == {"train": 9 * 6, "val": 9 * 4}
    settings = IngestSettings(
        filters=FilterSettings(require_box=False, max_box_share=0.9, min_box_kept=0.5),
        per_class=PerClass(train=None, val=None),
        exclude_ids=None,
        val_share=0.2,
        max_unreadable=0,
        photos_per_shard=50,
    )
    manifest = ingest_photos(tree, candidates, tmp_path / "work", settings=settings, seed=0, workers=1)
    assert manifest["rejected"] == {}
    with ImageSet(tmp_path / "work/photos") as photos:
        (kept,) = photos.by_id([f"{WNIDS[3]}_3"])
        assert photos.read(kept) == jpeg_of(f"{WNIDS[3]}_3")
        assert (kept.label, kept.extra["x0"]) == (3, "")


def test_a_split_may_be_left_out(shared_shards: Path, tmp_path: Path) -> None:
    assert fetch(tmp_path / "root", shared_shards, wnids=WNIDS, train_per_wnid=0) == expected(train=0)
    assert {one.split for one in list_candidates(find_tree(tmp_path / "root"))} == {"val"}


@pytest.mark.parametrize(("limit", "shards"), [(1, 1), (2, 1), (3, 2), (5, 3), (99, 3)])
def test_the_first_photos_stay_and_no_shard_beyond_them_is_fetched(
    shared_shards: Path, tmp_path: Path, limit: int, shards: int
) -> None:
    kept = fetch(tmp_path / "root", shared_shards, wnids=WNIDS, train_per_wnid=limit, val_per_wnid=0)
    assert kept == expected(train=min(limit, 6), val=0)
    notes = {path.name for path in (tmp_path / "root/fetched").iterdir()}
    assert notes == {"choice.json"} | {f"{shard_name('train', number)}.json" for number in range(shards)}


def test_another_choice_is_not_mixed_in(shared_shards: Path, tmp_path: Path) -> None:
    fetch(tmp_path / "root", shared_shards, wnids=WNIDS[:1])
    with pytest.raises(InputError, match=r"root holds ImageNet photos of another choice of classes or limits .*remove"):
        fetch(tmp_path / "root", shared_shards, wnids=WNIDS[:2])


def test_a_tree_that_somebody_else_put_there_is_left_alone(shared_shards: Path, tmp_path: Path) -> None:
    (tmp_path / "root/ILSVRC/Data").mkdir(parents=True)
    with pytest.raises(InputError, match=r"root holds an ILSVRC tree that was not fetched from here: set fetch.source"):
        fetch(tmp_path / "root", shared_shards, wnids=WNIDS)
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["ILSVRC"]


def test_a_wnid_that_no_shard_holds_is_named(shared_shards: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"361 of 370 wnids have no photo in the val shards \(n\d+, .*, \.\.\.\)"):
        fetch(tmp_path / "root", shared_shards, wnids=in9_label_by_wnid())


# From a server


class Hub(http.server.BaseHTTPRequestHandler):
    """The Hub as it answers for a gated set: 401 without a token, and shards at another address."""

    folder: Path
    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        name, authorisation = self.path.rpartition("/")[2], self.headers.get("Authorization")
        self.asked.append((self.path, authorisation))
        if self.path.startswith("/elsewhere/"):
            return self._send((self.folder / name).read_bytes())
        if authorisation != f"Bearer {TOKEN}":
            return self.send_error(401 if authorisation is None else 403)
        if self.path == f"/api/{DATASET}/tree/{REVISION}/data":
            return self._send((self.folder / LISTING).read_bytes())
        assert self.path.startswith(f"/{DATASET}/resolve/{REVISION}/data/")
        self.send_response(302)
        self.send_header("Location", f"http://localhost:{self.server.server_port}/elsewhere/{name}")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return None

    def _send(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(shared_shards: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("NO_PROXY", "*")
    Hub.folder, Hub.asked = shared_shards, []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def shards_asked() -> list[str]:
    return [path.rpartition("/")[2] for path, _ in Hub.asked if path.startswith(f"/{DATASET}")]


def test_the_token_goes_to_the_hub_alone_and_is_written_nowhere(
    hub: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert fetch(tmp_path / "root", hub, wnids=WNIDS, token=f"{TOKEN}\n") == expected()
    seen = [(path.startswith("/elsewhere/"), authorisation) for path, authorisation in Hub.asked]
    assert set(seen) == {(False, f"Bearer {TOKEN}"), (True, None)}
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert TOKEN not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("token", "words"),
    [(None, "HF_TOKEN is not set"), ("hf_other", "the token in HF_TOKEN was not accepted"), ("hf\n_x", "line break")],
)
def test_a_refusal_says_how_to_be_let_in_and_shows_no_token(
    hub: str, tmp_path: Path, token: str | None, words: str
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        fetch(tmp_path / "root", hub, wnids=WNIDS, token=token)
    assert token is None or token not in str(caught.value)
    if words != "line break":
        assert "https://huggingface.co/datasets/ILSVRC/imagenet-1k" in str(caught.value)
        assert "https://huggingface.co/settings/tokens" in str(caught.value)


def test_a_token_in_an_error_of_ours_is_not_shown() -> None:
    library = huggingface._Library("hub", Path(), None, TOKEN)
    assert TOKEN not in repr(library)


@pytest.mark.parametrize("at", [1, 2, 4, 6])
def test_a_killed_run_goes_on_and_nothing_is_fetched_twice(
    hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Killed when the n-th note is to be written: the photos lie there, and nothing says that they are whole."""
    written: list[Path] = []

    def kill(path: Path, text: str) -> None:
        written.append(path)
        if len(written) == at:
            raise KeyboardInterrupt
        write_text_whole(path, text)

    write_text_whole = huggingface.write_text_whole
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(huggingface, "write_text_whole", kill)
        fetch(tmp_path / "root", hub, wnids=WNIDS, token=TOKEN)
    noted = {stem for path in (tmp_path / "root/fetched").glob("*-of-*.json") for stem in json.loads(path.read_text())}
    for photo in (tmp_path / "root").rglob("*.JPEG"):
        if photo.stem not in noted:
            photo.write_bytes(b"cut short")
    assert fetch(tmp_path / "root", hub, wnids=WNIDS, token=TOKEN) == expected()
    assert Counter(shards_asked()) == {shard_name(split, n): 1 for split, count in SHARDS.items() for n in range(count)}


def test_one_shard_is_on_disk_at_a_time(shared_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = []

    def watch(remote: Any, folder: Path, **options: Any) -> Path:
        held.append(len(list(folder.glob("*.parquet*"))) if folder.is_dir() else 0)
        return fetch_gated(remote, folder, **options)

    fetch_gated = huggingface.fetch_gated
    monkeypatch.setattr(huggingface, "fetch_gated", watch)
    fetch(tmp_path / "root", shared_shards, wnids=WNIDS)
    assert held == [0] * (1 + 2 + 3)


# Shards of another form


def broken(shards: Path, rows: list[dict[str, Any]] | pa.Table | bytes, tmp_path: Path) -> str:
    """What is said of a first shard for validation with these rows."""
    path = shards / shard_name("validation", 0)
    if isinstance(rows, bytes):
        path.write_bytes(rows)
    elif isinstance(rows, list):
        write_shard(path, rows)
    else:
        parquet.write_table(rows, path)
    write_listing(shards)
    with pytest.raises(InputError) as caught:
        fetch(tmp_path / "root", shards, wnids=WNIDS)
    return str(caught.value)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([row("ILSVRC2012_val_00000001_n01440764.JPEG", WNIDS[0], b"x")], "expected the wnid of its name"),
        ([row("n02085620_1.JPEG", "n02085620", b"x")], "ILSVRC2012_val_00000293.JPEG"),
        ([row("../../ILSVRC2012_val_00000001.png", WNIDS[0], b"x")], "expected photos named"),
        ([row(None, WNIDS[0], b"x")], "got None (1 bytes)"),
        ([row("ILSVRC2012_val_00000001.JPEG", WNIDS[0], None)], "(0 bytes) among those for val"),
        ([{"image": {"bytes": b"x", "path": "x"}, "label": -1}], "expected labels from 0 to 999"),
        (pa.table({"image": [b"x"], "label": [1]}), "expected the columns image {bytes, path} and label"),
        (pa.table({"picture": [b"x"]}), "got ['picture']"),
        (b"PAR1 and nothing more", "is no parquet shard that can be read"),
    ],
)
def test_a_shard_of_another_form_is_told(shards: Path, tmp_path: Path, rows: Any, words: str) -> None:
    assert words in broken(shards, rows, tmp_path)


def test_a_name_decides_only_the_files_name(shards: Path, tmp_path: Path) -> None:
    """A folder in a name goes nowhere."""
    path = shards / shard_name("validation", 0)
    rows = parquet.read_table(path).to_pylist()
    for cells in rows:
        cells["image"]["path"] = f"../../../{cells['image']['path']}"
    write_shard(path, rows)
    write_listing(shards)
    assert fetch(tmp_path / "root", shards, wnids=WNIDS) == expected()


def test_a_shard_that_is_not_the_listed_one_is_told(shards: Path, tmp_path: Path) -> None:
    path = shards / shard_name("train", 1)
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(InputError, match=r"train-00001-of-00003.parquet is not the file that was expected"):
        fetch(tmp_path / "root", shards, wnids=WNIDS)


@pytest.mark.parametrize("text", ["{}", "[1]", "[]", "not json", '[{"lfs": {}}]'])
def test_a_listing_of_another_form_is_told_and_asked_for_again(shards: Path, tmp_path: Path, text: str) -> None:
    whole = (shards / LISTING).read_text()
    (shards / LISTING).write_text(text)
    with pytest.raises(InputError, match=r"expected the list of ImageNet's shards .*, got another text .*run again"):
        fetch(tmp_path / "root", shards, wnids=WNIDS)
    (shards / LISTING).write_text(whole)
    assert fetch(tmp_path / "root", shards, wnids=WNIDS) == expected()


def test_a_listing_that_lacks_a_shard_is_told(shards: Path, tmp_path: Path) -> None:
    (shards / shard_name("train", 2)).unlink()
    write_listing(shards)
    with pytest.raises(InputError, match="it names 2 shards for train"):
        fetch(tmp_path / "root", shards, wnids=WNIDS)
