"""Croissant's metadata (JSON-LD, version 1.0) of a folder of parquet files.

Source: the specification, https://docs.mlcommons.org/croissant/docs/croissant-spec.html.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bgdata.classes import ClassList
from bgdata.shards import write_text_whole

FILE = "croissant.json"
_PARQUET = "application/x-parquet"
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


@dataclass(frozen=True)
class ParquetFile:
    """One written file: where it lies, its split and how many rows it has."""

    path: Path
    split: str
    rows: int


def write_croissant(
    folder: Path, *, name: str, classes: ClassList, texts: Sequence[str], files: Sequence[ParquetFile]
) -> None:
    """Write `croissant.json` of parquet files in `folder`: each with its SHA-256, the splits, the columns `image`,
    `label` and `texts`, and the classes."""
    splits = sorted({file.split for file in files})
    record = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "description": f"{name}: images of {len(classes)} classes ({', '.join(classes.names)}) with their provenance.",
        "distribution": [
            *(_file_object(file, folder) for file in files),
            *(_file_set(split) for split in splits),
        ],
        "recordSet": [_labels(classes), *(_records(split, texts) for split in splits)],
    }
    write_text_whole(folder / FILE, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def _file_object(file: ParquetFile, folder: Path) -> dict[str, Any]:
    with file.path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    place = file.path.relative_to(folder).as_posix()
    return {
        "@type": "cr:FileObject",
        "@id": place,
        "name": file.path.name,
        "contentUrl": place,
        "contentSize": f"{file.path.stat().st_size} B",
        "encodingFormat": _PARQUET,
        "sha256": digest,
    }


def _file_set(split: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"files-{split}",
        "name": f"files-{split}",
        "encodingFormat": _PARQUET,
        "includes": f"data/{split}-*.parquet",
    }


def _labels(classes: ClassList) -> dict[str, Any]:
    fields = [("label", "sc:Integer"), ("name", "sc:Text")]
    return {
        "@type": "cr:RecordSet",
        "@id": "classes",
        "name": "classes",
        "description": "The classes by their labels.",
        "dataType": "sc:Enumeration",
        "key": {"@id": "classes/label"},
        "field": [
            {"@type": "cr:Field", "@id": f"classes/{field}", "name": field, "dataType": kind} for field, kind in fields
        ],
        "data": [{"classes/label": label, "classes/name": name} for label, name in enumerate(classes.names)],
    }


def _records(split: str, texts: Sequence[str]) -> dict[str, Any]:
    image = _field(split, "image", "sc:ImageObject")
    image["source"]["transform"] = {"jsonPath": "bytes"}
    label = _field(split, "label", "sc:Integer") | {"references": {"field": {"@id": "classes/label"}}}
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "description": f"The images of the split {split}.",
        "field": [image, label, *(_field(split, column, "sc:Text") for column in texts)],
    }


def _field(split: str, column: str, kind: str) -> dict[str, Any]:
    source = {"fileSet": {"@id": f"files-{split}"}, "extract": {"column": column}}
    return {"@type": "cr:Field", "@id": f"{split}/{column}", "name": column, "dataType": kind, "source": source}
