"""What of a set with true masks cannot be used: counted by reason up to a limit, and listed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bgdata.errors import InputError
from bgdata.shards import write_csv


@dataclass(frozen=True)
class Unusable:
    """One thing that was left out: what (`annotation 7`, `photo 2007_1`), the reason in a word, and in a sentence."""

    item: str
    reason: str
    detail: str = ""


def count_reasons(found: Sequence[Unusable]) -> dict[str, int]:
    """How many there are of each reason, sorted by it."""
    return dict(sorted(Counter(one.reason for one in found).items()))


def check_unusable(
    found: Sequence[Unusable],
    *,
    total: int,
    limit: float,
    where: Path,
    setting: str = "evaluate_segmentation.max_unusable",
) -> None:
    """Raise InputError, naming the reasons and the first case, where more than the share `limit` of `total` is found.

    One alone passes any limit but 0, also in a small set. `where` is the file or folder that holds them, `setting`
    where the limit stands.
    """
    if len(found) > max(limit * total, 1 if limit > 0 else 0):
        reasons = ", ".join(f"{reason} {count}" for reason, count in count_reasons(found).items())
        raise InputError(
            f"{where}: {len(found)} of {total} are unusable ({reasons}), {setting} allows the "
            f"share {limit:g}; the first is {found[0].item}: {found[0].detail or found[0].reason}; mend or fetch the "
            "set again, or raise that limit"
        )


def write_unusable(path: Path, found: Sequence[Unusable]) -> None:
    """Write a CSV of what was left out (item, reason, detail), each once; the header alone where there is none."""
    write_csv(path, ("item", "reason", "detail"), [asdict(one) for one in dict.fromkeys(found)])
