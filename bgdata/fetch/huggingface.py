"""ImageNet from Hugging Face, for those who have its licence: shard by shard into an ILSVRC tree, keeping the classes
asked for.

A shard is parquet: `image` (its bytes, and its name as `path`) and `label` (the class in ImageNet's order). A name is
`n01440764_10026_n01440764.JPEG` or `ILSVRC2012_val_00000293_n01440764.JPEG`: ImageNet's own, and the wnid.
"""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from pyarrow import ArrowException, StructScalar, parquet, types
from tqdm import tqdm

from bgdata.errors import InputError
from bgdata.fetch.gated import HUB, fetch_gated
from bgdata.fetch.remote import Gate, RemoteFile
from bgdata.ingest.ilsvrc import SOLUTION, IlsvrcTree
from bgdata.prompts import imagenet_wnids
from bgdata.shards import write_csv, write_text_whole

DATASET = "datasets/ILSVRC/imagenet-1k"
REVISION = "49e2ee26f3810fb5a7536bbf732a7b07389a47b5"
LISTING = f"imagenet-1k-{REVISION[:8]}.json"
NOTES = "fetched"
_GATE = Gate("ImageNet's licence", DATASET)
# Our split: its name in the shards' names.
_SPLITS = {"val": "validation", "train": "train"}
_NAME = re.compile(r"(?P<stem>(?P<wnid>n\d{8})_\d+|ILSVRC2012_val_\d{8})(_(?P<suffix>n\d{8}))?\.JPEG")
_ROWS = 32
_NAMED = 5


def fetch_imagenet(
    root: Path,
    *,
    wnids: Collection[str],
    downloads: Path,
    token: str | None,
    train_per_wnid: int | None = None,
    val_per_wnid: int | None = None,
    hub: str = HUB,
    mirror: str | None = None,
) -> IlsvrcTree:
    """Write the photos of `wnids` into `root` as an ILSVRC tree without annotations.

    Of each wnid and split the first photos stay, up to the limit (None: all; 0: that split is left out). `downloads`
    holds the list of the shards and one shard at a time (0.5 GB). A killed run goes on: what is finished is noted in
    `root`, and no shard is fetched twice. The `token` goes to `hub` alone.

    Raises InputError where Hugging Face refuses (no licence, no token), a shard is damaged or of another form, a wnid
    has no photo, or `root` holds photos of another choice or origin.
    """
    wanted = frozenset(wnids)
    limits = {"val": val_per_wnid, "train": train_per_wnid}
    _hold_choice(root, {"revision": REVISION, "wnids": sorted(wanted), "per_wnid": limits})
    tree = IlsvrcTree(home=root / "ILSVRC", solution=root / SOLUTION, masks=None)
    for split in limits:
        (tree.photos / split).mkdir(parents=True, exist_ok=True)
    library = _Library(hub, downloads, mirror, token)
    shards = library.list_shards()
    for split, limit in limits.items():
        _fetch_split(tree, split, shards[split], library=library, wanted=wanted, limit=limit)
    _write_solution(root / SOLUTION, root / NOTES)
    return tree


