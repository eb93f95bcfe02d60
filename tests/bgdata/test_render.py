"""Rendering: the laws hold on what is read back, and the bytes depend on nothing but photos, settings and seed."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bgdata.compose import render
from bgdata.compose.mixed_sets import MixedSet
from bgdata.compose.names import MIXED
from bgdata.compose.render import SETS, render_sets
from bgdata.compose.settings import MixSettings, RenderSettings
from bgdata.errors import InputError
from bgdata.exports.check import check_set
from bgdata.exports.tree import export_tree
from bgdata.io import decode_image, decode_mask
from bgdata.shards import PARTS, ImageSet

from .conftest import draw_photo, write_sets


def settings(**changes: Any) -> RenderSettings:
    values: dict[str, Any] = {
        "resize": 64,
        "size": 56,
        "jpeg_quality": 95,
        "edge": "hard",
        "feather": 1.0,
        "mixed_rand_from": "any_class",
        "placement": {"position": "keep", "size": [1.0, 1.0]},
        "per_class": {"train": None, "val": None},
        "images_per_shard": 10,
    }
    return RenderSettings.model_validate(values | changes)


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for name in SETS for path in (folder / name).iterdir() if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def rendered(photo_sets: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("rendered")
    render_sets(*photo_sets, settings=settings(), seed=0, work=work, workers=1)
    return work


def read(folder: Path, variant: str) -> Iterator[tuple[Any, np.ndarray]]:
    with ImageSet(folder / variant) as images:
        decode = decode_mask if variant == "fg_mask" else decode_image
        for row in images.rows:
            yield row, decode(images.read(row))


def test_all_sets_hold_the_same_photos(rendered: Path) -> None:
    ids = {variant: [row.id for row, _ in read(rendered, variant)] for variant in SETS}
    assert len(ids["original"]) == 63
    assert all(found == ids["original"] for found in ids.values())


def test_the_variants_are_what_they_say(rendered: Path) -> None:
    """To JPEG's error: 2 levels in the mean."""
    sets = {variant: [image for _, image in read(rendered, variant)] for variant in SETS}
    background = {row.id: image for row, image in read(rendered, "only_bg_t")}
    sources = {variant: [row.extra["background"] for row, _ in read(rendered, variant)] for variant in MIXED}

    def error(image: np.ndarray, expected: np.ndarray) -> float:
        return float(np.abs(image.astype(int) - expected).mean())

    for place, mask in enumerate(sets["fg_mask"]):
        original = sets["original"][place].astype(int)
        assert error(sets["only_fg"][place], original * mask[..., None]) < 2
        assert error(sets["no_fg"][place], original * ~mask[..., None]) < 2
        for variant in MIXED:
            expected = np.where(mask[..., None], original, background[sources[variant][place]])
            assert error(sets[variant][place], expected) < 3


def test_the_index_tells_where_each_background_came_from(rendered: Path) -> None:
    labels = {row.id: (row.label, row.split) for row, _ in read(rendered, "original")}
    for variant in MIXED:
        for row, _ in read(rendered, variant):
            other = row.extra["background"]
            assert other != row.id
            assert labels[other] == (int(row.extra["background_label"]), row.split)
            assert row.stem == f"fg_{row.id}_bg_{other}"
            if variant == "mixed_same":
                assert labels[other][0] == row.label
            if variant == "mixed_next":
                assert labels[other][0] == (row.label + 1) % 9


def test_the_same_bytes_for_one_and_two_workers(photo_sets: tuple[Path, Path], rendered: Path, tmp_path: Path) -> None:
    render_sets(*photo_sets, settings=settings(), seed=0, work=tmp_path, workers=2)
    assert hashes(tmp_path) == hashes(rendered)


def test_a_placement_moves_the_mixed_variants_alone(
    photo_sets: tuple[Path, Path], rendered: Path, tmp_path: Path
) -> None:
    moved = settings(placement={"position": "random", "size": [0.4, 0.8]})
    for workers in (1, 2):
        render_sets(*photo_sets, settings=moved, seed=0, work=tmp_path / str(workers), workers=workers)
    found = hashes(tmp_path / "1")
    assert found == hashes(tmp_path / "2")
    shards = {name: digest for name, digest in hashes(rendered).items() if ".tar" in name}
    assert {name.split("/")[0] for name, digest in shards.items() if found[name] != digest} == set(MIXED)


