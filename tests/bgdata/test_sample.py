"""The public sample of ImageNet: from an archive of the same form to a flat folder, and on into a set."""

import io
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from bgdata.errors import InputError
from bgdata.fetch.sample import SOURCE, fetch_sample
from bgdata.fetch.sources import SOURCES
from bgdata.ingest.flat import FlatFolder, list_flat
from bgdata.ingest.photos import ingest_photos
from bgdata.ingest.settings import FilterSettings, IngestSettings, PerClass
from bgdata.io import encode_jpeg
from bgdata.labels import in9_label_by_wnid
from tests.conftest import draw_object

# Two synsets of each class.
CHOSEN = tuple(wnid for label in range(9) for wnid in [w for w, of in in9_label_by_wnid().items() if of == label][:2])
NAME = SOURCES[SOURCE][0].name


def photos_of(wnids: Iterable[str]) -> dict[str, bytes]:
    """A drawn photo of each, under the name that the sample gives it."""
    return {
        f"{wnid}_the_name.JPEG": encode_jpeg(draw_object(np.random.default_rng(int(wnid[1:])), (90, 100))[0], 90)
        for wnid in wnids
    }


def members() -> dict[str, bytes]:
    """As GitHub packs the repository: below one folder, photos of all classes side by side, and texts."""
    photos = photos_of([*CHOSEN, "n07747607", "n01629819"])
    texts = {"README.md": b"1000 images", f"{CHOSEN[0]}_list.txt": b"no photo"}
    return {f"imagenet-sample-images-abc/{name}": data for name, data in (photos | texts).items()}


def write_archive(folder: Path, files: dict[str, bytes], name: str = NAME) -> Path:
    folder.mkdir(exist_ok=True)
    if name.endswith(".zip"):
        with zipfile.ZipFile(folder / name, "w") as packed:
            for member, data in files.items():
                packed.writestr(member, data)
        return folder
    with tarfile.open(folder / name, "w:gz") as archive:
        for member, data in files.items():
            header = tarfile.TarInfo(member)
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))
    return folder


def test_the_photos_of_the_nine_classes_become_a_set(tmp_path: Path) -> None:
    mirror = write_archive(tmp_path / "mirror", members())
    folder = tmp_path / "photos"
    assert fetch_sample(folder, downloads=tmp_path / "down", mirror=mirror.as_uri(), wnids=CHOSEN) == len(CHOSEN)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == photos_of(CHOSEN)
    settings = IngestSettings(
        filters=FilterSettings(require_box=False, max_box_share=0.9, min_box_kept=0.5),
        per_class=PerClass(train=None, val=None),
        exclude_ids=None,
        val_share=0.2,
        max_unreadable=0,
        photos_per_shard=100,
    )
    tree = FlatFolder(folder)
    candidates, others = list_flat(tree)
    manifest = ingest_photos(tree, candidates, tmp_path / "work", settings=settings, seed=0, workers=1)
    assert (manifest["candidates"], manifest["rejected"], others) == (18, {}, 0)
    assert set(manifest["images"]["val"].values()) == {2}


def test_a_second_run_fetches_nothing_and_mends_what_a_kill_left(tmp_path: Path) -> None:
    mirror = write_archive(tmp_path / "mirror", members())
    folder, down = tmp_path / "photos", tmp_path / "down"
    fetch_sample(folder, downloads=down, mirror=mirror.as_uri(), wnids=CHOSEN)
    (mirror / NAME).unlink()
    (folder / f"{CHOSEN[0]}_the_name.JPEG").write_bytes(b"cut short")
    (folder / f"{CHOSEN[1]}_the_name.JPEG").unlink()
    fetch_sample(folder, downloads=down, mirror=mirror.as_uri(), wnids=CHOSEN)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == photos_of(CHOSEN)


def test_a_zip_is_read_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = SOURCES[SOURCE][0]
    monkeypatch.setitem(SOURCES, SOURCE, (type(remote)("sample.zip", "https://example.org/sample.zip"),))
    mirror = write_archive(tmp_path / "mirror", members(), "sample.zip")
    count = fetch_sample(tmp_path / "photos", downloads=tmp_path / "down", mirror=mirror.as_uri(), wnids=CHOSEN)
    assert count == len(CHOSEN)


def test_missing_synsets_are_counted_and_named(tmp_path: Path) -> None:
    mirror = write_archive(tmp_path / "mirror", members())
    words = r"expected a photo of each of 370 synsets .* but 352 have none \((n\d{8}, ){5}\.\.\.\).*remove it and run"
    with pytest.raises(InputError, match=words):
        fetch_sample(
            tmp_path / "photos", downloads=tmp_path / "down", mirror=mirror.as_uri(), wnids=in9_label_by_wnid()
        )
    with pytest.raises(InputError, match=r"but 1 have none \(n00000001\)"):
        fetch_sample(
            tmp_path / "photos", downloads=tmp_path / "down", mirror=mirror.as_uri(), wnids=[*CHOSEN, "n00000001"]
        )


def test_a_name_that_climbs_out_is_refused(tmp_path: Path) -> None:
    mirror = write_archive(tmp_path / "mirror", {f"../../{CHOSEN[0]}_x.JPEG": b"climbs"})
    with pytest.raises(InputError):
        fetch_sample(tmp_path / "a/photos", downloads=tmp_path / "a/down", mirror=mirror.as_uri(), wnids=CHOSEN[:1])
    assert not list(tmp_path.rglob("*.JPEG"))