def _hold_choice(root: Path, choice: Mapping[str, Any]) -> None:
    """Note what is fetched; refuse to mix it with what another call with other arguments, or anybody, left here."""
    path, text = root / NOTES / "choice.json", json.dumps(choice)
    if not path.is_file() and (root / "ILSVRC").exists():
        raise InputError(
            f"{root} holds an ILSVRC tree that was not fetched from here: set fetch.source to imagenet to use it, or "
            "name another folder"
        )
    if path.is_file() and path.read_text() != text:
        raise InputError(
            f"{root} holds ImageNet photos of another choice of classes or limits (see {path}): remove the folder, or "
            "name another one"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_whole(path, text)


@dataclass(frozen=True)
class _Library:
    """Where the shards come from and go to."""

    hub: str
    downloads: Path
    mirror: str | None
    token: str | None = field(repr=False)

    def fetch(self, remote: RemoteFile) -> Path:
        """Put one file into `downloads`; a refusal says how to be let in."""
        return fetch_gated(remote, self.downloads, gate=_GATE, token=self.token, mirror=self.mirror)

    def list_shards(self) -> dict[str, list[RemoteFile]]:
        """The shards of each split in their order, with size and hash, as the Hub's tree API lists them."""
        path = self.fetch(RemoteFile(LISTING, f"{self.hub}/api/{DATASET}/tree/{REVISION}/data"))
        try:
            entries = json.loads(path.read_text())
            found = {PurePosixPath(entry["path"]).name: entry for entry in entries if "lfs" in entry}
            return {split: self._shards(name, found) for split, name in _SPLITS.items()}
        except (ValueError, TypeError, KeyError) as error:
            path.unlink()  # so that it is asked for again
            raise InputError(
                f"expected the list of ImageNet's shards from {self.hub}, got another text ({error!r}): run again, "
                "or check the proxy or mirror"
            ) from None

    def _shards(self, name: str, found: Mapping[str, Any]) -> list[RemoteFile]:
        names = sorted(file for file in found if re.fullmatch(rf"{name}-\d{{5}}-of-\d{{5}}\.parquet", file))
        if not names or len(names) != int(names[0][-13:-8]):
            raise ValueError(f"it names {len(names)} shards for {name}")
        return [
            RemoteFile(
                file,
                f"{self.hub}/{DATASET}/resolve/{REVISION}/{found[file]['path']}",
                size=found[file]["size"],
                sha256=found[file]["lfs"]["oid"],
            )
            for file in names
        ]


def _fetch_split(
    tree: IlsvrcTree,
    split: str,
    shards: Sequence[RemoteFile],
    *,
    library: _Library,
    wanted: Collection[str],
    limit: int | None,
) -> None:
    """Take shard after shard until the limit is reached; only a shard that is noted as done is removed."""
    counts: Counter[str] = Counter()
    for shard in tqdm(shards, desc=f"imagenet {split}", unit="shard"):
        if limit is not None and all(counts[wnid] >= limit for wnid in wanted):
            break
        note = tree.home.parent / NOTES / f"{shard.name}.json"
        if not note.is_file():
            room = None if limit is None else {wnid: limit - counts[wnid] for wnid in wanted}
            kept = _unpack(library.fetch(shard), tree, split, wanted=wanted, room=room)
            write_text_whole(note, json.dumps(kept))
        (library.downloads / shard.name).unlink(missing_ok=True)
        counts.update(json.loads(note.read_text()).values())
    missing = [wnid for wnid in sorted(wanted) if not counts[wnid]]
    if missing and limit != 0:
        names = ", ".join(missing[:_NAMED]) + (", ..." if len(missing) > _NAMED else "")
        raise InputError(
            f"{len(missing)} of {len(wanted)} wnids have no photo in the {split} shards ({names}): expected wnids of "
            "ImageNet's 1,000 classes"
        )


def _unpack(
    shard: Path, tree: IlsvrcTree, split: str, *, wanted: Collection[str], room: dict[str, int] | None
) -> dict[str, str]:
    """Write a shard's wanted photos into the tree, as many of each wnid as there is room; returns their wnids by stem.

    They are written again after a kill, so none has to be whole before the shard is done.
    """
    kept: dict[str, str] = {}
    for wnid, image in _read_shard(shard):
        if wnid not in wanted or (room is not None and room[wnid] < 1):
            continue
        stem, data = _photo(image, wnid, split, shard)
        folder = tree.photos / "train" / wnid if split == "train" else tree.photos / "val"
        folder.mkdir(exist_ok=True)
        (folder / f"{stem}.JPEG").write_bytes(data)
        kept[stem] = wnid
        if room is not None:
            room[wnid] -= 1
    return kept


def _read_shard(shard: Path) -> Iterator[tuple[str, StructScalar]]:
    """The wnid and the image (not yet copied out) of each row, a few rows in memory at a time."""
    wnids = dict(enumerate(imagenet_wnids()))
    try:
        # Without these two pyarrow keeps the whole shard in memory.
        with parquet.ParquetFile(shard, pre_buffer=False, buffer_size=2**20) as file:
            schema = file.schema_arrow
            if not {"image", "label"} <= set(schema.names) or not types.is_struct(schema.field("image").type):
                raise InputError(f"expected the columns image {{bytes, path}} and label in {shard}, got {schema.names}")
            for rows in file.iter_batches(_ROWS, columns=["image", "label"]):
                for image, label in zip(rows["image"], rows["label"].to_pylist(), strict=True):
                    if label not in wnids:
                        raise InputError(f"expected labels from 0 to 999 in {shard}, got {label}")
                    yield wnids[label], image
    except (ArrowException, OSError) as error:
        raise InputError(f"{shard} is no parquet shard that can be read ({error}): remove it and run again") from None


def _photo(image: StructScalar, wnid: str, split: str, shard: Path) -> tuple[str, bytes]:
    """The stem of a photo's file in ImageNet, and its bytes."""
    cells = image.as_py()
    path = str(cells.get("path"))
    name = _NAME.fullmatch(PurePosixPath(path).name)
    if name is None or bool(name["wnid"]) != (split == "train") or not cells.get("bytes"):
        raise InputError(
            f"expected photos named n01440764_10026.JPEG or ILSVRC2012_val_00000293.JPEG in {shard}, got {path} "
            f"({len(cells.get('bytes') or b'')} bytes) among those for {split}"
        )
    for named in (name["wnid"], name["suffix"]):
        if named not in (None, wnid):
            raise InputError(f"{path} in {shard} is labelled as {wnid}: expected the wnid of its name")
    return name["stem"], cells["bytes"]


def _write_solution(path: Path, notes: Path) -> None:
    """Write the classes of the photos for validation in Kaggle's form (without boxes: they have files of their own)."""
    wnids: dict[str, str] = {}
    for note in notes.glob(f"{_SPLITS['val']}-*.json"):
        wnids |= json.loads(note.read_text())
    rows = [{"ImageId": stem, "PredictionString": wnid} for stem, wnid in sorted(wnids.items())]
    write_csv(path, ("ImageId", "PredictionString"), rows)
