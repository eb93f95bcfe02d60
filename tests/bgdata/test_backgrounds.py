"""Further sources of backgrounds: what is outside a hole stays, partners are render's, bytes depend on nothing else."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from bgdata.compose import external, filled, source_sets
from bgdata.compose.background_classes import UNKNOWN, class_list_of, labels_of_backgrounds
from bgdata.compose.correlated import CorrelatedSet
from bgdata.compose.crops import open_crops
from bgdata.compose.external import write_external_sets
from bgdata.compose.fill import hole_of
from bgdata.compose.filled import Filling, write_filled_sets
from bgdata.compose.foregrounds import Inputs
from bgdata.compose.listing import Listing, list_external
from bgdata.compose.names import MIXED, mixed_sets
from bgdata.compose.names import source_sets as names_of
from bgdata.compose.render import render_sets
from bgdata.compose.settings import BackgroundsJob, CorrelatedSettings, ExternalSettings
from bgdata.engines.base import Network
from bgdata.errors import InputError
from bgdata.exports.huggingface import export_huggingface
from bgdata.exports.subpop import export_subpop
from bgdata.io import decode_image, encode_jpeg, encode_png
from bgdata.labels import IN9
from bgdata.shards import PARTS, ImageSet

from .conftest import draw_photo, write_sets
from .test_render import settings as render_settings

FILLED = {
    "kind": "filled",
    "method": "telea",
    "weights": None,
    "radius": 3.0,
    "dilate": 2,
    "at": "crop",
    "max_foreground": 0.8,
    "splits": ["train", "val"],
}
LOOKS = render_settings(per_class={"train": None, "val": None}).model_dump(exclude={"per_class"})


@dataclass(frozen=True)
class Grey:
    """Fills holes with one grey: what it fills is seen at once."""

    def fill(self, images: Sequence[np.ndarray], holes: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [np.where(hole[..., None], np.uint8(77), image) for image, hole in zip(images, holes, strict=True)]


def filled_job(**changes: Any) -> BackgroundsJob:
    return BackgroundsJob.model_validate({"source": FILLED | changes, "render": LOOKS, "seed": 0})


def external_job(folder: Path, **changes: Any) -> BackgroundsJob:
    source = {"kind": "external", "folder": str(folder), "classes": None, "val_share": 0.25, "splits": ["train", "val"]}
    return BackgroundsJob.model_validate({"source": source | changes, "render": LOOKS, "seed": 0})


def write_filled(
    inputs: Inputs, work: Path, *, workers: int = 1, batch: int = 5, gpus: int | None = None, **changes: Any
):
    filler = Grey() if gpus is None else Network(Grey, "cpu", gpus)
    return write_filled_sets("f", filled_job(**changes), inputs, Filling(filler, batch), work=work, workers=workers)


def write_external(inputs: Inputs, folder: Path, work: Path, *, workers: int = 1, **changes: Any) -> dict[str, Any]:
    job = external_job(folder, **changes)
    assert isinstance(job.source, ExternalSettings)
    return write_external_sets("p", job, inputs, list_external("p", job.source, IN9), work=work, workers=workers)


def hashes(folder: Path, source: str) -> dict[str, str]:
    files = sorted(path for name in names_of(source) for path in (folder / name).iterdir() if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def read(folder: Path, name: str) -> list[tuple[Any, np.ndarray]]:
    with ImageSet(folder / name) as images:
        return [(row, decode_image(images.read(row))) for row in images.rows]


@pytest.fixture(scope="module")
def inputs(photo_sets: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Photos and masks, and what render made of them."""
    work = tmp_path_factory.mktemp("rendered")
    render_sets(*photo_sets, settings=render_settings(), seed=0, work=work, workers=1)
    return Inputs(*photo_sets, work / "original")


