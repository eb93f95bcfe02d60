"""What is claimed of the transfer of robustness, and what these results say: verdicts from intervals, none by hand."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from models.transfer.result_shapes import TransferScores
from pipeline.report import words
from pipeline.report.numbers import Results
from pipeline.report.table import percent
from pipeline.report.transfer import estimate

Verdict = Literal["holds", "does not hold", "not decided"]
FIXED, FULL = "fixed_feature", "full_network"
_ROBUST = "published: ant, deepaugment_augmix or adversarial; or a recipe with a higher mPC than the baseline"
# By `_order` of what should be above and what it is above of.
_VERDICTS: dict[int, Verdict] = {1: "holds", -1: "does not hold", 0: "not decided"}
_VERBS = {"rpc": "has an rPC of", "kept": "keeps"}


@dataclass(frozen=True)
class Comparison:
    """One pair of networks: what it says of the claim, and the numbers behind it."""

    verdict: Verdict
    numbers: str


@dataclass(frozen=True)
class Claim:
    """What is claimed, by whom, and the comparisons; `missing` says what should have been run where there are none."""

    text: str
    source: str
    test: str
    comparisons: tuple[Comparison, ...]
    missing: str

    @property
    def verdict(self) -> str:
        """In a few words: `holds`, `not run`, or how often which where the comparisons differ."""
        counts = {kind: sum(one.verdict == kind for one in self.comparisons) for kind in get_args(Verdict)}
        said = {kind: number for kind, number in counts.items() if number}
        if len(said) < 2:
            return next(iter(said), "not run")
        return ", ".join(f"{kind} in {number}" for kind, number in said.items()) + f" of {len(self.comparisons)}"

    @property
    def kind(self) -> str:
        """`good` where all that was decided speaks for it, `bad` where against it, else none."""
        decided = {one.verdict for one in self.comparisons} - {"not decided"}
        return "good" if decided == {"holds"} else "bad" if decided == {"does not hold"} else ""


def transfer_claims(results: Results) -> tuple[Claim, ...]:
    """The two claims of Yamada and Otani's abstract that these tasks can test, and the question of this project."""
    return _swin(results), _fine_tuned(results), _backgrounds(results)


def is_robustified(found: TransferScores, results: Results) -> bool:
    """Whether a backbone was made robust to corruptions: a published one, or a recipe that beats the baseline's mPC."""
    recipe = found.record.get("recipe")
    if recipe is None:
        return found.record.get("published") is not None
    known = [_corrupted_accuracy(results, name) for name in (recipe, results.baseline)]
    return None not in known and known[0] > known[1]  # type: ignore[operator]  # None is not in it


def is_regular(found: TransferScores, results: Results) -> bool:
    """Whether a backbone was trained plainly: the baseline recipe, or a network of published weights by name."""
    if "recipe" in found.record:
        return found.record["recipe"] == results.baseline
    return found.record.get("published") is None and found.record.get("weights") is not None


def _swin(results: Results) -> Claim:
    tasks = ("detection", "segmentation")
    judged = [found for found in results.transfer.values() if found.task in tasks]
    swins = [found for found in judged if _is_swin(found) and is_regular(found, results)]
    networks = [found for found in judged if not _is_swin(found) and is_robustified(found, results)]
    pairs = [(one, other) for one in swins for other in networks if (one.task, one.mode) == (other.task, other.mode)]
    lacking = [
        *([] if swins else ["a Swin with trained weights (arch: swin_t)"]),
        *([] if networks else [f"a robust CNN ({_ROBUST})"]),
    ]
    return Claim(
        "A vanilla Swin transfers more robustness to detection and segmentation than CNNs that were made robust.",
        "Yamada and Otani, 2022",
        "Where the Swin's rPC lies above the CNN's, intervals apart, it holds." + _counted(networks),
        tuple(_compared(pairs, "rpc")),
        _missing(lacking, "the same task and mode for both"),
    )


def _fine_tuned(results: Results) -> Claim:
    judged = [found for found in results.transfer.values() if found.task == "classification"]
    robust = [found for found in judged if is_robustified(found, results)]
    by_mode = {mode: {found.backbone: found for found in judged if found.mode == mode} for mode in (FIXED, FULL)}
    both = [name for name in by_mode[FIXED] if name in by_mode[FULL] and name in {found.backbone for found in robust}]
    regular = [found for found in by_mode[FULL].values() if is_regular(found, results)]
    lacking = [
        *([] if judged else ["the task classification"]),
        *([] if robust or not judged else [f"a robust backbone ({_ROBUST})"]),
        *(f"the mode {mode}" for mode in (FIXED, FULL) if judged and not by_mode[mode]),
    ]
    return Claim(
        "In classification, robust networks lose their robustness when they are fine-tuned in full.",
        "Yamada and Otani, 2022, of CIFAR-10",
        "Where the rPC in full lies below the same network's with fixed features, and above no plain one's, it holds."
        + _counted(robust),
        tuple(_loss(by_mode[FIXED][name], by_mode[FULL][name], regular) for name in both if _has_rpc(by_mode, name)),
        _missing(lacking, "a robust backbone in both modes"),
    )


