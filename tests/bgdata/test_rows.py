"""What is made fast for sets of a million rows: the same index, draws and plans as the plain way gives."""

import csv
import hashlib
import io
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgdata import randomness
from bgdata.classes import ClassList
from bgdata.compose.background import BackgroundChoice
from bgdata.compose.crops import Crops
from bgdata.compose.mixed_sets import MixedSet
from bgdata.compose.render import plan_photos
from bgdata.compose.settings import MixSettings
from bgdata.geometry import Box
from bgdata.io import encode_jpeg
from bgdata.randomness import image_generator, image_generators
from bgdata.shards import PARTS, ImageSet, Row, finish_set, write_shard
from tests.bgdata.test_render import settings as render_settings

CLASSES = ClassList("four", ("ant", "bee", "cat", "dog"), ((), (), (), ()))
CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=8).map(str.strip)
COLUMNS = ("id", "split", "label", "wnid", "name", "shard", "offset", "size")


def plain_index(folder: Path, columns: list[str]) -> str:
    """The index as Python's csv writes the parts' rows, all in memory."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for part in sorted((folder / PARTS).glob("*.json")):
        writer.writerows(json.loads(part.read_text())["rows"])
    return text.getvalue()


@settings(max_examples=30)
@given(cells=st.lists(st.dictionaries(st.sampled_from(["source", "note"]), CELLS), max_size=6))
def test_an_index_is_what_python_writes_and_reads(
    tmp_path_factory: pytest.TempPathFactory, cells: list[dict[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("set")
    rows = [
        Row(f"n{n}", "val" if n % 3 else "train", n % 4, "n1", f"d/é{n}.JPEG", extra=extra)
        for n, extra in enumerate(cells)
    ]
    for n, row in enumerate(rows):
        write_shard(folder, f"{row.split}-{n:05d}.tar", [(row, bytes(n))])
    manifest = finish_set(folder, classes=CLASSES, columns=("source", "note"))
    written = (folder / "index.csv").read_bytes()
    assert written.decode() == plain_index(folder, [*COLUMNS, "source", "note"])
    assert manifest["index"] == hashlib.sha256(written).hexdigest()
    assert sum(sum(of_split.values()) for of_split in manifest["images"].values()) == len(rows)
    found = {row.id: row for row in ImageSet(folder).rows}
    for row in rows:
        assert found[row.id].extra == {"source": "", "note": ""} | row.extra
        assert (found[row.id].split, found[row.id].label, found[row.id].name) == (row.split, row.label, row.name)


def test_a_row_survives_a_pickle() -> None:
    row = Row("n1_2", "train", 3, "n1", "03_dog/n1_2.JPEG", "train-00000.tar", 512, 7, {"source": "a"})
    assert pickle.loads(pickle.dumps(row)) == row  # noqa: S301 -- what this test wrote
    assert list(row.to_cells()) == [*COLUMNS, "source"]


@given(seed=st.integers(0, 2**70), ids=st.lists(st.text(max_size=20), max_size=4), purpose=st.text(max_size=10))
def test_generators_are_numpys_own_of_seed_and_digest(seed: int, ids: list[str], purpose: str) -> None:
    together = image_generators(seed, ids, purpose)
    for image_id, one in zip(ids, together, strict=True):
        words = np.frombuffer(hashlib.sha256(f"{purpose}\0{image_id}".encode()).digest(), dtype="<u4")
        plain = np.random.default_rng([seed, *words.tolist()])
        assert one.bit_generator.state == plain.bit_generator.state
        assert image_generator(seed, image_id, purpose).bit_generator.state == plain.bit_generator.state


def test_generators_of_more_ids_than_are_taken_together(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [f"n{n}" for n in range(10)]
    whole = [rng.random() for rng in image_generators(3, ids, "x")]
    monkeypatch.setattr(randomness, "_TOGETHER", 4)
    assert [rng.random() for rng in image_generators(3, ids, "x")] == whole
    assert len(set(whole)) == 10


@given(sizes=st.lists(st.integers(0, 5), min_size=4, max_size=4), label=st.integers(0, 3), seed=st.integers(0, 99))
def test_another_class_is_drawn_as_from_a_list_of_the_others(sizes: list[int], label: int, seed: int) -> None:
    ids = {of: [f"{of}_{n}" for n in range(size)] for of, size in enumerate(sizes)}
    labels = [of for of, size in enumerate(sizes) if size]
    others = [of for of in labels if of != label]
    choice = BackgroundChoice(ids, CLASSES)
    for draw, among in ((choice.any_class, labels), (choice.other_class, others)):
        if among:
            expected = np.random.default_rng(seed)
            of = among[expected.integers(len(among))]
            drawn = ids[of][expected.integers(len(ids[of]))]
            assert draw("own", label, np.random.default_rng(seed)) == (drawn, of)


DRAWN = {"mixup": "1c57fa75e6c52089", "cutmix": "4f86a3aa7437d942"}


@pytest.mark.parametrize("method", DRAWN)
def test_partners_are_what_they_always_were(method: str, tmp_path: Path) -> None:
    """By hashes that the code had while each shard read the whole index."""
    assert partners_digest(method, tmp_path) == DRAWN[method]


def partners_digest(method: str, folder: Path) -> str:
    photos, work = folder / "photos", folder / method
    for number in range(3):
        rows = [Row(f"n{number}_{n}", "train", n % 4, "n", f"d/n{number}_{n}.JPEG") for n in range(6)]
        white = encode_jpeg(np.full((16, 16, 3), 255, np.uint8), 90)
        write_shard(photos, f"train-{number:05d}.tar", ((row, white) for row in rows))
    finish_set(photos, classes=CLASSES)
    mixing = MixSettings(per_image=3, alpha=0.5)
    made = MixedSet(photos, method, mixing, jpeg_quality=90, images_per_shard=7, seed=5)
    made.write(work, workers=1)
    lines = [[row.id, row.label, *row.extra.values()] for row in ImageSet(work).rows]
    return hashlib.sha256(json.dumps(lines).encode()).hexdigest()[:16]


PLANS = {
    ("any_class", "keep", (1.0, 1.0)): "653eb787de507857",
    ("other_class", "keep", (1.0, 1.0)): "bbbd49d951448886",
    ("any_class", "keep", (0.5, 0.9)): "c5002e9505b58470",
    ("any_class", "keep", (0.7, 0.7)): "ee1ea5c2c03c1d46",
    ("any_class", "centre", (1.0, 1.0)): "4481d6d2a7916c4e",
    ("other_class", "random", (0.8, 0.8)): "dc1ce82c959e9c21",
}


@pytest.mark.parametrize("case", PLANS)
def test_a_plan_is_what_it_always_was(case: tuple[str, str, tuple[float, float]]) -> None:
    """By hashes that the code had before it was made fast."""
    assert plan_digest(case) == PLANS[case]


def plan_digest(case: tuple[str, str, tuple[float, float]]) -> str:
    classes, position, size = case
    rows = [
        Row(f"n{label}_{n}", split, label, f"n{label}", CLASSES.member_name(label, f"n{label}_{n}"))
        for label in range(4)
        for split, numbers in (("train", range(6)), ("val", range(6, 10)))
        for n in numbers
    ]
    boxes: list[Box | None] = [Box(n, 1, n + 9, 12) if n % 7 else None for n in range(len(rows))]
    reasons = [None if box else "foreground_outside_crop" for box in boxes]
    looks = render_settings(
        mixed_rand_from=classes,
        placement={"position": position, "size": list(size)},
        per_class={"train": 4, "val": None},
    )
    crops = Crops(np.zeros((0, 56, 56, 3), np.uint8), np.zeros((0, 56, 56), np.bool_), boxes, reasons)
    plan, rejected = plan_photos(rows, crops, classes=CLASSES, settings=looks, seed=2**33 + 1)
    lines = [[cells["id"], cells["reason"]] for cells in rejected]
    for photo in plan:
        lines.append([photo.row.id, photo.position, photo.box])
        for variant, chosen in photo.backgrounds.items():
            place = chosen.place
            lines.append([variant, chosen.id, chosen.label, chosen.position, chosen.box])
            lines.append([place.factor, place.centre, place.room])
    return hashlib.sha256(json.dumps(lines).encode()).hexdigest()[:16]
