"""Sets of mixed images: mixup and cutmix written from the train split of `original`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
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
            rows, classes = images.split(SPLIT), images.classes
        if len(rows) < 2:
            raise InputError(f"{self.originals} has {len(rows)} train images: mixing needs at least two")
        tasks = []
        for number, start in enumerate(range(0, len(rows), self.images_per_shard)):
            shard = shard_name(SPLIT, number)
            if not shard_is_written(work, shard):
                pairs = [(row, self._partners(row, rows)) for row in rows[start : start + self.images_per_shard]]
                tasks.append((self, pairs, len(rows), work, shard))
        total = sum(len(task[1]) for task in tasks)
        run_tasks(_write_mixed_shard, tasks, workers=workers, total=total, label=self.method, unit="photo")
        notes = {"method": self.method, "seed": self.seed, "settings": self.settings.model_dump()}
        finish_set(work, classes=classes, columns=COLUMNS, notes=notes)

    def mixed_images(
        self, images: ImageSet, row: Row, partners: Sequence[Row], *, count: int
    ) -> Iterator[tuple[Row, bytes]]:
        """The mixed images of one original, which is one of `count` that could be partners."""
        image = decode_image(images.read(row))
        for copy, partner in enumerate(partners):
            mixed_id = _mixed_id(row, copy)
            rng = image_generator(self.seed, mixed_id, self.method)
            rng.integers(count - 1)  # the partner's, which was drawn before: a worker holds no million rows
            pixels = decode_image(images.read(partner))
            mixed, lam, box = METHODS[self.method](image, pixels, self.settings.alpha, rng)
            values = (partner.id, partner.label, repr(lam), *(box or ("",) * 4))
            extra = {column: str(value) for column, value in zip(COLUMNS, values, strict=True)}
            name = row.name_beside(mixed_id)
            yield Row(mixed_id, SPLIT, row.label, row.wnid, name, extra=extra), encode_jpeg(mixed, self.jpeg_quality)

    def _partners(self, row: Row, others: Sequence[Row]) -> list[Row]:
        """The partner of each copy of an original, among `others`, the own image among them."""
        partners = []
        for copy in range(self.settings.per_image):
            rng = image_generator(self.seed, _mixed_id(row, copy), self.method)
            drawn = others[int(rng.integers(len(others) - 1))]
            # The last one, never drawn otherwise, stands in for the own image: uniform without a retry.
            partners.append(others[-1] if drawn.id == row.id else drawn)
        return partners


def _mixed_id(row: Row, copy: int) -> str:
    return f"{row.id}_{copy}"


def _write_mixed_shard(
    mixed_set: MixedSet, pairs: Sequence[tuple[Row, list[Row]]], count: int, work: Path, shard: str
) -> int:
    with ImageSet(mixed_set.originals, rows=()) as images:
        made = (mixed_set.mixed_images(images, row, partners, count=count) for row, partners in pairs)
        write_shard(work, shard, chain.from_iterable(made))
    return len(pairs)