def test_another_seed_draws_other_backgrounds_but_keeps_the_rest(
    photo_sets: tuple[Path, Path], rendered: Path, tmp_path: Path
) -> None:
    render_sets(*photo_sets, settings=settings(), seed=1, work=tmp_path, workers=1)
    for variant in SETS:
        before, after = ([image.tobytes() for _, image in read(folder, variant)] for folder in (rendered, tmp_path))
        assert (before != after) == (variant in MIXED)


def test_a_killed_run_goes_on_from_its_finished_shards(
    photo_sets: tuple[Path, Path], rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished: list[str] = []
    whole = render._render_shard

    def dies_at_the_third(photos: Any, shard: str, *rest: Any) -> int:
        if len(finished) == 2:
            raise KeyboardInterrupt
        finished.append(shard)
        return whole(photos, shard, *rest)

    monkeypatch.setattr(render, "_render_shard", dies_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        render_sets(*photo_sets, settings=settings(), seed=0, work=tmp_path, workers=1)
    kept = [(tmp_path / "only_fg" / shard).stat().st_mtime_ns for shard in finished]
    monkeypatch.setattr(render, "_render_shard", whole)
    render_sets(*photo_sets, settings=settings(), seed=0, work=tmp_path, workers=1)
    assert [(tmp_path / "only_fg" / shard).stat().st_mtime_ns for shard in finished] == kept
    assert hashes(tmp_path) == hashes(rendered)


def test_classes_are_balanced_by_the_seed(photo_sets: tuple[Path, Path], tmp_path: Path) -> None:
    limited = settings(per_class={"train": 3, "val": 2})
    render_sets(*photo_sets, settings=limited, seed=0, work=tmp_path, workers=1)
    with ImageSet(tmp_path / "original") as images:
        assert set(images.manifest["images"]["train"].values()) == {3}
        assert set(images.manifest["images"]["val"].values()) == {2}
        assert images.manifest["rejected"] == {"class_is_full": 18}


def test_photos_without_foreground_or_background_in_the_crop_are_counted(tmp_path: Path) -> None:
    photos = [draw_photo(label, split, n) for split in ("train", "val") for label in range(9) for n in range(3)]
    photos[0].mask[:] = False
    photos[0].mask[0, 0] = True  # outside the crop
    photos[3].mask[:] = True
    render_sets(*write_sets(tmp_path, photos), settings=settings(), seed=0, work=tmp_path / "work", workers=1)
    with ImageSet(tmp_path / "work/original") as images:
        assert images.manifest["rejected"] == {"foreground_outside_crop": 1, "no_background": 1}
    rejected = (tmp_path / "work/original/rejected.csv").read_text()
    assert photos[0].row.id in rejected
    assert photos[3].row.id in rejected


def test_a_mask_of_another_size_is_named(tmp_path: Path) -> None:
    photos = [draw_photo(label, split, n) for split in ("train", "val") for label in range(9) for n in range(2)]
    sets = write_sets(tmp_path, photos)
    bad = draw_photo(0, "train", 0)
    wrong = type(bad)(bad.row, bad.image, np.ones((5, 7), bool))
    write_sets(tmp_path / "wrong", [wrong, *photos[1:]])
    with pytest.raises(InputError, match=r"mask n00000000_train0 is 5x7, its image is \d+x\d+ \(height x width\)"):
        render_sets(sets[0], tmp_path / "wrong/masks", settings=settings(), seed=0, work=tmp_path / "work", workers=1)


def test_a_class_with_one_photo_stops_with_its_name(tmp_path: Path) -> None:
    photos = [draw_photo(label, split, n) for split in ("train", "val") for label in range(9) for n in range(2)]
    sets = write_sets(tmp_path, photos[:-1])
    with pytest.raises(InputError, match="class 08_fish has 1 usable photos"):
        render_sets(*sets, settings=settings(), seed=0, work=tmp_path / "work", workers=1)


@pytest.mark.parametrize("method", ["mixup", "cutmix"])
def test_mixed_sets_hold_soft_labels(rendered: Path, tmp_path: Path, method: str) -> None:
    mixing = MixSettings(alpha=1.0, per_image=2)
    mixed_set = MixedSet(rendered / "original", method, mixing, jpeg_quality=95, images_per_shard=10, seed=0)
    for name, workers in (("one", 1), ("two", 2)):
        mixed_set.write(tmp_path / name, workers=workers)
    assert [row.to_cells() for row, _ in read(tmp_path, "one")] == [row.to_cells() for row, _ in read(tmp_path, "two")]
    originals = {row.id: (row.label, image) for row, image in read(rendered, "original")}
    rows = list(read(tmp_path, "one"))
    assert len(rows) == 2 * 36
    for row, image in rows:
        own, partner = row.id.rsplit("_", 1)[0], row.extra["partner"]
        lam = float(row.extra["lam"])
        assert own != partner
        assert 0 <= lam <= 1
        assert row.label == originals[own][0]
        assert int(row.extra["partner_label"]) == originals[partner][0]
        if method == "mixup":
            expected = lam * originals[own][1] + (1 - lam) * originals[partner][1]
            assert np.abs(image - expected).mean() < 3


def test_an_export_is_the_official_tree(rendered: Path, tmp_path: Path) -> None:
    folder_classes = pytest.importorskip("torchvision.datasets")
    for variant in ("mixed_rand", "fg_mask"):
        assert export_tree(rendered / variant, tmp_path) == 63
    tree = folder_classes.ImageFolder(tmp_path / "mixed_rand/val")
    assert tree.classes[2] == "02_wheeled vehicle"
    assert len(tree) == 27
    name = Path(tree.samples[0][0]).name
    assert name.startswith("fg_n00000000_val")
    masks = sorted((tmp_path / "fg_mask/val/00_dog").glob("*.npy"))
    assert np.load(masks[0]).dtype == bool
    assert np.load(masks[0]).shape == (56, 56)


def test_check_finds_a_flipped_byte(rendered: Path, tmp_path: Path) -> None:
    assert check_set(rendered / "original") == 63
    broken = tmp_path / "original"
    broken.mkdir()
    for path in (rendered / "original").iterdir():
        if path.name != PARTS:
            (broken / path.name).write_bytes(path.read_bytes())
    shard = broken / "train-00001.tar"
    data = bytearray(shard.read_bytes())
    data[1000] ^= 1
    shard.write_bytes(data)
    with pytest.raises(InputError, match=r"1 files differ .*train-00001.tar"):
        check_set(broken)


def test_check_finds_a_shortened_index(rendered: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(rendered / "original", tmp_path / "original")
    lines = (broken / "index.csv").read_text().splitlines()
    (broken / "index.csv").write_text("\n".join(lines[:5]) + "\n")
    with pytest.raises(InputError, match=r"1 files differ .*index.csv"):
        check_set(broken)


def test_a_second_export_does_not_mix_with_the_first(rendered: Path, tmp_path: Path) -> None:
    export_tree(rendered / "mixed_rand", tmp_path)
    with pytest.raises(InputError, match="mixed_rand is not empty: remove it"):
        export_tree(rendered / "mixed_rand", tmp_path)


def test_crops_are_made_again_where_their_array_is_gone(
    photo_sets: tuple[Path, Path], rendered: Path, tmp_path: Path
) -> None:
    """A removal that was cut short leaves the marks of chunks without the array that they vouch for."""
    render_sets(*photo_sets, settings=settings(), seed=0, work=tmp_path, workers=1)
    (tmp_path / "crops/pixels.npy").unlink()
    for name in SETS:
        shutil.rmtree(tmp_path / name)
    render_sets(*photo_sets, settings=settings(), seed=0, work=tmp_path, workers=1)
    assert hashes(tmp_path) == hashes(rendered)


def test_a_missing_shard_is_named(rendered: Path, tmp_path: Path) -> None:
    partly = shutil.copytree(rendered / "original", tmp_path / "original")
    (partly / "train-00001.tar").unlink()
    with pytest.raises(InputError, match=r"train-00001.tar is missing: `dvc pull`"):
        export_tree(partly, tmp_path / "out")


def test_a_soft_edge_renders(photo_sets: tuple[Path, Path], rendered: Path, tmp_path: Path) -> None:
    render_sets(*photo_sets, settings=settings(edge="soft"), seed=0, work=tmp_path, workers=1)
    hard, soft = (np.stack([image for _, image in read(folder, "mixed_next")]) for folder in (rendered, tmp_path))
    assert 0 < np.abs(hard.astype(int) - soft).mean() < 6


def test_other_class_never_draws_the_own_class(photo_sets: tuple[Path, Path], tmp_path: Path) -> None:
    render_sets(*photo_sets, settings=settings(mixed_rand_from="other_class"), seed=0, work=tmp_path, workers=1)
    assert all(int(row.extra["background_label"]) != row.label for row, _ in read(tmp_path, "mixed_rand"))
