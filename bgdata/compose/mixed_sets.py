"""Sets of mixed images: mixup and cutmix written from the train split of `original`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from bgdata.compose.mix import METHODS
from bgdata.compose.settings import MixSettings
from bgdata.errors import InputError
from bgdata.io import decode_image, encode_jpeg
from bgdata.parallel import run_tasks
from bgdata.randomness import image_generator
from bgdata.shards import ImageSet, Row, finish_set, member_name, shard_is_written, shard_name, write_shard

COLUMNS = ("partner", "partner_label", "lam", "x0", "y0", "x1", "y1")
SPLIT = "train"


def mix_set(
    originals: Path,
    *,
    method: str,
    settings: MixSettings,
    jpeg_quality: int,
    images_per_shard: int,
    seed: int,
    work: Path,
    workers: int,
) -> None:
    """Write `settings.per_image` mixed images for each train image of `originals` into the set `work`.

    The soft label is `lam` of the image's own label and `1 - lam` of `partner_label`. A partner is any other image.
    Sources: see `bgdata.compose.mix`.
    """
    with ImageSet(originals) as images:
        ids = [row.id for row in images.split(SPLIT)]
    if len(ids) < 2:
        raise InputError(f"{originals} has {len(ids)} train images: mixing needs at least two")
    numbers = range(0, len(ids), images_per_shard)
    tasks = [
        (originals, ids, start, method, settings, jpeg_quality, images_per_shard, seed, work, shard_name(SPLIT, number))
        for number, start in enumerate(numbers)
        if not shard_is_written(work, shard_name(SPLIT, number))
    ]
    total = sum(len(ids[start : start + images_per_shard]) for _, _, start, *_ in tasks)
    run_tasks(_mix_shard, tasks, workers=workers, total=total, label=method, unit="photo")
    finish_set(work, columns=COLUMNS, notes={"method": method, "seed": seed, "settings": settings.model_dump()})


def _mix_shard(
    originals: Path,
    ids: Sequence[str],
    start: int,
    method: str,
    settings: MixSettings,
    jpeg_quality: int,
    images_per_shard: int,
    seed: int,
    work: Path,
    shard: str,
) -> int:
    own = ids[start : start + images_per_shard]
    with ImageSet(originals) as images:
        members = _mixed_images(images, own, ids, method, settings, jpeg_quality, seed)
        write_shard(work, shard, members)
    return len(own)


def _mixed_images(
    images: ImageSet,
    own: Sequence[str],
    ids: Sequence[str],
    method: str,
    settings: MixSettings,
    jpeg_quality: int,
    seed: int,
) -> Iterator[tuple[Row, bytes]]:
    rows = dict(zip(ids, images.by_id(ids), strict=True))
    for image_id in own:
        image = decode_image(images.read(rows[image_id]))
        for copy in range(settings.per_image):
            mixed_id = f"{image_id}_{copy}"
            rng = image_generator(seed, mixed_id, method)
            drawn = ids[int(rng.integers(len(ids) - 1))]
            partner = rows[ids[-1] if drawn == image_id else drawn]
            mixed, lam, box = METHODS[method](image, decode_image(images.read(partner)), settings.alpha, rng)
            corners = dict(zip(("x0", "y0", "x1", "y1"), box or ("",) * 4, strict=True))
            extra = {"partner": partner.id, "partner_label": partner.label, "lam": repr(lam)} | corners
            label, wnid = rows[image_id].label, rows[image_id].wnid
            name = member_name(label, mixed_id)
            cells = {key: str(value) for key, value in extra.items()}
            yield Row(mixed_id, SPLIT, label, wnid, name, extra=cells), encode_jpeg(mixed, jpeg_quality)
