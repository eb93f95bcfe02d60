"""What is known of each foreground and background pair: the challenge's only state, in memory or in a file."""

import json
from pathlib import Path

import numpy as np
from filelock import FileLock
from jaxtyping import Bool, Float32, Int64, UInt8

from bgdata.arrays import create_array
from bgdata.shards import write_text_whole

UNTRIED, ESTIMATED, DECIDED = range(3)
# An estimate counts where it is this many times further from zero than the largest error that was ever measured.
_SAFETY = 3.0
# The least bound, for models whose estimates were never seen to be off at all.
_LEAST = 1e-5


class PairTable:
    """The margins of `n` foregrounds on `m` backgrounds, and how each is known (untried, estimated, decided).

    Everything else, verdicts and rates, follows from it: a killed run goes on from what is here, pair by pair, and
    several processes fill their own rows of one table.
    """

    def __init__(
        self, margins: Float32[np.ndarray, "n m"], known: UInt8[np.ndarray, "n m"], *, error_file: Path | None = None
    ) -> None:
        self.margins = margins
        self.known = known
        self.largest_error = 0.0
        self._error_file = error_file

    @property
    def bound(self) -> float:
        """How near to zero an estimated margin may be wrong about its side."""
        return max(_SAFETY * self.largest_error, _LEAST)

    def record(
        self,
        foregrounds: Int64[np.ndarray, " p"],
        backgrounds: Int64[np.ndarray, " p"],
        margins: Float32[np.ndarray, " p"],
        *,
        known: int,
    ) -> None:
        """Write down margins; a decided one that replaces an estimate tells how far off estimates are."""
        if known == DECIDED:
            estimated = self.known[foregrounds, backgrounds] == ESTIMATED
            errors = np.abs(self.margins[foregrounds, backgrounds] - margins)[estimated]
            if len(errors) and errors.max() > self.largest_error:
                self.largest_error = float(errors.max())
                self._keep_error()
        # The margin first: a kill in between leaves a pair untried.
        self.margins[foregrounds, backgrounds] = margins
        self.known[foregrounds, backgrounds] = known

    def fooled(self, rows: Int64[np.ndarray, " r"]) -> Bool[np.ndarray, "r m"]:
        """Pairs that certainly fool the model."""
        return (self.known[rows] == DECIDED) & (self.margins[rows] < 0) | (
            (self.known[rows] == ESTIMATED) & (self.margins[rows] < -self.bound)
        )

    def doubtful(self, rows: Int64[np.ndarray, " r"]) -> Bool[np.ndarray, "r m"]:
        """Pairs whose estimate is too near to zero to count."""
        return (self.known[rows] == ESTIMATED) & (np.abs(self.margins[rows]) <= self.bound)

    def _keep_error(self) -> None:
        if self._error_file:
            write_text_whole(self._error_file, json.dumps(self.largest_error))


def open_table(shape: tuple[int, int], folder: Path | None, *, identity: str, part: str) -> PairTable:
    """A table of `shape` in memory, or in `folder`, where a killed run left it or another process works on it.

    One of another `identity` (model, data, number format) or shape is begun anew. `part` names this process's rows.
    """
    if folder is None:
        return PairTable(np.zeros(shape, np.float32), np.zeros(shape, np.uint8))
    folder.mkdir(parents=True, exist_ok=True)
    mark, text = folder / "identity.json", json.dumps([identity, *shape])
    with FileLock(folder / ".lock"):
        if not mark.is_file() or mark.read_text() != text:
            for stale in (mark, *folder.glob("error-*.json")):
                stale.unlink(missing_ok=True)
            create_array(folder / "margins.npy", np.float32, shape)
            create_array(folder / "known.npy", np.uint8, shape)
            write_text_whole(mark, text)
    arrays = (np.load(folder / f"{name}.npy", mmap_mode="r+") for name in ("margins", "known"))
    table = PairTable(*arrays, error_file=folder / f"error-{part}.json")
    table.largest_error = max((json.loads(path.read_text()) for path in folder.glob("error-*.json")), default=0.0)
    return table
