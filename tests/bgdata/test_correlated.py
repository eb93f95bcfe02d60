"""Sets with a chosen correlation between class and background."""

import hashlib
import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bgdata.classes import ClassList
from bgdata.compose.correlated import CorrelatedSet, partner_labels
from bgdata.compose.paste import paste_foreground
from bgdata.compose.settings import CorrelatedSettings
from bgdata.errors import InputError
from bgdata.io import decode_image, decode_mask, encode_jpeg, encode_mask
from bgdata.labels import IN9
from bgdata.shards import ImageSet, Row, finish_set, write_shard

SIDE = 24
PER_CLASS = {"train": 10, "val": 4}
PARTNERS = {name: IN9.names[(label + 1) % len(IN9)] for label, name in enumerate(IN9.names)}


def write_sets(folder: Path, *, classes: ClassList = IN9, side: int = SIDE) -> None:
    """`original`, `fg_mask` and `only_bg_t` of photos whose grey levels say whose they are."""
    rows = [
        (split, label, f"{split}{label}_{number}")
        for split, count in PER_CLASS.items()
        for label in range(len(classes))
        for number in range(count)
    ]
    for name, ending in (("original", "JPEG"), ("fg_mask", "png"), ("only_bg_t", "JPEG")):
        for split in PER_CLASS:
            members = []
            for place, (of, label, photo) in enumerate(rows):
                if of != split:
                    continue
                row = Row(photo, split, label, "", f"{classes.folders[label]}/{photo}.{ending}")
                members.append((row, _encoded(name, place, side)))
            write_shard(folder / name, f"{split}-00000.tar", members)
        finish_set(folder / name, classes=classes)


def _encoded(name: str, place: int, side: int) -> bytes:
    if name == "fg_mask":
        mask = np.zeros((side, side), np.bool_)
        mask[4:12, 4:12] = True
        return encode_mask(mask)
    level = place % 120 + (0 if name == "original" else 130)
    return encode_jpeg(np.full((side, side, 3), level, np.uint8), quality=95)


def made(folder: Path, out: Path, *, workers: int = 1, **settings: Any) -> ImageSet:
    chosen = {"correlation": 0.5, "partners": None, "background_from": "t"} | settings
    CorrelatedSet(
        originals=folder / "original",
        masks=folder / "fg_mask",
        backgrounds=folder / "only_bg_t",
        settings=CorrelatedSettings.model_validate(chosen),
        jpeg_quality=90,
        images_per_shard=7,
        seed=3,
    ).write(out, workers=workers)
    return ImageSet(out)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three sets that a correlated one is made from."""
    folder = tmp_path_factory.mktemp("sets")
    write_sets(folder)
    return folder


@pytest.mark.parametrize("partners", [None, PARTNERS])
@pytest.mark.parametrize("correlation", [0.0, 0.24, 0.5, 0.95, 1.0])
def test_the_share_is_exact_in_each_class_and_split(
    folder: Path, tmp_path: Path, correlation: float, partners: dict[str, str] | None
) -> None:
    of = partner_labels(partners, IN9)
    rows = made(folder, tmp_path / "set", correlation=correlation, partners=partners).rows
    assert Counter((row.split, row.label) for row in rows) == {
        (split, label): count for split, count in PER_CLASS.items() for label in range(len(IN9))
    }
    on_partner = Counter((row.split, row.label) for row in rows if int(row.extra["background_label"]) == of[row.label])
    for split, count in PER_CLASS.items():
        for label in range(len(IN9)):
            assert on_partner[split, label] == round(correlation * count)
    assert all(
        (int(row.extra["background_label"]) == of[row.label]) == (row.extra["on_partner"] == "1") for row in rows
    )


def test_no_photo_stands_on_its_own_background_nor_on_one_of_the_other_split(folder: Path, tmp_path: Path) -> None:
    for row in made(folder, tmp_path / "set", correlation=1.0).rows:
        assert row.extra["background"] != row.id
        assert row.extra["background"].startswith(row.split)


def test_the_background_in_the_index_is_the_one_in_the_image(folder: Path, tmp_path: Path) -> None:
    images = made(folder, tmp_path / "set")
    photos, masks, behind = (ImageSet(folder / name) for name in ("original", "fg_mask", "only_bg_t"))
    for row in images.rows[:20]:
        (photo,), (mask,), (background,) = (
            each.by_id([name]) for each, name in ((photos, row.id), (masks, row.id), (behind, row.extra["background"]))
        )
        assert int(row.extra["background_label"]) == background.label
        expected = paste_foreground(
            decode_image(behind.read(background)), decode_image(photos.read(photo)), decode_mask(masks.read(mask))
        )
        assert images.read(row) == encode_jpeg(expected, 90)


def test_a_stronger_correlation_keeps_those_that_were_on_their_partner(folder: Path, tmp_path: Path) -> None:
    found = [
        {
            row.id: row.extra["background"]
            for row in made(folder, tmp_path / str(share), correlation=share).rows
            if row.extra["on_partner"] == "1"
        }
        for share in (0.2, 0.6, 1.0)
    ]
    for weaker, stronger in itertools.pairwise(found):
        assert weaker.items() < stronger.items()


def test_the_bytes_do_not_depend_on_the_workers_and_a_killed_run_goes_on(folder: Path, tmp_path: Path) -> None:
    alone, together, resumed = (tmp_path / name for name in ("alone", "together", "resumed"))
    made(folder, alone)
    made(folder, together, workers=2)
    made(folder, resumed)
    shard = resumed / "train-00003.tar"
    shard.unlink()
    (resumed / "index.csv").unlink()
    made(folder, resumed)
    hashes = [
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out.glob("*.*"))}
        for out in (alone, together, resumed)
    ]
    assert hashes[0] == hashes[1] == hashes[2]


def test_partners_must_be_named_for_all_or_none() -> None:
    with pytest.raises(
        InputError, match=r"correlated\.partners: bird has no partner: name one for each class, or none"
    ):
        partner_labels({name: partner for name, partner in PARTNERS.items() if name != "bird"}, IN9)
    with pytest.raises(InputError, match=r"correlated\.partners: 'brid' is none of the classes"):
        partner_labels(PARTNERS | {"dog": "brid"}, IN9)


def test_a_class_without_backgrounds_is_named(folder: Path, tmp_path: Path) -> None:
    few = tmp_path / "sets"
    few.mkdir()
    for name in ("original", "fg_mask"):
        (few / name).symlink_to(folder / name)
    images = ImageSet(folder / "only_bg_t")
    rows = [row for row in images.rows if row.label != 2]
    for split in PER_CLASS:
        write_shard(
            few / "only_bg_t", f"{split}-00000.tar", [(row, images.read(row)) for row in rows if row.split == split]
        )
    finish_set(few / "only_bg_t", classes=IN9)
    with pytest.raises(InputError, match=r"class 02_wheeled vehicle has 0 usable photos"):
        made(few, tmp_path / "set", correlation=1.0)


def test_backgrounds_of_another_size_are_refused(folder: Path, tmp_path: Path) -> None:
    write_sets(tmp_path / "larger", side=SIDE + 8)
    mixed = tmp_path / "sets"
    mixed.mkdir()
    for name, source in (("original", folder), ("fg_mask", folder), ("only_bg_t", tmp_path / "larger")):
        (mixed / name).symlink_to(source / name)
    with pytest.raises(InputError, match=r"only_bg_t.* is 32x32, and .* 24x24 \(height x width\): render both again"):
        made(mixed, tmp_path / "set")
