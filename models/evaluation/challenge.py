"""The Backgrounds Challenge: how many foregrounds no background of the test set can turn into another class.

Source: Xiao et al. 2021, section 4, and its evaluator, whose verdicts these are; it decodes each background again for
each foreground, this decodes once, tries the most harmful backgrounds first, and fills its batches.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64
from tqdm import tqdm

from bgdata.classes import check_same
from bgdata.compose.background_classes import UNKNOWN, class_list_of, labels_of_backgrounds
from bgdata.compose.names import TILED, background_set
from bgdata.compose.paste import feathered
from bgdata.errors import InputError
from bgdata.pixels import ImageSource, load_packed_masks, load_pixels
from models.classifiers.judged import Judged
from models.classifiers.loading import state_sha256
from models.evaluation.accuracy import labels_of, summary_by_class, unique_ids
from models.evaluation.order import BackgroundOrder, best_pairs
from models.evaluation.pairs import DECIDING, ChallengeData, Margins
from models.evaluation.statistics import wilson_interval
from models.evaluation.table import DECIDED, ESTIMATED, UNTRIED, PairTable, open_table

_FOREGROUNDS = ("original", "fg_mask")
SETS_READ = (*_FOREGROUNDS, background_set(TILED))
# Pairs in a round. A constant and no setting: the number of forward passes, which the score reports, must not depend
# on the machine.
ROUND = 128
# Pairs that are computed both ways before anything is judged by estimates; float32's differ by rounding alone.
_CALIBRATION = {torch.float32: 16, torch.bfloat16: 64}


@dataclass(frozen=True)
class Verdicts:
    """Which foregrounds (`rows`: their indices) some background fools, which one showed it, and what it took to know.

    `fooled_by` is the background that fools by most of those tried (-1: none); `forward_passes` counts the estimated
    composites, `decided` those that were computed in float32 besides. `table` holds every margin.
    """

    rows: Int64[np.ndarray, " n"]
    vulnerable: Bool[np.ndarray, " n"]
    fooled_by: Int64[np.ndarray, " n"]
    forward_passes: int
    decided: int
    table: PairTable


def sets_read(background_from: str) -> tuple[str, ...]:
    """The sets that the challenge reads where its backgrounds come from a source; SETS_READ: from the tiled one."""
    return (*_FOREGROUNDS, background_set(background_from))


def open_challenge(
    sources: Mapping[str, ImageSource],
    *,
    split: str,
    workers: int,
    folder: Path | None = None,
    background_from: str = TILED,
    feather: float | None = None,
) -> tuple[ChallengeData, int]:
    """All foregrounds (photos of `original` with an `fg_mask`) on all backgrounds (`only_bg_t` ...) of a split.

    With `feather` (sigma, pixels) the foregrounds have a soft edge, which the official challenge does not know.

    Decoded once, into memory or, with a `folder`, into arrays mapped from it, a folder a set. Returned with them: how
    many photos have no mask, which the official evaluator leaves out as well.

    Raises InputError where a mask has no photo, a photo two images, or sets differ in their images' size or their
    lists of classes.
    """
    names = sets_read(background_from)
    originals, masks, behind = (sources[name] for name in names)
    class_list = check_same({str(source.folder): class_list_of(source) for source in (originals, masks, behind)})
    photo_rows, mask_rows, background_rows = (source.split(split) for source in (originals, masks, behind))
    photos = dict(zip(unique_ids(originals, photo_rows), photo_rows, strict=True))
    mask_ids, background_ids = unique_ids(masks, mask_rows), unique_ids(behind, background_rows)
    orphans = [row.name for row in mask_rows if row.id not in photos]
    if orphans:
        raise InputError(
            f"{masks.folder} has {len(orphans)} masks without a photo: {orphans[0]} has none in {originals.folder}; "
            "take the masks away, or add the photos"
        )
    rows = [photos[row.id] for row in mask_rows]
    foregrounds = load_pixels(originals, rows, **_loading(folder, "original", workers))
    alpha = load_packed_masks(masks, mask_rows, **_loading(folder, "fg_mask", workers))[:]
    backgrounds = load_pixels(behind, background_rows, **_loading(folder, names[-1], workers))
    sizes = {name: array.shape[1:3] for name, array in zip(names, (foregrounds, alpha, backgrounds), strict=True)}
    if len(set(sizes.values())) > 1:
        said = ", ".join(f"{name} {height}x{width}" for name, (height, width) in sizes.items())
        raise InputError(f"foregrounds, masks and backgrounds differ in size ({said}): give sets that belong together")
    data = ChallengeData(
        foregrounds=foregrounds,
        masks=alpha
        if feather is None
        else np.stack([feathered(np.ascontiguousarray(mask), feather) for mask in alpha]),
        labels=labels_of(rows),
        ids=tuple(mask_ids),
        backgrounds=backgrounds,
        background_labels=labels_of_backgrounds(behind, background_rows),
        background_ids=tuple(background_ids),
        class_list=class_list,
    )
    return data, len(photos) - len(rows)


def _loading(folder: Path | None, name: str, workers: int) -> dict[str, Any]:
    return {"size": None, "folder": folder and folder / name, "workers": workers, "label": name}


def table_identity(model: Judged, record: Mapping[str, Any], sources: Mapping[str, ImageSource]) -> str:
    """What a kept table of pairs is of: the model (`record`: what is known of it) and the data."""
    known = {**record, "state_sha256": state_sha256(model)}
    judged = {"nine_only": model.nine_only, "class_list": model.labels.digest, "model": known}
    return json.dumps([judged, {name: source.manifest["shards"] for name, source in sources.items()}])


def judge_foregrounds(
    model: Judged,
    data: ChallengeData,
    *,
    device: torch.device,
    eval_batch: int,
    precision: torch.dtype = torch.float32,
    full: bool | Bool[np.ndarray, " n"] = False,
    part: tuple[int, int] = (1, 1),
    folder: Path | None = None,
    identity: str = "",
    round_pairs: int = ROUND,
) -> Verdicts:
    """Whether each foreground is vulnerable: whether it is misclassified on some background (its own included).

    Exact: a foreground is robust only when it was tried on every background, and wherever rounding could decide,
    float32 does. The backgrounds that fooled most so far are tried first, and a foreground is left once it is fooled;
    `full` visits every pair, of all foregrounds or of the marked ones. With a `folder`, a killed run goes on where it
    was (a table of another `identity` is begun anew), and `part` (i of n) judges every n-th foreground alone: others
    may work on the rest in the same folder, and a last run without `part` finds all done.

    Raises InputError where the model and the data have different lists of classes, or there is no such part.
    """
    check_same({"the model": model.labels, "the data": data.class_list})
    first, step = part
    if not 1 <= first <= step:
        raise InputError(f"part {first}/{step}: expected 1/{step} to {step}/{step}")
    rows = np.arange(first - 1, len(data.labels), step)
    if not len(rows):
        raise InputError(f"part {first}/{step} has no foreground: there are {len(data.labels)}, make fewer parts")
    shape = (len(data.labels), len(data.backgrounds))
    identity = f"{identity} {precision} {device.type}"
    table = open_table(shape, folder, identity=identity, part=f"{first}-of-{step}")
    margins = Margins(model, data, device=device, eval_batch=eval_batch, precision=precision)
    _Judge(margins, data, table, rows=rows, full=_marked(full, data), round_pairs=round_pairs).run()
    return _verdicts(table, rows)


def _marked(full: bool | Bool[np.ndarray, " n"], data: ChallengeData) -> Bool[np.ndarray, " n"]:
    return np.broadcast_to(full, len(data.labels))


class _Judge:
    """Fills the table until every foreground of `rows` is judged.

    What each row still needs is kept by row, and counted again where its pairs, or the bound, have changed.
    """

    def __init__(
        self,
        margins: Margins,
        data: ChallengeData,
        table: PairTable,
        *,
        rows: np.ndarray,
        full: Bool[np.ndarray, " n"],
        round_pairs: int,
    ) -> None:
        self._margins = margins
        self._table = table
        self._rows = rows
        self._full = full
        self._round = round_pairs
        count, backgrounds = table.known.shape
        self._untried = np.zeros(count, np.int64)
        self._doubtful = np.zeros(count, np.int64)
        self._suspect = np.zeros(count, bool)
        self._fooled = np.zeros(count, bool)
        self._order = BackgroundOrder(data.labels, backgrounds)

    def run(self) -> None:
        """Judge."""
        for row in self._rows:
            (tried,) = np.nonzero(self._table.known[row])
            self._order.learn(np.full(len(tried), row), tried, self._table.margins[row, tried] < 0)
        if self._table.largest_error == 0:
            self._calibrate()
        self._count_again(self._rows)
        with tqdm(desc="challenge", unit="pair", mininterval=1.0, smoothing=0.02) as bar:
            bar.update(int((self._table.known[self._rows] != UNTRIED).sum()))
            while self._step(bar):
                unjudged = self._rows[self._is_open()]
                # What is left at most: a foreground that is not yet fooled may need every background.
                bar.total = bar.n + int(self._untried[unjudged].sum())
                bar.set_postfix(unjudged=len(unjudged), doubtful=int(self._doubtful[unjudged].sum()), refresh=False)

    def _step(self, bar: "tqdm[Any]") -> bool:
        """One round; whether there was anything left to do."""
        is_open = self._is_open()
        # Of a foreground that is tried on everything, doubts are decided at the end: nothing is saved by haste.
        is_suspect = self._suspect[self._rows] & ~self._full[self._rows]
        suspects = self._rows[is_open & is_suspect]
        trying = self._rows[is_open & (self._untried[self._rows] > 0) & ~is_suspect]
        doubted = self._rows[is_open & (self._doubtful[self._rows] > 0)]
        # A likely fool is decided before its foreground is tried further, but in full batches.
        if len(suspects) and (len(suspects) >= DECIDING or not len(trying)):
            self._decide(suspects, each=1)
        elif len(trying):
            bar.update(self._estimate(trying))
        elif len(doubted):
            self._decide(doubted[: self._round], each=max(self._round // len(doubted), 1))
        else:
            return False
        return True

    def _is_open(self) -> Bool[np.ndarray, " r"]:
        return ~self._fooled[self._rows] | self._full[self._rows]

    def _estimate(self, trying: np.ndarray) -> int:
        # Those that are tried on everything come first: the order learns from them.
        whole = trying[self._full[trying]]
        trying = whole if len(whole) else trying
        chosen = trying[np.argsort(-self._untried[trying], kind="stable")][: self._round]
        tried = self._table.known.shape[1] - int(self._untried[chosen[0]])
        # Few at first: the first background that fools makes the rest needless.
        each = min(max(self._round // len(chosen), 1), 1 + tried) if not len(whole) else -(-self._round // len(chosen))
        foregrounds, backgrounds = self._order.next_pairs(chosen, self._table.known[chosen] == UNTRIED, each=each)
        margins = self._margins.estimate(foregrounds, backgrounds)
        self._table.record(foregrounds, backgrounds, margins, known=ESTIMATED)
        self._order.learn(foregrounds, backgrounds, margins < 0)
        self._count_again(chosen)
        return len(foregrounds)

    def _decide(self, rows: np.ndarray, *, each: int) -> None:
        scores = np.where(self._table.doubtful(rows), -self._table.margins[rows].astype(np.float64), -np.inf)
        foregrounds, backgrounds = best_pairs(rows, scores, each=each)
        before = self._table.bound
        margins = self._margins.decide(foregrounds, backgrounds)
        self._table.record(foregrounds, backgrounds, margins, known=DECIDED)
        self._count_again(rows if self._table.bound == before else self._rows)

    def _calibrate(self) -> None:
        """Compute some pairs both ways: how far estimates are off."""
        width = self._table.known.shape[1]
        pairs = len(self._rows) * width
        # Any pairs will do; always the same, so that a run can be repeated.
        drawn = np.random.default_rng(0).choice(pairs, min(_CALIBRATION[self._margins.precision], pairs), replace=False)
        foregrounds, backgrounds = self._rows[drawn // width], drawn % width
        estimated = self._margins.estimate(foregrounds, backgrounds)
        self._table.record(foregrounds, backgrounds, estimated, known=ESTIMATED)
        margins = self._margins.decide(foregrounds, backgrounds)
        self._table.record(foregrounds, backgrounds, margins, known=DECIDED)
        self._order.learn(foregrounds, backgrounds, margins < 0)

    def _count_again(self, rows: np.ndarray) -> None:
        for some in np.array_split(rows, -(-len(rows) // 256)):
            doubtful = self._table.doubtful(some)
            self._untried[some] = (self._table.known[some] == UNTRIED).sum(1)
            self._doubtful[some] = doubtful.sum(1)
            self._suspect[some] = (doubtful & (self._table.margins[some] < 0)).any(1)
            self._fooled[some] = self._table.fooled(some).any(1)


def _verdicts(table: PairTable, rows: np.ndarray) -> Verdicts:
    fooled = table.fooled(rows)
    worst = np.where(fooled, table.margins[rows], np.inf).argmin(1)
    vulnerable = np.asarray(fooled.any(1))
    return Verdicts(
        rows=rows,
        vulnerable=vulnerable,
        fooled_by=np.where(vulnerable, worst, -1),
        forward_passes=int((table.known[rows] != UNTRIED).sum()),
        decided=int((table.known[rows] == DECIDED).sum()),
        table=table,
    )


def challenge_score(
    verdicts: Verdicts, data: ChallengeData, *, full: bool | Bool[np.ndarray, " n"] = False
) -> dict[str, Any]:
    """The verdicts as a score: challenge accuracy (1 - vulnerable / count), by class, and one row a foreground.

    A foreground's `fooled_by` is the background of those tried that fooled by the largest margin. Of the foregrounds
    that were put on every background (`full`: all, or the marked ones; `rated_foregrounds` counts them) there are
    fooling rates: of each of them over all backgrounds, and of each background over all of them and over those of
    other classes than its own (the paper's figure 5).
    """
    labels = data.labels[verdicts.rows]
    score: dict[str, Any] = {
        "class_list": data.class_list.to_record(),
        **_summary(verdicts.vulnerable),
        "backgrounds": len(data.backgrounds),
        "forward_passes": verdicts.forward_passes,
        "decided_in_float32": verdicts.decided,
        "per_class": summary_by_class(verdicts.vulnerable, labels, _summary, classes=data.class_list),
    }
    foregrounds = [
        {
            "id": data.ids[row],
            "label": int(data.labels[row]),
            "vulnerable": bool(vulnerable),
            "fooled_by": data.background_ids[by] if by >= 0 else None,
        }
        for row, vulnerable, by in zip(verdicts.rows, verdicts.vulnerable, verdicts.fooled_by, strict=True)
    ]
    (rated,) = np.nonzero(_marked(full, data)[verdicts.rows])
    if len(rated):
        fooled = verdicts.table.fooled(verdicts.rows[rated])
        for place, rate in zip(rated, fooled.mean(1).tolist(), strict=True):
            foregrounds[place]["fooling_rate"] = rate
        score["rated_foregrounds"] = len(rated)
        score["background_rates"] = _background_rates(fooled, labels[rated], data)
    return score | {"foregrounds": foregrounds}


def brief_score(score: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a score for each further seed."""
    return {key: score[key] for key in ("challenge_accuracy", "interval", "vulnerable", "count")}


def _background_rates(
    fooled: Bool[np.ndarray, "r m"], labels: Int64[np.ndarray, " r"], data: ChallengeData
) -> list[dict[str, Any]]:
    others = labels[:, None] != data.background_labels
    of_others = (fooled & others).sum(0) / np.maximum(others.sum(0), 1)
    cells = zip(data.background_ids, data.background_labels, fooled.mean(0), of_others, strict=True)
    return [
        {
            "id": name,
            "label": known_label(label),
            "fooling_rate": float(rate),
            "fooling_rate_other_classes": float(other),
        }
        for name, label, rate, other in cells
    ]


def known_label(label: int | np.integer) -> int | None:
    """A background's label as a score has it: null where it is unknown."""
    return None if label == UNKNOWN else int(label)


def _summary(vulnerable: Bool[np.ndarray, " n"]) -> dict[str, Any]:
    count = len(vulnerable)
    return {
        "challenge_accuracy": 1 - float(vulnerable.mean()),
        "interval": wilson_interval(int((~vulnerable).sum()), count),
        "vulnerable": int(vulnerable.sum()),
        "count": count,
    }
