"""A set written back as the folder tree of the official release, and a check that every image reads."""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from bgdata.errors import InputError
from bgdata.io import decode_image, decode_mask
from bgdata.shards import INDEX, ImageSet, corrupt_files


def export_set(source: Path, folder: Path) -> int:
    """Write a set as `<folder>/<set>/<split>/<class>/<file>`; masks become bool `.npy`, as in the official release.

    The index goes along (it holds soft labels and provenance). Returns the count.

    Raises InputError where that folder holds something already: two renderings must not be mixed.
    """
    target = folder / source.name
    if target.exists() and any(target.iterdir()):
        raise InputError(f"{target} is not empty: remove it, or export to another folder")
    with ImageSet(source) as images:
        for row in tqdm(images.rows, desc=f"export {source.name}", unit="image", mininterval=1.0):
            path = target / row.split / row.name
            path.parent.mkdir(parents=True, exist_ok=True)
            data = images.read(row)
            if path.suffix == ".png":
                np.save(path.with_suffix(".npy"), decode_mask(data))
            else:
                path.write_bytes(data)
        (target / INDEX).write_bytes((source / INDEX).read_bytes())
        return len(images.rows)


def check_set(source: Path) -> int:
    """Read every shard and decode every image of a set; returns the count.

    Raises InputError that names the shards or images that are broken.
    """
    with ImageSet(source) as images:
        broken = list(corrupt_files(images))
        if broken:
            raise InputError(f"{source}: {len(broken)} files differ from what was written ({', '.join(broken[:5])})")
        for row in tqdm(images.rows, desc=f"check {source.name}", unit="image", mininterval=1.0):
            decode = decode_mask if row.name.endswith(".png") else decode_image
            try:
                decode(images.read(row))
            except InputError as error:
                raise InputError(f"{source}: image {row.id} in {row.shard}: {error}") from error
        return len(images.rows)