def _backgrounds(results: Results) -> Claim:
    baseline = results.baseline
    judged = list(results.transfer.values())
    recipes = [found for found in judged if found.record.get("recipe") in results.recipes]
    plain = {(found.task, found.mode): found for found in recipes if found.record["recipe"] == baseline}
    less = [
        found
        for found in recipes
        if baseline is not None and results.bg_gap(found.record["recipe"]) < results.bg_gap(baseline)
    ]
    pairs = [(found, plain[found.task, found.mode]) for found in less if (found.task, found.mode) in plain]
    lacking = [
        *([] if any(found.swapped for found in judged) else ["swapped backgrounds (transfer.background)"]),
        *([] if plain else ["the baseline recipe as a backbone"]),
        *([] if less else ["a recipe with a smaller BG-gap than the baseline's as a backbone"]),
    ]
    gaps = ", ".join(
        f"{recipe} {percent(results.bg_gap(recipe))}"
        for recipe in dict.fromkeys(found.record["recipe"] for found in (*plain.values(), *less))
    )
    return Claim(
        "Robustness to backgrounds transfers: what depends less on them as a classifier does so in other tasks.",
        "our question",
        "Where what is kept on swapped backgrounds lies above the baseline's, intervals apart, it holds. "
        f"BG-gaps of the classifiers: {gaps or 'none'}.",
        tuple(_compared(pairs, "kept")),
        _missing(lacking, "the same task and mode for both"),
    )


def _compared(pairs: Sequence[tuple[TransferScores, TransferScores]], number: str) -> Iterator[Comparison]:
    """The first of each pair against the second; pairs without the number are left out."""
    for one, other in pairs:
        if _interval(one, number) and _interval(other, number):
            said = f"{_where(one)}: {one.backbone} {_VERBS[number]} {_said(one, number)}, {_said(other, number, True)}"
            yield Comparison(_VERDICTS[_order(one, other, number)], said)


def _loss(fixed: TransferScores, full: TransferScores, regular: Sequence[TransferScores]) -> Comparison:
    known = [found for found in regular if _interval(found, "rpc")]
    fell = _order(fixed, full, "rpc")
    above = any(_order(full, found, "rpc") > 0 for found in known)
    verdict: Verdict = "does not hold" if fell < 0 or above else "holds" if fell > 0 else "not decided"
    plain = ", ".join(_said(found, "rpc", True) for found in known)
    own = f"{full.backbone} has an rPC of {_said(fixed, 'rpc')} with fixed features, {_said(full, 'rpc')} in full"
    return Comparison(verdict, own + (f" ({plain} in full)" if plain else ""))


def _has_rpc(by_mode: Mapping[str, Mapping[str, TransferScores]], name: str) -> bool:
    return all(_interval(by_mode[mode][name], "rpc") for mode in (FIXED, FULL))


def _order(one: TransferScores, other: TransferScores, number: str) -> int:
    """1 where the first's interval lies above the second's, -1 where below, 0 where they overlap."""
    first, second = _interval(one, number), _interval(other, number)
    if first is None or second is None:
        return 0
    return (first[0] > second[1]) - (first[1] < second[0])


def _interval(found: TransferScores, number: str) -> tuple[float, float] | None:
    known = estimate(found, found.metric, number)
    return None if known is None or known.value is None else known.interval


def _said(found: TransferScores, number: str, is_named: bool = False) -> str:
    """A number with its interval, in percent; of what is kept also the gap."""
    known, gap = estimate(found, found.metric, number), estimate(found, found.metric, "gap")
    assert known is not None and known.interval is not None  # whoever compares has looked
    of = f"{found.backbone} " if is_named else ""
    points = f", gap {percent(gap.value)} points" if number == "kept" and gap is not None else ""
    return f"{of}{percent(known.value)} % ({percent(known.interval[0])} to {percent(known.interval[1])}{points})"


def _where(found: TransferScores) -> str:
    return f"{found.task}, {words.MODES.get(found.mode, found.mode)}"


def _is_swin(found: TransferScores) -> bool:
    return "swin" in str(found.record.get("arch", "")).lower()


def _corrupted_accuracy(results: Results, recipe: str | None) -> float | None:
    found = results.corruptions.get(recipe) if recipe is not None else None
    return None if found is None else found.number(found.shown_regions[0], "mpc").value


def _counted(robust: Sequence[TransferScores]) -> str:
    names = ", ".join(dict.fromkeys(found.backbone for found in robust))
    return f" Counted as robust: {names}." if names else ""


def _missing(lacking: Sequence[str], otherwise: str) -> str:
    return f"needs {' and '.join(lacking) or otherwise}"
