"""Sets as others read them: what is read back is what was written, and nothing is mixed."""

import csv
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from pycocotools.coco import COCO

from bgdata.classes import plain_class_list
from bgdata.compose.render import render_sets
from bgdata.errors import InputError
from bgdata.exports.coco import export_coco
from bgdata.exports.huggingface import export_huggingface
from bgdata.exports.masks import export_masks
from bgdata.exports.subpop import export_subpop
from bgdata.exports.tree import export_tree
from bgdata.io import decode_mask, encode_jpeg
from bgdata.labels import CLASS_NAMES, IN9
from bgdata.shards import MANIFEST, ImageSet, Row, finish_set, shard_name, write_shard
from tests.bgdata.test_render import settings


@pytest.fixture(scope="module")
def sets(photo_sets: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, masks, the variants and fg_mask, as `data/in9` has them."""
    folder = tmp_path_factory.mktemp("in9")
    render_sets(*photo_sets, settings=settings(), seed=0, work=folder, workers=1)
    for source in photo_sets:
        (folder / source.name).symlink_to(source)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """The bytes of each image of a set."""
    with ImageSet(folder) as images:
        return {f"{row.split}/{row.name}": images.read(row) for row in images.rows}


# ---- COCO


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pycocotools' own decode, under numpy 2.4
@pytest.mark.parametrize(("name", "masks"), [("photos", "masks"), ("mixed_rand", "fg_mask")])
def test_pycocotools_reads_the_masks_back(
    sets: Path, tmp_path: Path, name: str, masks: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export_coco(sets / name, tmp_path) == 63
    with ImageSet(sets / masks) as of_photos:
        true = {(row.split, row.id): decode_mask(of_photos.read(row)) for row in of_photos.rows}
    for split, count in (("train", 36), ("val", 27)):
        coco = COCO(str(tmp_path / name / split / "labels.json"))
        assert {key: category["name"] for key, category in coco.cats.items()} == dict(enumerate(CLASS_NAMES, start=1))
        rows = {row.name: row for row in ImageSet(sets / name).split(split)}
        assert len(coco.anns) == len(coco.imgs) == count
        for annotation in coco.anns.values():
            image = coco.imgs[annotation["image_id"]]
            row = rows[image["file_name"]]
            mask = true[split, row.id]
            assert np.array_equal(coco.annToMask(annotation).astype(bool), mask)
            assert (image["height"], image["width"]) == mask.shape
            x, y, width, height = annotation["bbox"]
            inside = np.zeros_like(mask)
            inside[y : y + height, x : x + width] = True
            assert not (mask & ~inside).any()
            assert mask[y].any()
            assert mask[y + height - 1].any()
            assert mask[:, x].any()
            assert mask[:, x + width - 1].any()
            assert (annotation["area"], annotation["iscrowd"]) == (mask.sum(), 0)
            assert annotation["category_id"] == row.label + 1
    written = {path.relative_to(tmp_path / name).as_posix(): path for path in (tmp_path / name).rglob("*.JPEG")}
    assert {key.replace("/data", "", 1): path.read_bytes() for key, path in written.items()} == content(sets / name)
    capsys.readouterr()


def test_where_the_object_is_gone_nothing_is_annotated(sets: Path, tmp_path: Path) -> None:
    export_coco(sets / "only_bg_t", tmp_path)
    record = json.loads((tmp_path / "only_bg_t/val/labels.json").read_text())
    assert (len(record["images"]), record["annotations"]) == (27, [])


def test_masks_as_coco_are_refused(sets: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"fg_mask has no masks of its images: .* photos \(with masks beside it\)"):
        export_coco(sets / "fg_mask", tmp_path)


def test_masks_of_another_size_are_refused(sets: Path, tmp_path: Path) -> None:
    for name, other in (("photos", "photos"), ("masks", "fg_mask")):
        (tmp_path / "in9").mkdir(exist_ok=True)
        shutil.copytree(sets / other, tmp_path / "in9" / name)
    with pytest.raises(InputError, match=r"its mask \(56, 56\): render or segment the sets anew"):
        export_coco(tmp_path / "in9/photos", tmp_path / "out")


# ---- SubpopBench


def read_metadata(folder: Path) -> list[dict[str, str]]:
    with (folder / "metadata.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_subpop_names_the_true_class_of_each_background(sets: Path, tmp_path: Path) -> None:
    names = ("mixed_same", "original", "mixed_rand", "mixed_next", "only_fg", "no_fg")
    assert export_subpop([sets / name for name in names], tmp_path) == 63 + 5 * 27
    rows = read_metadata(tmp_path)
    assert list(rows[0]) == ["split", "filename", "y", "a"]
    splits = {row["split"] for row in rows}
    assert splits == {"train", "val", "test", "mixed_rand", "mixed_next", "only_fg", "no_fg"}
    for row in rows:
        path = Path(row["filename"])
        assert path.is_absolute()
        assert path.parent.name == IN9.folders[int(row["y"])]
        _, mixed, background = path.stem.partition("_bg_")
        # The ids of the fixture begin with their label, as if it were a wnid.
        expected = int(background[1:9]) if mixed else int(row["y"])
        assert int(row["a"]) == (0 if row["split"] == "only_fg" else expected)
    by_split = {split: [row for row in rows if row["split"] == split] for split in splits}
    assert (len(by_split["train"]), {len(by_split[split]) for split in splits - {"train"}}) == (36, {27})
    assert all((int(row["y"]) + 1) % 9 == int(row["a"]) for row in by_split["mixed_next"])


def test_subpop_counts_groups_as_its_reader_does(sets: Path, tmp_path: Path) -> None:
    """SubpopBench has `len(set(a)) * len(set(y))` groups in a split, and takes the number `len(set(a)) * y + a`."""
    export_subpop([sets / name for name in ("original", "no_fg", "only_fg")], tmp_path)
    rows = read_metadata(tmp_path)
    for split in {row["split"] for row in rows}:
        groups = [(int(row["y"]), int(row["a"])) for row in rows if row["split"] == split]
        attributes, labels = len({a for _, a in groups}), len({y for y, _ in groups})
        assert all(attributes * y + a < attributes * labels for y, a in groups)


def train_only(folder: Path, *, per_class: int, classes: int = 9) -> Path:
    image = encode_jpeg(np.zeros((8, 8, 3), np.uint8), 90)
    rows = [
        Row(f"n{label:08d}_{n}", "train", label, f"n{label:08d}", IN9.member_name(label, f"n{label:08d}_{n}"))
        for label in range(classes)
        for n in range(per_class)
    ]
    write_shard(folder, shard_name("train", 0), [(row, image) for row in rows])
    finish_set(folder, classes=IN9)
    return folder


def test_subpop_holds_a_tenth_out_where_there_is_no_val(tmp_path: Path) -> None:
    export_subpop([train_only(tmp_path / "in9l", per_class=100)], tmp_path / "out")
    splits = [row["split"] for row in read_metadata(tmp_path / "out")]
    assert set(splits) == {"train", "val"}
    assert 60 < splits.count("val") < 120  # 90 of 900 are expected
    export_subpop([train_only(tmp_path / "fewer/in9l", per_class=50)], tmp_path / "again")
    of_file = {Path(row["filename"]).name: row["split"] for row in read_metadata(tmp_path / "out")}
    for row in read_metadata(tmp_path / "again"):
        assert of_file[Path(row["filename"]).name] == row["split"]


def test_subpop_mixes_no_lists_of_classes(sets: Path, tmp_path: Path) -> None:
    other = train_only(tmp_path / "other", per_class=1)
    manifest = json.loads((other / MANIFEST).read_text())
    manifest["classes"] = plain_class_list("mine", [f"class {n}" for n in range(9)]).to_record()
    (other / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="other has mine"):
        export_subpop([sets / "original", other], tmp_path / "out")
    with pytest.raises(InputError, match="fg_mask holds masks"):
        export_subpop([sets / "original", sets / "fg_mask"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


# ---- Hugging Face


@pytest.mark.parametrize("name", ["mixed_rand", "original", "photos", "fg_mask"])
def test_parquet_holds_each_image_and_says_what_its_columns_are(sets: Path, tmp_path: Path, name: str) -> None:
    assert export_huggingface(sets / name, tmp_path) == 63
    with ImageSet(sets / name) as images:
        for split in ("train", "val"):
            files = sorted((tmp_path / name / "data").glob(f"{split}-*.parquet"))
            assert len(files) == len({row.shard for row in images.split(split)})
            records = [record for file in files for record in pq.read_table(file).to_pylist()]
            for row, record in zip(images.split(split), records, strict=True):
                assert record["image"] == {"bytes": images.read(row), "path": Path(row.name).name}
                assert (record["id"], record["label"], record["wnid"]) == (row.id, row.label, row.wnid)
                extra = {key: "" if record[key] is None else str(record[key]) for key in row.extra}
                assert extra == row.extra
    metadata = pq.read_schema(files[0]).metadata[b"huggingface"]
    features = json.loads(metadata)["info"]["features"]
    assert list(features) == pq.read_schema(files[0]).names
    assert features["image"] == {"_type": "Image"}
    assert features["label"] == {"names": list(CLASS_NAMES), "_type": "ClassLabel"}


def test_croissant_vouches_for_each_file(sets: Path, tmp_path: Path) -> None:
    export_huggingface(sets / "original", tmp_path)
    folder = tmp_path / "original"
    record = json.loads((folder / "croissant.json").read_text())
    objects = {part["contentUrl"]: part["sha256"] for part in record["distribution"] if "contentUrl" in part}
    assert objects == {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*.parquet")
    }
    columns = set(pq.read_schema(folder / next(iter(objects))).names)
    fields = [field for records in record["recordSet"][1:] for field in records["field"]]
    assert {field["source"]["extract"]["column"] for field in fields} <= columns
    assert [line["classes/name"] for line in record["recordSet"][0]["data"]] == list(CLASS_NAMES)


def test_load_dataset_opens_the_folder(sets: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    export_huggingface(sets / "original", tmp_path)
    opened = datasets.load_dataset(str(tmp_path / "original"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in opened.items()} == {"train": 36, "val": 27}
    assert opened["val"].features["label"].names == list(CLASS_NAMES)


# ---- all of them


EXPORTS: dict[str, tuple[str, Callable[[Path, Path], int]]] = {
    "tree": ("mixed_rand", export_tree),
    "coco": ("mixed_rand", export_coco),
    "hf": ("mixed_rand", export_huggingface),
    "subpop": ("mixed_rand", lambda source, folder: export_subpop([source], folder)),
}


@pytest.mark.parametrize("kind", EXPORTS)
def test_a_second_export_does_not_mix_with_the_first(sets: Path, tmp_path: Path, kind: str) -> None:
    name, export = EXPORTS[kind]
    export(sets / name, tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="is not empty: remove it"):
        export(sets / name, tmp_path / "out")
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("kind", EXPORTS)
def test_an_export_into_a_set_is_refused(sets: Path, tmp_path: Path, kind: str) -> None:
    """As where the folder was forgotten, and the last set is taken for it."""
    other = train_only(tmp_path / "other", per_class=1)
    before = sorted(other.rglob("*"))
    name, export = EXPORTS[kind]
    with pytest.raises(InputError, match="other is a set itself: name another folder"):
        export(sets / name, other)
    assert sorted(other.rglob("*")) == before


def test_masks_alone_are_those_of_photos(sets: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fg_mask is not what the segment stage wrote"):
        export_masks(sets / "fg_mask", tmp_path)
