"""Corrupted photos as others publish them: read by class folder, fetched whole, never taken for ours."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from bgdata.classes import ClassList, plain_class_list
from bgdata.corrupt.class_folders import ClassFolders
from bgdata.corrupt.corruptions import Corruption
from bgdata.corrupt.live import LiveCorruptions
from bgdata.corrupt.opening import Choice, choose_corruptions, open_corrupted, open_photos
from bgdata.corrupt.published import PublishedCorruptions, find_cells
from bgdata.corrupt.stored import StoredCorruptions
from bgdata.errors import InputError
from bgdata.fetch.imagenet_c import GROUPS, SOURCE, fetch_imagenet_c
from bgdata.fetch.sources import SOURCES, RemoteFile
from bgdata.geometry import CentreCrop
from bgdata.io import decode_image, encode_jpeg, encode_png
from bgdata.labels import IN9
from bgdata.shards import ImageSet
from tests.bgdata.corrupted_photos import (
    PER_CLASS,
    SIDE,
    WNIDS,
    corrupted_sets,
    draw_image,
    pack,
    photo_id,
    published_files,
    write_files,
    write_photos,
)
from tests.bgdata.hostile_server import Content, HostileServer

COUNT = 9 * PER_CLASS
IDS = [photo_id(label, number) for label in range(9) for number in range(PER_CLASS)]
OUTSIDE = next(wnid for wnid in ("n01440764", "n03000684", "n04557648") if wnid not in IN9.label_by_wnid)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two corruptions of two severities, by wnid, one of them in a folder of its archive's name."""
    home = tmp_path / "imagenet_c"
    for severity in (1, 3):
        write_files(home / "noise", published_files("gaussian_noise", severity))
        write_files(home, published_files("fog", severity))
    return home


def first_photo(cell: str, label: int = 0) -> str:
    return f"{cell}/{WNIDS[label]}/ILSVRC2012_val_{100 * label:08d}.JPEG"


def opened(folder: Path, classes: ClassList | None = IN9, **how: object) -> PublishedCorruptions:
    return PublishedCorruptions(folder, classes, workers=2, **how)


def read(data: PublishedCorruptions, corruption: Corruption) -> tuple[list[str], list[int], np.ndarray]:
    chunks = list(data.corrupted(corruption))
    rows = [row for some, _ in chunks for row in some]
    return [row.id for row in rows], [row.label for row in rows], np.concatenate([pixels for _, pixels in chunks])


