"""A check that every image of a set reads."""

from pathlib import Path

from bgdata.errors import InputError
from bgdata.exports.target import progress
from bgdata.io import decode_image, decode_mask
from bgdata.shards import ImageSet, corrupt_files


def check_set(source: Path) -> int:
    """Read every shard and decode every image of a set; returns the count.

    Raises InputError that names the shards or images that are broken.
    """
    with ImageSet(source) as images:
        broken = list(corrupt_files(images))
        if broken:
            raise InputError(f"{source}: {len(broken)} files differ from what was written ({', '.join(broken[:5])})")
        for row in progress(images.rows, f"check {source.name}"):
            decode = decode_mask if row.name.endswith(".png") else decode_image
            try:
                decode(images.read(row))
            except InputError as error:
                raise InputError(f"{source}: image {row.id} in {row.shard}: {error}") from error
        return len(images.rows)
