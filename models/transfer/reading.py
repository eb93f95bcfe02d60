"""Images of a task's set, read ahead by threads, and kept decoded as far as there is room."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from bgdata.transfer_sets.base import LabelledImage, TaskSet

# A gigabyte: all of a demo's set; of COCO the first few hundred images.
ROOM = 2**30


class Reader:
    """A set whose images are decoded once, while they fit into `room` bytes, and anew each time beyond that."""

    def __init__(self, data: TaskSet, *, room: int = ROOM) -> None:
        self.data = data
        self._left = room
        self._kept: dict[str, LabelledImage] = {}

    def read(self, image_id: str) -> LabelledImage:
        """The image and what is true of it; may be called from several threads."""
        found = self._kept.get(image_id)
        return self.data.read(image_id) if found is None else found

    def keep(self, one: LabelledImage) -> LabelledImage:
        """The image itself, kept if there is room; one thread alone may call it."""
        if one.id not in self._kept and (size := _bytes(one)) <= self._left:
            self._left -= size
            self._kept[one.id] = one
        return one

    def batches(self, ids: Iterable[Sequence[str]], *, workers: int, ahead: int = 2) -> Iterator[list[LabelledImage]]:
        """Batches in the order of their ids; `workers` threads read so many of them ahead.

        Raises InputError as the set does, when its batch is due.
        """
        waiting: list[list[Future[LabelledImage]]] = []
        with ThreadPoolExecutor(workers) as pool:
            try:
                for batch in ids:
                    waiting.append([pool.submit(self.read, one) for one in batch])
                    if len(waiting) > ahead:
                        yield [self.keep(future.result()) for future in waiting.pop(0)]
                while waiting:
                    yield [self.keep(future.result()) for future in waiting.pop(0)]
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


def _bytes(one: LabelledImage) -> int:
    arrays: list[np.ndarray] = [one.image, *(each.mask for each in one.instances)]
    return sum(array.nbytes for array in arrays) + (0 if one.labels is None else one.labels.nbytes)