def test_folders_by_wnid_are_photos_of_the_list(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bgdata.corrupt.chunks.CHUNK", 7)
    data = opened(folder)
    expected = [Corruption(name, severity) for name in ("gaussian_noise", "fog") for severity in (1, 3)]
    assert list(data.corruptions) == expected  # in the published order, wherever they lie
    assert data.source == "published"
    assert data.record == {"source": "published", "seed": None, "encoding": "as published"}
    assert data.clean() is None
    assert [len(rows) for rows, _ in data.corrupted(expected[0])] == [7, 7, 4]
    for corruption in expected:
        ids, labels, pixels = read(data, corruption)
        assert ids == IDS
        assert labels == [label for label in range(9) for _ in range(PER_CLASS)]
        home = folder / "noise" if corruption.name == "gaussian_noise" else folder
        file = home / first_photo(f"{corruption.name}/{corruption.severity}", 2)
        assert (pixels[2 * PER_CLASS] == decode_image(file.read_bytes())).all()


def test_folders_may_be_named_by_class_or_as_the_release_and_hold_any_format(tmp_path: Path) -> None:
    classes = plain_class_list("two", ("left", "right"))
    files = {f"fog/2/{name}/deep/{n}.PNG": encode_png(draw_image(n, n)) for name in ("left", "right") for n in (0, 1)}
    data = opened(write_files(tmp_path / "a", files), classes)
    ids, labels, pixels = read(data, Corruption("fog", 2))
    assert (ids, labels) == (["left/deep/0", "left/deep/1", "right/deep/0", "right/deep/1"], [0, 0, 1, 1])
    assert (pixels[1] == draw_image(1, 1)).all()
    own = opened(tmp_path / "a", None)
    assert own.classes.names == ("left", "right")
    renamed = {name.replace(WNIDS[0], IN9.folders[0]): data for name, data in published_files("fog", 1).items()}
    assert len(read(opened(write_files(tmp_path / "b", renamed)), Corruption("fog", 1))[0]) == COUNT


def test_without_a_list_the_class_folders_are_the_classes(folder: Path) -> None:
    data = opened(folder, None)
    assert data.classes.names == tuple(sorted(WNIDS))
    assert data.classes.label_by_wnid == {wnid: label for label, wnid in enumerate(sorted(WNIDS))}


def test_what_belongs_to_no_class_is_passed_over_and_counted(folder: Path) -> None:
    write_files(folder, {f"noise/gaussian_noise/1/{OUTSIDE}/ILSVRC2012_val_00000001.JPEG": b"not even looked at"})
    names = ("a.txt", "b.txt", "Makefile", "Thumbs.db", ".x.jpg")
    write_files(folder / "fog/3" / WNIDS[0], dict.fromkeys(names, b""))
    data = opened(folder)
    assert data.record["other_class_folders"] == 1
    assert "passed_over" not in data.record
    for _ in range(2):
        assert len(read(data, Corruption("fog", 3))[0]) == COUNT
        assert data.record["passed_over"] == {"whole/fog/3": {".txt": 2, "Makefile": 1}}


def test_clean_photos_come_in_the_same_order_from_our_sets_or_a_folder(folder: Path, tmp_path: Path) -> None:
    ours = ImageSet(write_photos(tmp_path / "in9") / "original")
    data = opened(folder, clean=ours)
    chunks = list(data.clean() or ())
    assert [row.id for rows, _ in chunks for row in rows] == IDS
    assert (chunks[0][1][3] == decode_image(ours.read(ours.rows[3]))).all()
    assert data.record["clean"].endswith("in9/original")

    large = {  # as ImageNet's own photos are: not yet cut
        name.removeprefix("fog/1/"): encode_jpeg(np.repeat(np.repeat(decode_image(file), 3, 0), 2, 1), 95)
        for name, file in published_files("fog", 1).items()
    }
    del large[first_photo("fog/1").removeprefix("fog/1/")]
    photos = open_photos(write_files(tmp_path / "val", large), IN9)
    data = opened(folder, clean=photos)
    ((rows, pixels),) = data.clean() or ()
    assert [row.id for row in rows] == IDS[1:] == read(data, Corruption("fog", 3))[0]
    assert data.record["photos_without_clean"] == 1
    cut = CentreCrop(round(SIDE * 256 / 224), SIDE).image(decode_image(photos.read(rows[0])))
    assert (pixels[0] == cut).all()


def test_files_classes_and_clean_photos_are_what_the_digest_is_of(folder: Path, tmp_path: Path) -> None:
    digest = opened(folder).digest
    assert opened(folder).digest == digest
    clean = ImageSet(write_photos(tmp_path / "in9") / "original")
    others = {opened(folder, None).digest, opened(folder, clean=clean).digest}
    file = folder / "noise" / first_photo("gaussian_noise/1", 3)
    file.write_bytes(encode_jpeg(draw_image(3, 0), 60))
    others.add(opened(folder).digest)
    shutil.rmtree(folder / "fog/3")
    others.add(opened(folder).digest)
    assert len(others | {digest}) == 5


def test_what_a_folder_is_is_told_by_its_content(folder: Path, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "in9")
    originals, masks = ImageSet(photos / "original"), ImageSet(photos / "fg_mask")
    assert isinstance(open_corrupted(folder, originals=originals, classes=IN9, workers=1), PublishedCorruptions)
    kinds = {True: StoredCorruptions, False: LiveCorruptions}
    for store, kind in kinds.items():
        out = tmp_path / str(store)
        corrupted_sets(photos, names=["brightness"], store=store).write(out, workers=1)
        data = open_corrupted(out, originals=originals, masks=masks, workers=1)
        assert (type(data), data.source) == (kind, "ours")


# ---- mistakes


def test_ours_are_not_taken_for_published_nor_these_for_ours(folder: Path, tmp_path: Path) -> None:
    corrupted_sets(write_photos(tmp_path / "in9"), names=["brightness"]).write(tmp_path / "ours", workers=1)
    with pytest.raises(InputError, match=r"ours has a manifest.json: it is ours, not published photos"):
        opened(tmp_path / "ours")
    for inside in ("ours/whole", "copied"):
        if inside == "copied":
            shutil.copytree(tmp_path / "ours/whole", tmp_path / "copied/whole")
        with pytest.raises(InputError, match=r"brightness/1 is a set of ours, not published photos: give the folder"):
            open_corrupted(tmp_path / inside, originals=None, classes=IN9, workers=1)
    with pytest.raises(InputError, match=r"imagenet_c holds no corrupted sets of ours \(no manifest.json\)"):
        StoredCorruptions(folder, None, workers=1)


def test_a_missing_severity_is_a_sentence_unless_the_others_are_asked_for(folder: Path) -> None:
    shutil.rmtree(folder / "fog/3")
    data = opened(folder)
    with pytest.raises(InputError, match=r"imagenet_c has no whole/fog/3 \(.*unpack it again, or name the corruptions"):
        choose_corruptions(data, Choice(), where=folder)
    asked = choose_corruptions(data, Choice(severities=[1]), where=folder)
    assert asked == [Corruption("gaussian_noise", 1), Corruption("fog", 1)]
    with pytest.raises(InputError, match=r"has no whole/snow/1"):
        choose_corruptions(data, Choice(names=["snow"], severities=[1]), where=folder)
    with pytest.raises(InputError, match=r"has no fog/3: unpack it again, or leave it out"):
        data.corrupted(Corruption("fog", 3))
    with pytest.raises(InputError, match=r"has no fog/1 of the foreground alone"):
        data.corrupted(Corruption("fog", 1, "foreground"))


@pytest.mark.parametrize("severity", ["0", "6", "10"])
def test_other_severities_are_refused(folder: Path, severity: str) -> None:
    (folder / "fog" / severity).mkdir()
    with pytest.raises(InputError, match=rf"fog has a folder {severity}: severities are 1, 2, 3, 4, 5"):
        opened(folder)


def test_a_corruption_in_two_places_is_refused(folder: Path) -> None:
    shutil.copytree(folder / "fog", folder / "weather/fog")
    with pytest.raises(InputError, match=r"fog lies in .*imagenet_c/fog and in .*weather/fog: remove one"):
        opened(folder)


def test_an_empty_class_is_named(folder: Path) -> None:
    for photo in (folder / "fog/3" / WNIDS[4]).iterdir():
        photo.unlink()
    data = opened(folder)
    with pytest.raises(InputError, match=rf"fog/3 has no photo of {IN9.names[4]} \(classes in9"):
        data.corrupted(Corruption("fog", 3))
    with pytest.raises(InputError, match=r"has no photo of .* and 3 more \(classes in9"):
        ClassFolders(write_files(folder.parent / "few", {f"{WNIDS[0]}/1.png": b""}), IN9)


def test_another_photo_in_another_severity_is_named(folder: Path) -> None:
    (folder / first_photo("fog/3", 1)).unlink()
    data = opened(folder)
    with pytest.raises(InputError, match=rf"fog/3 lacks 1 photos that .*noise/1 has \(as {photo_id(1, 0)}\)"):
        data.corrupted(Corruption("fog", 3))
    photo = folder / "noise" / first_photo("gaussian_noise/3")
    photo.rename(photo.with_name("7.JPEG"))
    with pytest.raises(InputError, match=rf"gaussian_noise/3 lacks 1 photos .*{photo_id(0, 0)}"):
        data.corrupted(Corruption("gaussian_noise", 3))
    shutil.copy(folder / first_photo("fog/1"), folder / f"fog/1/{WNIDS[0]}/7.JPEG")
    with pytest.raises(InputError, match=rf"gaussian_noise/1 lacks 1 photos that .*fog/1 has \(as {WNIDS[0]}/7\)"):
        data.corrupted(Corruption("fog", 1))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<html>no image", r"expected an image, and it is a web page"),
        (b"", r"expected an image, and it is empty"),
        (encode_jpeg(draw_image(0, 0), 85)[:-40], r"bytes that no decoder reads"),
        (encode_png(draw_image(0, 0)[:36]), rf"is 36x{SIDE}, expected {SIDE}x{SIDE} \(height x width\)"),
    ],
)
def test_a_broken_photo_is_named(folder: Path, content: bytes, words: str) -> None:
    path = folder / first_photo("fog/3", 5)
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"fog/3/{WNIDS[5]}/{path.name}.*{words}"):
        read(opened(folder), Corruption("fog", 3))


