"""Our own corrupted photos: stored as sets or made on the fly, the same bytes for any number of workers."""

import gc
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bgdata.corrupt import corruptions, live, sets
from bgdata.corrupt.corruptions import EXTRA, STANDARD, Corruption, corrupt_image
from bgdata.corrupt.data import CorruptedData
from bgdata.corrupt.live import LiveCorruptions
from bgdata.corrupt.opening import Choice, choose_corruptions, open_corrupted
from bgdata.corrupt.sets import CorruptedSets
from bgdata.corrupt.settings import CorruptionSettings
from bgdata.corrupt.stored import StoredCorruptions
from bgdata.errors import InputError
from bgdata.io import decode_image, encode_jpeg
from bgdata.shards import MANIFEST, ImageSet, corrupt_files
from tests.bgdata.corrupted_photos import (
    PER_CLASS,
    SETTINGS,
    SIDE,
    corrupted_sets,
    draw_mask,
    photo_id,
    settings,
    write_photos,
)

COUNT = 9 * PER_CLASS


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def stored(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sets of three regions, two corruptions, two severities, to be read only."""
    folder = tmp_path_factory.mktemp("stored") / "corrupted"
    corrupted_sets(photos).write(folder, workers=1)
    return folder


def originals(photos: Path) -> ImageSet:
    return ImageSet(photos / "original")


def masks(photos: Path) -> ImageSet:
    return ImageSet(photos / "fg_mask")


def live_of(
    photos: Path, *, workers: int = 1, seed: int = 3, cache: Path | None = None, **changed: object
) -> LiveCorruptions:
    return LiveCorruptions(
        originals(photos), masks(photos), settings(**changed), seed=seed, workers=workers, cache=cache
    )


def pixels_of(data: CorruptedData, corruption: Corruption) -> np.ndarray:
    return np.concatenate([pixels for _, pixels in data.corrupted(corruption)])


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "parts" not in path.parts
    }


def test_a_set_holds_each_photo_corrupted_and_says_how(photos: Path, stored: Path) -> None:
    manifest = json.loads((stored / MANIFEST).read_text())
    assert (manifest["source"], manifest["stored"], manifest["seed"], manifest["images"]) == ("ours", True, 3, COUNT)
    assert manifest["settings"] == SETTINGS
    cells = [Corruption(*at) for at in (("brightness", 4, "background"), ("spatter", 1, "whole"))]
    assert set(manifest["sets"]) >= {cell.folder for cell in cells}
    assert len(manifest["sets"]) == 3 * 2 * 2
    source = originals(photos)
    for cell in cells:
        images = ImageSet(stored / cell.folder)
        assert images.classes.same_as(source.classes)
        assert [row.id for row in images.rows] == [row.id for row in source.rows]
        assert [row.name for row in images.rows] == [row.name for row in source.rows]
        assert {key: images.manifest[key] for key in ("corruption", "severity", "region", "seed", "jpeg_quality")} == {
            "corruption": cell.name,
            "severity": cell.severity,
            "region": cell.region,
            "seed": 3,
            "jpeg_quality": 85,
        }
        assert images.manifest["originals"] == manifest["originals"]
        assert not list(corrupt_files(images))
        row, made = source.rows[5], images.rows[5]
        mask = draw_mask(*divmod(5, PER_CLASS))
        image = corrupt_image(decode_image(source.read(row)), cell, seed=3, image_id=row.id, mask=mask)
        assert images.read(made) == encode_jpeg(image, 85)


def test_without_loss_a_region_is_all_that_changes(photos: Path, tmp_path: Path) -> None:
    sets_of = corrupted_sets(photos, names=["spatter"], severities=[5], jpeg_quality=None)
    sets_of.write(tmp_path, workers=1)
    data = StoredCorruptions(tmp_path, originals(photos), workers=1)
    clean = np.concatenate([pixels for _, pixels in data.clean() or ()])
    whole, foreground, background = (
        pixels_of(data, Corruption("spatter", 5, region)) for region in ("whole", "foreground", "background")
    )
    inside = np.stack([draw_mask(*divmod(at, PER_CLASS)) for at in range(COUNT)])
    assert (foreground[~inside] == clean[~inside]).all()
    assert (foreground[inside] == whole[inside]).all()
    assert (background[inside] == clean[inside]).all()
    assert (background[~inside] == whole[~inside]).all()
    assert (whole != clean).mean() > 0.1
    names = [row.name for row in ImageSet(tmp_path / "whole/spatter/5").rows]
    assert names[0].endswith(".png")


def test_processes_change_no_byte(photos: Path, stored: Path, tmp_path: Path) -> None:
    corrupted_sets(photos).write(tmp_path / "two", workers=2)
    assert contents(tmp_path / "two") == contents(stored)
    whole = corrupted_sets(photos, per_shard=1000)
    whole.write(tmp_path / "one_shard", workers=1)
    cell = Corruption("brightness", 4, "foreground").folder
    files = [
        [images.read(row) for row in images.rows]
        for images in map(ImageSet, (stored / cell, tmp_path / "one_shard" / cell))
    ]
    assert files[0] == files[1]


def test_a_killed_writer_goes_on_by_the_shard(
    photos: Path, stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrupt, corrupted = sets.corrupt_image, []

    def die(*given: object, **how: object) -> np.ndarray:
        if len(corrupted) == COUNT + 6:  # in the first shard of the second severity
            raise KeyboardInterrupt
        corrupted.append(given)
        return corrupt(*given, **how)

    monkeypatch.setattr(sets, "corrupt_image", die)
    with pytest.raises(KeyboardInterrupt):
        corrupted_sets(photos).write(tmp_path / "out", workers=1)
    assert not (tmp_path / "out" / MANIFEST).exists()
    assert (tmp_path / "out/whole/spatter/1/val-00002.tar").exists()
    corrupted.clear()
    monkeypatch.setattr(sets, "corrupt_image", lambda *given, **how: corrupted.append(given) or corrupt(*given, **how))
    corrupted_sets(photos).write(tmp_path / "out", workers=1)
    # A photo is corrupted once for its three regions, and only the unfinished shard is begun anew.
    assert len(corrupted) == 3 * COUNT
    assert contents(tmp_path / "out") == contents(stored)


@pytest.mark.parametrize("quality", [85, None])
@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_made_on_the_fly_is_what_is_stored(
    photos: Path, tmp_path: Path, workers: int, quality: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bgdata.corrupt.chunks.CHUNK", 7)
    changed = {"names": ["spatter"], "severities": [2], "jpeg_quality": quality}
    corrupted_sets(photos, **changed).write(tmp_path / "stored", workers=1)
    at_rest = StoredCorruptions(tmp_path / "stored", originals(photos), workers=2)
    made = live_of(photos, workers=workers, cache=tmp_path / "cache", **changed)
    assert list(made.corruptions) == list(at_rest.corruptions)
    assert made.record == at_rest.record
    assert made.record["encoding"] == ("PNG" if quality is None else "JPEG, quality 85")
    assert made.classes.same_as(at_rest.classes)
    for corruption in made.corruptions:
        pairs = list(zip(made.corrupted(corruption), at_rest.corrupted(corruption), strict=True))
        assert [len(rows) for (rows, _), _ in pairs] == [7, 7, 4]
        for (rows, pixels), (other_rows, other_pixels) in pairs:
            assert [(row.id, row.label) for row in rows] == [(row.id, row.label) for row in other_rows]
            assert (pixels == other_pixels).all()
    pairs = list(zip(made.clean(), at_rest.clean() or (), strict=True))
    assert all((one[1] == other[1]).all() for one, other in pairs)
    assert [row.id for (rows, _), _ in pairs for row in rows] == [
        photo_id(*divmod(at, PER_CLASS)) for at in range(COUNT)
    ]
    made.close()


def test_each_of_the_nineteen_is_the_same_stored_and_made_in_another_order(photos: Path, tmp_path: Path) -> None:
    corrupted_sets(photos, names="all", severities=[3]).write(tmp_path / "stored", workers=2)
    at_rest = StoredCorruptions(tmp_path / "stored", None, workers=1)
    made = live_of(photos, names="all", severities=[3])
    assert len(made.corruptions) == 3 * 19
    for corruption in reversed(made.corruptions):
        assert (pixels_of(made, corruption) == pixels_of(at_rest, corruption)).all(), corruption


def test_the_next_chunk_is_made_while_the_caller_works(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bgdata.corrupt.chunks.CHUNK", 2)
    made: list[str] = []
    plain = live.corrupt_image

    def noting(*given: object, **how: str) -> np.ndarray:
        made.append(how["image_id"])
        return plain(*given, **how)

    monkeypatch.setattr(live, "corrupt_image", noting)
    data = live_of(photos)
    chunks = data.corrupted(Corruption("brightness", 1))
    rows, _ = next(chunks)
    wait_until(lambda: len(made) >= 6)  # the two behind it, without being asked for
    assert made[:2] == [row.id for row in rows]
    assert len(made) <= 8  # and no more: memory stays bounded
    chunks.close()  # type: ignore[attr-defined]
    data.close()


def wait_until(holds: Callable[[], bool]) -> None:
    for _ in range(200):
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError("waited for 4 seconds")


def test_a_folder_that_was_not_stored_is_made_as_it_says(photos: Path, stored: Path, tmp_path: Path) -> None:
    manifest = corrupted_sets(photos, store=False).write(tmp_path / "live", workers=1)
    assert sorted(path.name for path in (tmp_path / "live").rglob("*")) == [MANIFEST]
    assert manifest["sets"] == {}
    made, at_rest = (
        open_corrupted(folder, originals=originals(photos), masks=masks(photos), workers=1)
        for folder in (tmp_path / "live", stored)
    )
    assert (type(made), type(at_rest)) == (LiveCorruptions, StoredCorruptions)
    corruption = Corruption("brightness", 4, "background")
    assert (pixels_of(made, corruption) == pixels_of(at_rest, corruption)).all()
    assert made.record == at_rest.record


def test_seed_encoding_photos_and_code_are_what_the_digest_is_of(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = [
        live_of(photos, **changed).digest
        for changed in ({}, {"seed": 4}, {"jpeg_quality": 90}, {"regions": ["whole"]}, {"names": ["brightness"]})
    ]
    assert len(set(digests)) == 4  # which of the corruptions are asked for decides no pixel
    assert digests[0] == digests[4]
    monkeypatch.setattr(live, "code_digest", lambda: "other")
    assert live_of(photos).digest != digests[0]


# ---- mistakes


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"names": ["fogg"]}, "'fogg' is no corruption: give one of gaussian_noise"),
        ({"names": "most"}, "'most' is no choice of corruptions: give standard, all, or a list of names"),
        ({"names": ["brightness", "brightness"]}, "one stands twice in brightness, brightness: remove it"),
        ({"names": []}, "at least 1 item"),
        ({"severities": [0]}, "greater than or equal to 1"),
        ({"severities": [6]}, "less than or equal to 5"),
        ({"severities": [2, 2]}, "one stands twice in 2, 2"),
        ({"regions": []}, "at least 1 item"),
        ({"regions": ["sky"]}, "'whole', 'foreground' or 'background'"),
        ({"jpeg_quality": 0}, "greater than or equal to 1"),
        ({"store": 1}, "valid boolean"),
    ],
)
def test_wrong_settings_are_named(changed: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        settings(**changed)


def test_the_words_stand_for_the_fifteen_and_the_nineteen() -> None:
    assert settings(names="standard").names == list(STANDARD)
    assert settings(names="all").names == [*STANDARD, *EXTRA]
    resolved = settings(names="all")
    assert CorruptionSettings.model_validate(resolved.model_dump()) == resolved
    assert len(resolved.corruptions()) == 19 * 2 * 3
    assert (settings().need_masks, settings(regions=["whole"]).need_masks) == (True, False)


def test_regions_without_masks_are_a_sentence_and_whole_needs_none(photos: Path, tmp_path: Path) -> None:
    sets_of = corrupted_sets(photos)
    without = CorruptedSets(sets_of.originals, tmp_path / "no", sets_of.settings, 0, 7)
    with pytest.raises(InputError, match=r"no holds no masks, which the regions foreground and background need: run"):
        without.write(tmp_path / "out", workers=1)
    with pytest.raises(InputError, match=r"regions whole, foreground, background need masks, and .*original has none"):
        LiveCorruptions(originals(photos), None, settings(), seed=0, workers=1)
    LiveCorruptions(originals(photos), None, settings(regions=["whole"]), seed=0, workers=1)
    CorruptedSets(sets_of.originals, tmp_path / "no", settings(regions=["whole"], store=False), 0, 7).write(
        tmp_path / "out", workers=1
    )


def test_a_photo_without_a_mask_is_a_sentence(photos: Path) -> None:
    few = masks(photos)
    few.rows = few.rows[1:]
    data = LiveCorruptions(originals(photos), few, settings(), seed=0, workers=1)
    with pytest.raises(InputError, match=f"fg_mask has no image {photo_id(0, 0)}: re-run the stage"):
        data.corrupted(Corruption("brightness", 1, "foreground"))


def test_no_photo_to_corrupt_is_a_sentence(tmp_path: Path) -> None:
    write_photos(tmp_path, split="train")
    with pytest.raises(InputError, match=r"original has no val photo to corrupt: render the set with some"):
        corrupted_sets(tmp_path).write(tmp_path / "out", workers=1)
    with pytest.raises(InputError, match=r"original has no val photo to corrupt: choose another split"):
        live_of(tmp_path)


def test_a_killed_worker_is_a_sentence(photos: Path) -> None:
    data = live_of(photos, workers=2)
    assert len(pixels_of(data, Corruption("spatter", 1))) == COUNT
    for process in list(data._executor._processes.values()):  # type: ignore[attr-defined]
        process.kill()
    with pytest.raises(InputError, match=r"a worker process was killed \(out of memory, or by hand\): run again"):
        pixels_of(data, Corruption("spatter", 4))
    data.close()
    assert len(pixels_of(data, Corruption("spatter", 4))) == COUNT
    data.close()


def test_a_temporary_folder_goes_with_its_object(photos: Path) -> None:
    data = live_of(photos)
    home = data._cache
    assert len(pixels_of(data, Corruption("spatter", 1))) == COUNT
    assert home.is_dir()
    del data
    gc.collect()
    assert not home.exists()


def test_a_small_photo_is_named(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corruptions, "SMALLEST", SIDE + 1)
    with pytest.raises(InputError, match=rf"photo {photo_id(0, 0)} of .*an image is {SIDE}x{SIDE}"):
        corrupted_sets(photos).write(tmp_path / "out", workers=1)
    with pytest.raises(InputError, match=rf"photo {photo_id(0, 0)} or its mask: an image is {SIDE}x{SIDE}"):
        pixels_of(live_of(photos), Corruption("spatter", 1))


def test_sets_of_other_photos_are_refused(photos: Path, stored: Path, tmp_path: Path) -> None:
    others = originals(photos)
    others.manifest = others.manifest | {"seed": 8}
    corrupted_sets(photos, store=False).write(tmp_path / "live", workers=1)
    for folder in (stored, tmp_path / "live"):
        with pytest.raises(InputError, match=r"was made from other originals than .*original: run the corrupt stage"):
            open_corrupted(folder, originals=others, masks=masks(photos), workers=1)
    with pytest.raises(InputError, match=r"was made from other masks than .*original: run the corrupt stage"):
        open_corrupted(tmp_path / "live", originals=originals(photos), masks=originals(photos), workers=1)
    with pytest.raises(InputError, match=r"store is false\), they are made from the originals: give those too"):
        open_corrupted(tmp_path / "live", originals=None, workers=1)
    with pytest.raises(InputError, match=r"holds no images \(corruptions.store is false\)"):
        StoredCorruptions(tmp_path / "live", None, workers=1)
    assert StoredCorruptions(stored, None, workers=1).clean() is None


def test_a_set_of_another_run_or_a_missing_one_is_refused(photos: Path, stored: Path, tmp_path: Path) -> None:
    folder = tmp_path / "corrupted"
    shutil.copytree(stored, folder)
    corrupted_sets(photos, seed=9).write(tmp_path / "other", workers=1)
    at = Corruption("brightness", 1, "whole")
    shutil.rmtree(folder / at.folder)
    data = StoredCorruptions(folder, None, workers=1)
    with pytest.raises(InputError, match=r"whole/brightness/1 is not a finished set"):
        pixels_of(data, at)
    shutil.copytree(tmp_path / "other" / at.folder, folder / at.folder)
    with pytest.raises(InputError, match=r"whole/brightness/1 is of another run than the sets beside it"):
        pixels_of(data, at)
    with pytest.raises(InputError, match=r"has no whole/snow/1: it was not asked for, add it to params.yaml"):
        pixels_of(data, Corruption("snow", 1))
    with pytest.raises(InputError, match=r"whole/snow/1 is none of the corruptions that were asked for"):
        live_of(photos).corrupted(Corruption("snow", 1))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no JSON", "is no manifest of corrupted sets"),
        ('{"source": "published"}', "is no manifest of corrupted sets"),
        ('{"shards": {}}', "give the folder around <region>/<corruption>/<severity>"),
    ],
)
def test_a_manifest_of_something_else_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(InputError, match=words):
        open_corrupted(tmp_path, originals=None, workers=1)


def test_what_is_asked_for_must_be_there(stored: Path) -> None:
    data = StoredCorruptions(stored, None, workers=1)
    assert choose_corruptions(data, Choice(), where=stored) == list(data.corruptions)
    asked = choose_corruptions(data, Choice(names=["brightness"], severities=[4], regions=["whole"]), where=stored)
    assert asked == [Corruption("brightness", 4)]
    with pytest.raises(
        InputError, match=r"has no whole/brightness/2, foreground/brightness/2, background/brightness/2 \("
    ):
        choose_corruptions(data, Choice(names=["brightness"], severities=[2]), where=stored)
    with pytest.raises(InputError, match=r"'fogg' is no corruption"):
        choose_corruptions(data, Choice(names=["fogg"]), where=stored)
