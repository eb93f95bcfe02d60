"""A set written back as the folder tree of the official release."""

from pathlib import Path

import numpy as np

from bgdata.exports.target import claim_folder, progress, write_member
from bgdata.io import decode_mask
from bgdata.shards import INDEX, ImageSet


def export_tree(source: Path, folder: Path) -> int:
    """Write a set as `<folder>/<set>/<split>/<class>/<file>`; masks become bool `.npy`, as in the official release.

    The index goes along (it holds soft labels and provenance). Returns the count.

    Raises InputError where that folder holds something already: two renderings must not be mixed.
    """
    with ImageSet(source) as images:
        target = claim_folder(folder / source.name)
        for row in progress(images.rows, f"export {source.name}"):
            path = target / row.split / row.name
            data = images.read(row)
            if path.suffix == ".png":
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path.with_suffix(".npy"), decode_mask(data))
            else:
                write_member(path, data)
        (target / INDEX).write_bytes((source / INDEX).read_bytes())
        return len(images.rows)