def test_a_broken_first_photo_is_named_once(folder: Path) -> None:
    path = folder / "noise" / first_photo("gaussian_noise/1")
    path.write_bytes(b"no photo")
    with pytest.raises(InputError) as caught:
        opened(folder)
    assert str(caught.value).startswith(f"{path}: expected an image")
    assert str(caught.value).count(path.name) == 1


def test_photos_that_are_no_squares_are_refused(tmp_path: Path) -> None:
    files = {name: encode_png(draw_image(0, 0)[:36]) for name in published_files("fog", 1)}
    with pytest.raises(InputError, match=rf"is 36x{SIDE} \(height x width\), expected a square: crop the photos"):
        opened(write_files(tmp_path, files))


def test_folders_that_are_no_class_or_no_corruption_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "fog/1/zebra crossing").mkdir()
    with pytest.raises(InputError, match=r"fog/1 has a folder 'zebra crossing', which is no class of in9"):
        opened(folder).corrupted(Corruption("fog", 1))
    with pytest.raises(InputError, match=r"empty holds no published corruptions: expected <corruption>/<severity>/"):
        (tmp_path / "empty/foggy/1").mkdir(parents=True)
        opened(tmp_path / "empty")
    with pytest.raises(InputError, match=r"nowhere is no folder: expected <corruption>/<severity>"):
        opened(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"nowhere is no folder: give corrupted sets of ours, or"):
        open_corrupted(tmp_path / "nowhere", originals=None, workers=1)
    with pytest.raises(InputError, match=r"nowhere is no folder: expected <class>/<image>"):
        open_photos(tmp_path / "nowhere", IN9)