@pytest.fixture(scope="module")
def written(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("filled")
    write_filled(inputs, work)
    return work


def draw_folder(folder: Path, names: Sequence[str], *, side: int = 70) -> Path:
    """A folder of noise, a photo for each name."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (5, 6, 3), dtype=np.uint8)
        image = cv2.resize(noise, (side + 9, side))
        path.write_bytes(encode_png(image) if path.suffix == ".png" else encode_jpeg(image, 95))
    return folder


PLACES = [f"{place}/{number}.{'png' if number == 1 else 'jpg'}" for place in ("a", "b/c") for number in range(4)]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folder(tmp_path_factory.mktemp("places"), PLACES)


def test_outside_the_dilated_mask_the_pixels_are_the_photos(written: Path) -> None:
    crops, backgrounds = open_crops(written / "crops", [], []), np.load(written / "filled/filled.npy")
    assert len(backgrounds) == 63
    for image, mask, background in zip(crops.pixels, crops.masks, backgrounds, strict=True):
        hole = hole_of(np.asarray(mask), 2)
        assert (background[~hole] == image[~hole]).all()
        assert (background[hole] == 77).all()
        assert (hole >= mask).all()


def test_filled_at_the_photos_size_the_crop_is_of_the_filled_photo(
    inputs: Inputs, written: Path, tmp_path: Path
) -> None:
    write_filled(inputs, tmp_path, at="photo")
    whole, crop = (np.load(folder / "filled/filled.npy") for folder in (tmp_path, written))
    masks = np.load(written / "crops/masks.npy")
    far = cv2.dilate(masks.astype(np.uint8).transpose(1, 2, 0), np.ones((11, 11))).transpose(2, 0, 1) == 0
    assert (whole[far] == crop[far]).all()
    assert (whole[masks] == 77).mean() > 0.97


def test_partners_are_those_of_the_tiled_variant(inputs: Inputs, written: Path) -> None:
    for variant, name in mixed_sets("f").items():
        with ImageSet(inputs.originals.parent / variant) as tiled, ImageSet(written / name) as ours:
            assert [row.extra for row in ours.rows] == [row.extra for row in tiled.rows]
            assert [row.name for row in ours.rows] == [row.name for row in tiled.rows]


def test_the_foreground_stands_on_the_filled_background(inputs: Inputs, written: Path) -> None:
    with ImageSet(inputs.originals) as originals:
        order = [row.id for row in originals.rows]
    pixels, masks = (np.load(written / "crops" / f"{name}.npy") for name in ("pixels", "masks"))
    backgrounds = np.load(written / "filled/filled.npy")
    for name in mixed_sets("f").values():
        for row, image in read(written, name):
            own, other = order.index(row.id), order.index(row.extra["background"])
            expected = np.where(masks[own][..., None], pixels[own], backgrounds[other])
            assert (image == decode_image(encode_jpeg(expected, 95))).all()
    alone = {row.id: image for row, image in read(written, "only_bg_f")}
    for place, image_id in enumerate(order):
        assert (alone[image_id] == decode_image(encode_jpeg(backgrounds[place], 95))).all()


@pytest.mark.parametrize("how", [{"workers": 2}, {"batch": 1}, {"gpus": 0, "batch": 64}, {"gpus": 2}])
def test_workers_and_batches_change_no_byte(inputs: Inputs, written: Path, tmp_path: Path, how: dict[str, Any]) -> None:
    write_filled(inputs, tmp_path, **how)
    assert hashes(tmp_path, "f") == hashes(written, "f")


def test_a_killed_run_goes_on(inputs: Inputs, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while it fills, then while it writes: neither what was filled nor a finished shard is made again."""
    calls: list[str] = []

    def dying(module: Any, name: str, after: int) -> Any:
        whole = getattr(module, name)

        def dies(*arguments: Any) -> Any:
            if sum(called == name for called in calls) == after:
                raise KeyboardInterrupt
            calls.append(name)
            return whole(*arguments)

        monkeypatch.setattr(module, name, dies)
        return whole

    monkeypatch.setattr("bgdata.compose.chunked._CHUNK", 10)
    once = dying(filled._Fill, "__call__", 2)
    with pytest.raises(KeyboardInterrupt):
        write_filled(inputs, tmp_path)
    parts = {path: path.stat().st_mtime_ns for path in (tmp_path / "filled").glob("*.json")}
    assert len(parts) == 2
    monkeypatch.setattr(filled._Fill, "__call__", once)
    once = dying(source_sets, "_write_mixed_shard", 3)
    with pytest.raises(KeyboardInterrupt):
        write_filled(inputs, tmp_path)
    shards = {path: path.stat().st_mtime_ns for path in (tmp_path / "mixed_rand_f").glob("*.tar")}
    assert len(shards) == 3
    monkeypatch.setattr(source_sets, "_write_mixed_shard", once)
    write_filled(inputs, tmp_path)
    assert all(path.stat().st_mtime_ns == time for path, time in (parts | shards).items())
    assert hashes(tmp_path, "f") == hashes(written, "f")


def test_a_foreground_that_is_too_large_gives_no_background(inputs: Inputs, tmp_path: Path) -> None:
    """It is put on others' all the same. A hole without a pixel beside it counts as well."""
    shares = np.sort([mask.mean() for mask in np.load(_crops(inputs, tmp_path / "all") / "masks.npy")])
    manifest = write_filled(inputs, tmp_path / "some", max_foreground=float(shares[-3] + 1e-6), splits=["train", "val"])
    assert manifest["rejected"] == {"foreground_too_large": 2}
    with ImageSet(tmp_path / "some/only_bg_f") as alone, ImageSet(tmp_path / "some/mixed_rand_f") as mixed:
        assert len(alone.rows) == 61
        assert len(mixed.rows) == 63
        assert {row.extra["background"] for row in mixed.rows} <= {row.id for row in alone.rows}
    assert len((tmp_path / "some/only_bg_f/rejected.csv").read_text().splitlines()) == 3
    with pytest.raises(
        InputError, match="00_dog has no usable backgrounds in train, expected at least 2: 4 foregrounds"
    ):
        write_filled(inputs, tmp_path / "none", dilate=60)


def _crops(inputs: Inputs, work: Path) -> Path:
    write_filled(inputs, work)
    return work / "crops"


def test_a_mask_that_covers_everything_is_counted(tmp_path: Path) -> None:
    photos = [draw_photo(label, split, n) for split in ("train", "val") for label in range(9) for n in range(4)]
    whole = photos[0]
    whole.mask[1:-1, 1:-1] = True
    whole.mask[:, :9] = False  # or render has no strip, and no such photo
    sets = write_sets(tmp_path, photos)
    render_sets(*sets, settings=render_settings(), seed=0, work=tmp_path / "work", workers=1)
    inputs = Inputs(*sets, tmp_path / "work/original")
    for changes in ({"max_foreground": 0.5}, {"max_foreground": 1.0, "dilate": 15}):
        place = tmp_path / str(len(changes))
        assert write_filled(inputs, place, **changes)["rejected"] == {"foreground_too_large": 1}
        assert whole.row.id in (place / "only_bg_f/rejected.csv").read_text()


def test_a_class_that_loses_its_backgrounds_is_named_before_any_is_filled(inputs: Inputs, tmp_path: Path) -> None:
    words = (
        r"class 00_dog has no usable backgrounds in train, expected at least 2: 4 foregrounds are too large; raise "
        r"backgrounds.f.max_foreground, lower its dilate, add photos, or take train out of its splits"
    )
    with pytest.raises(InputError, match=words):
        write_filled(inputs, tmp_path, max_foreground=0.0001)
    assert not (tmp_path / "filled").exists()


def test_one_split_alone(inputs: Inputs, written: Path, tmp_path: Path) -> None:
    write_filled(inputs, tmp_path, splits=["val"])
    of_val = {name: digest for name, digest in hashes(written, "f").items() if "val-" in name}
    assert {name: digest for name, digest in hashes(tmp_path, "f").items() if name.endswith("tar")} == of_val


def test_a_split_without_photos_is_named(tmp_path: Path) -> None:
    photos = [draw_photo(label, "val", n) for label in range(9) for n in range(2)]
    sets = write_sets(tmp_path, photos)
    render_sets(*sets, settings=render_settings(), seed=0, work=tmp_path / "work", workers=1)
    with pytest.raises(InputError, match=r"original has no photo of the split train: take it out of the source's"):
        write_filled(Inputs(*sets, tmp_path / "work/original"), tmp_path / "out")


def test_other_photos_become_backgrounds_of_unknown_class(inputs: Inputs, places: Path, tmp_path: Path) -> None:
    manifest = write_external(inputs, places, tmp_path)
    assert manifest["images"] == {"train": {"00_background": 6}, "val": {"00_background": 2}}
    with ImageSet(tmp_path / "only_bg_p") as images:
        assert labels_of_backgrounds(images, images.rows).tolist() == [UNKNOWN] * 8
        assert class_list_of(images).same_as(IN9)
        assert sorted(row.extra["source"] for row in images.rows) == sorted(PLACES)
        split_of = {row.id: row.split for row in images.rows}
    rows = [row for row, _ in read(tmp_path, "mixed_rand_p")]
    assert len(rows) == 63
    assert all(split_of[row.extra["background"]] == row.split for row in rows)
    assert {row.extra["background_label"] for row in rows} == {""}
    for name in ("mixed_same_p", "mixed_next_p"):
        with ImageSet(tmp_path / name) as images:
            assert images.rows == []
            assert images.manifest["empty"].startswith("the classes of these backgrounds are unknown")


def test_their_pixels_are_the_centre_of_each_photo(inputs: Inputs, places: Path, tmp_path: Path) -> None:
    write_external(inputs, places, tmp_path)
    crop = external.CentreCrop(64, 56)
    for row, image in read(tmp_path, "only_bg_p"):
        expected = crop.image(decode_image((places / row.extra["source"]).read_bytes()))
        assert (image == decode_image(encode_jpeg(expected, 95))).all()


def test_by_class_the_mixed_variants_are_of_the_classes_they_say(inputs: Inputs, tmp_path: Path) -> None:
    names = [f"{place}/{number}.jpg" for place in range(9) for number in range(3)]
    folder = draw_folder(tmp_path / "places", [*names, "other/1.jpg"])
    classes = {name: [str(label)] for label, name in enumerate(IN9.names)}
    write_external(inputs, folder, tmp_path, classes=classes)
    with ImageSet(tmp_path / "only_bg_p") as images:
        labels = dict(zip((row.id for row in images.rows), labels_of_backgrounds(images, images.rows), strict=True))
        assert all(str(labels[row.id]) == row.extra["source"].split("/")[0] for row in images.rows)
        assert images.manifest["images"] == {"train": {"00_background": 18}, "val": {"00_background": 9}}
    for variant in MIXED:
        for row, _ in read(tmp_path, f"{variant}_p"):
            label = int(row.extra["background_label"])
            assert label == labels[row.extra["background"]]
            if variant != "mixed_rand":
                assert label == (row.label + (variant == "mixed_next")) % 9


def test_external_sets_are_the_same_for_two_workers(inputs: Inputs, places: Path, tmp_path: Path) -> None:
    for workers in (1, 2):
        write_external(inputs, places, tmp_path / str(workers), workers=workers)
    assert hashes(tmp_path / "1", "p") == hashes(tmp_path / "2", "p")


def test_strangers_files_are_counted(inputs: Inputs, places: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(places, tmp_path / "places")
    draw_folder(folder / "small", ["1.jpg", "2.jpg"], side=55)
    (folder / "broken.jpg").write_bytes((folder / "a/0.jpg").read_bytes()[:-40])
    (folder / "words.png").write_text("no image")
    (folder / "link.jpg").symlink_to(folder / "nowhere.jpg")
    shutil.copy(folder / "a/0.jpg", folder / "zopy.jpg")
    shutil.copy(folder / "a/0.jpg", folder / ".hidden.jpg")
    (folder / "notes.txt").write_text("no photo either")
    manifest = write_external(inputs, folder, tmp_path)
    assert manifest["rejected"] == {"duplicate": 1, "too_small": 2, "unreadable": 2}
    assert "zopy.jpg,,,duplicate" in (tmp_path / "only_bg_p/rejected.csv").read_text()


def test_a_changed_folder_has_another_digest(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path, ["a.jpg", "b.jpg"])
    before = Listing(folder, {"a.jpg": None, "b.jpg": None}).digest
    (folder / "b.jpg").write_bytes((folder / "a.jpg").read_bytes() + b"\0")
    assert Listing(folder, {"a.jpg": None, "b.jpg": None}).digest != before


@pytest.mark.parametrize(
    ("names", "classes", "words"),
    [
        (None, None, r"backgrounds.p.folder is .*, and there is no such folder: name one with photos"),
        ([], None, r"holds no photo, expected at least two \(.jpg, .*: add photos, or name another folder"),
        (["a.jpg"], None, r"holds one photo, expected at least two"),
        (["a/1.jpg", "2.jpg"], {"dog": ["a"]}, r"holds one photo of its classes, expected at least two"),
        (
            ["a/1.jpg", "a/2.jpg"],
            {"cat": ["a"]},
            r"p.classes names 'cat', which is none of the classes in9",
        ),
        (["a/1.jpg", "a/2.jpg"], {"dog": ["/tmp"]}, r"names the sub-folder /tmp, which .* does not have"),
        (["a/1.jpg", "a/2.jpg"], {"dog": ["b"]}, r"names the sub-folder b, which .* does not have: correct it"),
        (
            ["a/1.jpg", "a/2.jpg"],
            {"dog": ["a"], "bird": ["a"]},
            r"gives a/1.jpg to two classes: name its sub-folder for one of them",
        ),
        (
            ["a/1.jpg", "a/2.jpg"],
            {"dog": ["a"]},
            r"class 01_bird has no usable backgrounds in train, expected at least 1: mixed_same and mixed_next need",
        ),
    ],
)
def test_a_folder_of_no_use_is_a_sentence(
    inputs: Inputs, tmp_path: Path, names: list[str] | None, classes: Any, words: str
) -> None:
    folder = tmp_path / "places"
    if names is not None:
        folder.mkdir()
        draw_folder(folder, names)
    with pytest.raises(InputError, match=words) as caught:
        write_external(inputs, folder, tmp_path / "work", classes=classes)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "work").exists()


def test_a_folder_smaller_than_the_crop_is_a_sentence(inputs: Inputs, tmp_path: Path) -> None:
    draw_folder(tmp_path / "places", ["1.jpg", "2.jpg"], side=55)
    (tmp_path / "places/3.jpg").write_bytes(b"no image")
    words = r"of 3 photos in .*places none can be used \(too_small 2, unreadable 1\), expected at least two: add photos"
    with pytest.raises(InputError, match=words):
        write_external(inputs, tmp_path / "places", tmp_path / "work")


def test_a_manifest_says_how_its_set_was_made(written: Path) -> None:
    for name in names_of("f"):
        manifest = json.loads((written / name / "manifest.json").read_text())
        assert manifest["seed"] == 0
        assert manifest["settings"]["source"]["method"] == "telea"
    assert not list(written.glob(f"*/{PARTS}/*.tmp"))


def test_exports_know_what_is_not_known(inputs: Inputs, places: Path, tmp_path: Path) -> None:
    """Hugging Face names the classes of backgrounds by the photos' list; SubpopBench takes none of unknown class."""
    write_external(inputs, places, tmp_path)
    export_huggingface(tmp_path / "only_bg_p", tmp_path / "out")
    schema = pq.read_schema(next((tmp_path / "out/only_bg_p/data").glob("val-*.parquet")))
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["label"]["names"] == ["background"]
    assert features["background_label"]["names"] == list(IN9.names)
    with pytest.raises(InputError, match="mixed_rand_p has backgrounds of unknown class, which SubpopBench cannot"):
        export_subpop([inputs.originals, tmp_path / "mixed_rand_p"], tmp_path / "subpop")


def correlate(inputs: Inputs, backgrounds: Path, work: Path) -> ImageSet:
    settings = CorrelatedSettings(correlation=0.5, partners=None, background_from="p")
    masks = inputs.originals.parent / "fg_mask"
    how = {"jpeg_quality": 90, "images_per_shard": 10, "seed": 0}
    CorrelatedSet(inputs.originals, masks, backgrounds, settings, **how).write(work / "correlated", workers=1)
    return ImageSet(work / "correlated")


def test_a_correlation_is_with_the_class_that_the_source_says(inputs: Inputs, tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "places", [f"{place}/{number}.jpg" for place in range(9) for number in range(2)])
    classes = {name: [str(label)] for label, name in enumerate(IN9.names)}
    write_external(inputs, folder, tmp_path, classes=classes)
    with ImageSet(tmp_path / "only_bg_p") as images:
        labels = dict(zip((row.id for row in images.rows), labels_of_backgrounds(images, images.rows), strict=True))
    rows = correlate(inputs, tmp_path / "only_bg_p", tmp_path).rows
    assert len(rows) == 63
    for row in rows:
        assert labels[row.extra["background"]] == int(row.extra["background_label"])
        assert (row.extra["on_partner"] == "1") == (int(row.extra["background_label"]) == row.label)


def test_a_correlation_with_unknown_classes_is_a_sentence(inputs: Inputs, places: Path, tmp_path: Path) -> None:
    write_external(inputs, places, tmp_path)
    with pytest.raises(InputError, match=r"only_bg_p holds backgrounds of unknown class alone, and a correlation is"):
        correlate(inputs, tmp_path / "only_bg_p", tmp_path)


def test_a_correlation_leaves_out_the_splits_that_a_source_has_not(inputs: Inputs, tmp_path: Path) -> None:
    write_filled(inputs, tmp_path, splits=["val"])
    assert {row.split for row in correlate(inputs, tmp_path / "only_bg_f", tmp_path).rows} == {"val"}
