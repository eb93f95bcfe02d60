"""Sets of mixed images: mixup and cutmix written from the train split of `original`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bgdata.compose.mix import METHODS
from bgdata.compose.settings import MixSettings
from bgdata.errors import InputError
from bgdata.io import decode_image, encode_jpeg
from bgdata.parallel import run_tasks
from bgdata.randomness import image_generator
from bgdata.shards import ImageSet, Row, finish_set, shard_is_written, shard_name, write_shard

COLUMNS = ("partner", "partner_label", "lam", "x0", "y0", "x1", "y1")
SPLIT = "train"


@dataclass(frozen=True)
class MixedSet:
    """What a set of mixed images is made from, and how.

    The soft label of an image is `lam` of its own label and `1 - lam` of `partner_label`; a partner is any other image.
    """

    originals: Path
    method: str
    settings: MixSettings
    jpeg_quality: int
    images_per_shard: int
    seed: int

    def write(self, work: Path, *, workers: int) -> None:
        """Write `settings.per_image` mixed images for each train image into the set `work`; goes on after a kill.

        Raises InputError where there is no second image to mix with.
        """
        with ImageSet(self.originals) as images:
            count, classes = len(images.split(SPLIT)), images.classes
        if count < 2:
            raise InputError(f"{self.originals} has {count} train images: mixing needs at least two")
        starts = range(0, count, self.images_per_shard)
        shards = {start: shard_name(SPLIT, number) for number, start in enumerate(starts)}
        tasks = [(self, start, work, shard) for start, shard in shards.items() if not shard_is_written(work, shard)]
        total = sum(min(self.images_per_shard, count - start) for _, start, *_ in tasks)
        run_tasks(_write_mixed_shard, tasks, workers=workers, total=total, label=self.method, unit="photo")
        notes = {"method": self.method, "seed": self.seed, "settings": self.settings.model_dump()}
        finish_set(work, classes=classes, columns=COLUMNS, notes=notes)

    def mixed_images(self, images: ImageSet, row: Row, others: Sequence[Row]) -> Iterator[tuple[Row, bytes]]:
        """The mixed images of one original; partners come from `others`, the own image among them."""
        image = decode_image(images.read(row))
        for copy in range(self.settings.per_image):
            mixed_id = f"{row.id}_{copy}"
            rng = image_generator(self.seed, mixed_id, self.method)
            drawn = others[int(rng.integers(len(others) - 1))]
            # The last one, never drawn otherwise, stands in for the own image: uniform without a retry.
            partner = others[-1] if drawn.id == row.id else drawn
            pixels = decode_image(images.read(partner))
            mixed, lam, box = METHODS[self.method](image, pixels, self.settings.alpha, rng)
            values = (partner.id, partner.label, repr(lam), *(box or ("",) * 4))
            extra = {column: str(value) for column, value in zip(COLUMNS, values, strict=True)}
            name = row.name_beside(mixed_id)
            yield Row(mixed_id, SPLIT, row.label, row.wnid, name, extra=extra), encode_jpeg(mixed, self.jpeg_quality)


def _write_mixed_shard(mixed_set: MixedSet, start: int, work: Path, shard: str) -> int:
    with ImageSet(mixed_set.originals) as images:
        rows = images.split(SPLIT)
        own = rows[start : start + mixed_set.images_per_shard]
        write_shard(work, shard, (member for row in own for member in mixed_set.mixed_images(images, row, rows)))
    return len(own)