def test_two_photos_of_one_name_are_refused(folder: Path) -> None:
    path = folder / first_photo("fog/3")
    path.with_suffix(".png").write_bytes(encode_png(draw_image(0, 0)))
    with pytest.raises(InputError, match=rf"0.JPEG and .*0.png are both the photo {photo_id(0, 0)}: remove one"):
        opened(folder).corrupted(Corruption("fog", 3))


def test_clean_photos_of_others_are_refused(folder: Path, tmp_path: Path) -> None:
    others = {f"{wnid}/{n}.png": encode_png(draw_image(n, n)) for wnid in WNIDS for n in (0, 1)}
    with pytest.raises(InputError, match=rf"other has none of the photos of .*imagenet_c \(as {IDS[0]}\): give the"):
        opened(folder, clean=open_photos(write_files(tmp_path / "other", others), IN9))
    with pytest.raises(InputError, match=r"has the classes in9 .* but .*other has folders"):
        opened(folder, clean=open_photos(tmp_path / "other", None))


# ---- fetching


class Packed(Content):
    """An archive, served as it is."""

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._data = data

    def read(self, start: int = 0, stop: int | None = None):
        yield self._data[start:stop]


NOISE = {name: data for severity in (1, 2) for name, data in published_files("gaussian_noise", severity).items()}
NOISE["gaussian_noise/readme.txt"] = b"no photo"


