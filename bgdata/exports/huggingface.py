"""A set as parquet files that `datasets.load_dataset(<folder>)` opens as they lie, a card and Croissant metadata.

<folder>/<set>/data/<split>-00000-of-00002.parquet      one for each shard of the set
<folder>/<set>/README.md                                the card: features, splits, classes
<folder>/<set>/croissant.json                           the same for machines (`bgdata.exports.croissant`)
"""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from ruamel.yaml import YAML

from bgdata.classes import ClassList
from bgdata.compose.background_classes import class_list_of
from bgdata.exports.croissant import ParquetFile, write_croissant
from bgdata.exports.target import claim_folder, progress
from bgdata.shards import SPLITS, ImageSet, Row, write_text_whole

# A row group is what a reader holds in memory.
_GROUP = 100
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_ALWAYS = ("id", "wnid", "name")
# Columns of our sets that hold other things than texts. A label is a whole number with the classes' names.
_LABELS = ("label", "background_label", "partner_label")
_TYPES = (
    dict.fromkeys(_LABELS, pa.int64())
    | dict.fromkeys(("height", "width", "x0", "y0", "x1", "y1"), pa.int64())
    | dict.fromkeys(("lam", "score"), pa.float64())
    | {"image": _IMAGE}
)


def export_huggingface(source: Path, folder: Path) -> int:
    """Write a set as `<folder>/<set>`, a dataset of Hugging Face; returns the count of images.

    Columns: `image`, `label` with the classes' names, `id`, `wnid`, `name`, and the set's further columns; empty cells
    are null. Images are the bytes of the set.

    Raises InputError where the folder is not empty.
    """
    with ImageSet(source) as images:
        target = claim_folder(folder / source.name)
        (target / "data").mkdir()
        # Photos without objects have a list of their own, and backgrounds of the classes of another.
        lists = dict.fromkeys(_LABELS, images.classes) | {"background_label": class_list_of(images)}
        schema = _schema(lists, tuple(images.rows[0].extra) if images.rows else ())
        files = [file for split in SPLITS for file in _write_split(images, split, target, schema)]
        _write_card(target / "README.md", source.name, lists, schema, files)
        columns = [name for name in schema.names if schema.field(name).type == pa.string()]
        write_croissant(target, name=source.name, classes=images.classes, texts=columns, files=files)
        return len(images.rows)


def _write_split(images: ImageSet, split: str, target: Path, schema: pa.Schema) -> Iterator[ParquetFile]:
    shards = [list(rows) for _, rows in groupby(images.split(split), key=lambda row: row.shard)]
    for number, rows in enumerate(shards):
        path = target / "data" / f"{split}-{number:05d}-of-{len(shards):05d}.parquet"
        with pq.ParquetWriter(path, schema) as writer:
            label = f"export {images.folder.name} {split} {number + 1}/{len(shards)}"
            coming = iter(progress(rows, label))
            while group := list(islice(coming, _GROUP)):
                writer.write_batch(_batch(images, group, schema))
        yield ParquetFile(path, split, len(rows))


def _batch(images: ImageSet, rows: Sequence[Row], schema: pa.Schema) -> pa.RecordBatch:
    columns: dict[str, list[Any]] = {
        "image": [{"bytes": images.read(row), "path": Path(row.name).name} for row in rows],
        "label": [row.label for row in rows],
        **{name: [getattr(row, name) for row in rows] for name in _ALWAYS},
    }
    for name in [name for name in schema.names if name not in columns]:
        read = {pa.int64(): int, pa.float64(): float}.get(schema.field(name).type, str)
        columns[name] = [read(row.extra[name]) if row.extra[name] else None for row in rows]
    return pa.RecordBatch.from_pydict(columns, schema=schema)


def _schema(lists: Mapping[str, ClassList], extra: Sequence[str]) -> pa.Schema:
    """The columns, and beside them what Hugging Face's reader takes them for."""
    types = {name: _TYPES.get(name, pa.string()) for name in ("image", "label", *_ALWAYS, *extra)}
    features = {name: _feature(name, kind, lists) for name, kind in types.items()}
    return pa.schema(list(types.items()), metadata={"huggingface": json.dumps({"info": {"features": features}})})


def _feature(name: str, kind: pa.DataType, lists: Mapping[str, ClassList]) -> dict[str, Any]:
    if name in _LABELS:
        return {"names": list(lists[name].names), "_type": "ClassLabel"}
    return {"_type": "Image"} if kind == _IMAGE else {"dtype": _word(kind), "_type": "Value"}


def _word(kind: pa.DataType) -> str:
    return {pa.int64(): "int64", pa.float64(): "float64", _IMAGE: "image"}.get(kind, "string")


def _write_card(
    path: Path, name: str, lists: Mapping[str, ClassList], schema: pa.Schema, files: Sequence[ParquetFile]
) -> None:
    counts = {split: sum(file.rows for file in files if file.split == split) for split in SPLITS}
    splits = [split for split in SPLITS if counts[split]]
    front = {
        "pretty_name": name,
        "license": "other",
        "task_categories": ["image-classification"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits],
            }
        ],
        "dataset_info": {
            "features": [_card_feature(field, lists) for field in schema],
            "splits": [_card_split(split, counts[split], files) for split in splits],
        },
    }
    yaml = YAML()
    yaml.default_flow_style = False
    text = io.StringIO()
    yaml.dump(front, text)
    lines = [f"- {label}: {class_name}" for label, class_name in enumerate(lists["label"].names)]
    write_text_whole(path, _CARD.format(front=text.getvalue(), name=name, classes="\n".join(lines)))


def _card_feature(field: pa.Field, lists: Mapping[str, ClassList]) -> dict[str, Any]:
    if field.name not in _LABELS:
        return {"name": field.name, "dtype": _word(field.type)}
    # Keys must be texts: YAML would give whole numbers.
    names = {str(number): name for number, name in enumerate(lists[field.name].names)}
    return {"name": field.name, "dtype": {"class_label": {"names": names}}}


def _card_split(split: str, count: int, files: Sequence[ParquetFile]) -> dict[str, Any]:
    size = sum(file.path.stat().st_size for file in files if file.split == split)
    return {"name": split, "num_bytes": size, "num_examples": count}


_CARD = """---
{front}---

# {name}

One set of a background-robustness benchmark in the manner of ImageNet-9: `image`, `label`, and where each image comes
from. `background_label` is the class of the photo whose background it has; null where it has its own or none.

```python
from datasets import load_dataset

images = load_dataset("path/to/{name}")
```

Classes:

{classes}

Licence: that of the photos. Photos of ImageNet may not be published: share sets made from them in private only.
"""