def publish(monkeypatch: pytest.MonkeyPatch, data: bytes, *, url: str = "https://host", md5: str | None = None) -> None:
    """The first archive is `data` at a server; the others are as they are."""
    remote = RemoteFile("noise.tar", f"{url}/noise.tar", md5=md5 or hashlib.md5(data).hexdigest())
    monkeypatch.setitem(SOURCES, SOURCE, (remote, *SOURCES[SOURCE][1:]))


def test_an_archive_is_fetched_unpacked_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pack(NOISE)
    with HostileServer(Packed(data)) as server:
        publish(monkeypatch, data, url=server.url)
        assert fetch_imagenet_c(tmp_path, groups=["noise"]) == {"noise": 2 * COUNT}
        assert fetch_imagenet_c(tmp_path, groups=["noise"]) == {"noise": 0}
        assert len(server.requests) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [".noise.tar.unpacked", "gaussian_noise"]
    assert list(find_cells(tmp_path)) == [Corruption("gaussian_noise", 1), Corruption("gaussian_noise", 2)]
    assert not list(tmp_path.rglob("readme.txt"))
    assert read(opened(tmp_path), Corruption("gaussian_noise", 2))[0] == IDS


def test_archives_from_a_mirror_may_have_folders_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pack({f"./noise/{name}": content for name, content in NOISE.items()})
    (tmp_path / "noise.tar").write_bytes(data)
    publish(monkeypatch, data)
    fetch_imagenet_c(tmp_path / "out", groups=["noise"], mirror=tmp_path.as_uri())
    assert len(opened(tmp_path / "out").corruptions) == 2
    with pytest.raises(InputError, match=r"blur.tar is not a file: put blur.tar there"):
        fetch_imagenet_c(tmp_path / "out", mirror=tmp_path.as_uri())


def test_a_wrong_hash_or_a_truncated_archive_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pack(NOISE)
    (tmp_path / "noise.tar").write_bytes(data[: len(data) // 2])
    publish(monkeypatch, data)
    for _ in range(2):
        with pytest.raises(InputError, match=r"noise.tar is not the file that was expected: its md5 is"):
            fetch_imagenet_c(tmp_path / "out", groups=["noise"], mirror=tmp_path.as_uri())
        assert not list((tmp_path / "out").glob("gaussian_noise"))
    publish(monkeypatch, data[: len(data) // 2])  # as a publisher without a hash would have it
    with pytest.raises(InputError, match=r"noise.tar is damaged or cut short: remove it and what was unpacked"):
        fetch_imagenet_c(tmp_path / "out", groups=["noise"], mirror=tmp_path.as_uri())
    assert not (tmp_path / "out/.noise.tar.unpacked").exists()


def test_an_archive_of_something_else_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pack({"gaussian_noise/6/n1/a.JPEG": b"", "fogg/1/n1/a.JPEG": b"", "1/n1/a.JPEG": b""})
    (tmp_path / "noise.tar").write_bytes(data)
    publish(monkeypatch, data)
    with pytest.raises(InputError, match=r"holds no <corruption>/<severity>/<class>/<image>: it is not the archive of"):
        fetch_imagenet_c(tmp_path / "out", groups=["noise"], mirror=tmp_path.as_uri())


def test_the_five_archives_are_known() -> None:
    assert set(GROUPS) == {"noise", "blur", "weather", "digital", "extra"}
    for remote in SOURCES[SOURCE]:
        assert remote.md5
        assert remote.url == f"https://zenodo.org/records/2235448/files/{remote.name}"
