"""The judges' results as people read them in a terminal."""

from collections.abc import Collection, Mapping, Sequence
from statistics import fmean
from typing import Any


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a header in aligned columns, the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    for row in (header, ["-" * width for width in widths], *rows):
        first, *others = zip(row, widths, strict=True)
        print("  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]))


def print_in9(score: Mapping[str, Any]) -> None:
    """Print a score of the variants."""
    has_outside = any("among_nine" in variant for variant in score["variants"].values())
    nine = [f"of the {len(score['class_list']['names'])}"] if has_outside else []
    header = ["variant", "accuracy", "95 % interval", "correct", "worst class", "ECE", *nine]
    rows = [
        [
            name,
            percent(variant["accuracy"]),
            interval(variant["interval"]),
            f"{variant['correct']} / {variant['count']}",
            f"{variant['worst_class']['class']} {percent(variant['worst_class']['accuracy'])}",
            f"{variant['ece']:.3f}",
            *([percent(variant["among_nine"]["accuracy"])] if nine else []),
        ]
        for name, variant in score["variants"].items()
    ]
    print_table(header, rows)
    _print_passed_over(score)
    for name, variant in score["variants"].items():
        if worst := variant.get("worst_group"):
            group = f"{worst['class']} on {worst['background']}"
            print(f"worst group of {name}: {percent(worst['accuracy'])} ({group}, {worst['count']} images)")
    if "photos_missing" in score:
        missing = ", ".join(f"{name} lacks {count}" for name, count in score["photos_missing"].items())
        print(f"\nthe variants hold different photos ({missing}): gaps are of the photos that both variants have")
    if "relative_foreground_sensitivity" in score:
        _print_sensitivity(score["relative_foreground_sensitivity"])
    if "places" in score:
        _print_places(score["places"])
    if score["bg_gap"] is not None:
        paired = score["bg_gap_paired"]
        print(f"\nBG-gap: {100 * score['bg_gap']:.1f} points (95 % interval {interval(paired['interval'])})")


def _print_places(found: Mapping[str, Any]) -> None:
    print(f"\naccuracy by the place of the foreground, a third as large ({found['count']} photos):")
    cells = [percent(each["accuracy"]) for each in found["cells"].values()]
    for row in range(0, len(cells), 3):
        print("  " + "  ".join(cell.rjust(6) for cell in cells[row : row + 3]))
    bias = found["centre_bias"]
    said = "none (nothing is right in the centre)" if bias["value"] is None else f"{bias['value']:.3f}"
    within = "" if bias["interval"] is None else " (95 % interval {:.3f} to {:.3f})".format(*bias["interval"])
    print(f"centre bias: {said}{within}; 1 is none")
    sizes = ", ".join(f"{name}: {percent(each['accuracy'])}" for name, each in found["sizes"].items())
    print(f"by the factor of its area: {sizes}")


def _print_sensitivity(found: Mapping[str, Any]) -> None:
    value = "none (both accuracies are 0 or 1)" if found["value"] is None else f"{found['value']:+.3f}"
    foreground, background = (found[f"accuracy_noisy_{side}"] for side in ("foreground", "background"))
    print(
        f"\nrelative foreground sensitivity: {value} ({percent(foreground)} right with noise on the foreground, ",
        end="",
    )
    print(f"{percent(background)} on the background; sigma {found['sigma']}, {found['trials']} trials)")


def print_leak(score: Mapping[str, Any]) -> None:
    """Print what the backgrounds of each source give away to one model."""
    rows = []
    for name, found in score["model_sources"].items():
        accuracy, holes = found["accuracy"], found["holes"]
        leak = ["", ""] if holes is None else [f"{100 * holes['gap']:+.1f}", interval(holes["interval"])]
        cells = [percent(accuracy["accuracy"]), interval(accuracy["interval"]), str(accuracy["count"])]
        rows.append([f"only_bg_{name}", *cells, *leak])
    print_table(["backgrounds", "accuracy", "95 % interval", "images", "hole leak", "95 % interval"], rows)
    print(f"\nchance is {percent(score['chance'])}; the less above it, the less of the object is left.")
    if score["photos"]:
        print("Hole leak: points by which the object's class is named more often where its hole is, in another photo,")
        print(f"of {score['photos']} objects.")
    else:
        print("No holes were made: that needs `original` and `fg_mask` of the same photos, and --per-class above 0.")


def print_challenge(score: Mapping[str, Any]) -> None:
    """Print a score of the challenge."""
    print_table(
        ["class", "challenge accuracy", "95 % interval", "vulnerable"],
        [
            [
                name,
                percent(cells["challenge_accuracy"]),
                interval(cells["interval"]),
                f"{cells['vulnerable']} / {cells['count']}",
            ]
            for name, cells in [*score["per_class"].items(), ("all", score)]
        ],
    )
    pairs, passes = score["count"] * score["backgrounds"], score["forward_passes"]
    print(f"\n{passes} of {pairs} composites were classified ({percent(passes / pairs)}), ", end="")
    print(f"{score['decided_in_float32']} of them again in float32 to decide")
    if score["photos_without_mask"]:
        print(f"{score['photos_without_mask']} photos have no mask and were left out, as the official evaluator does")
    _print_passed_over(score)


def print_corruptions(score: Mapping[str, Any]) -> None:
    """Print a score under corruptions: a table a region, what it comes to, and what it is of."""
    clean = score["clean"]
    for region, found in score["regions"].items():
        cells, summary = found["corruptions"], found["summary"]
        severities = sorted({severity for row in cells.values() for severity in row})
        print(f"accuracy in % on corrupted photos ({region}), by severity\n")
        print_table(
            ["corruption", *severities, "mean"],
            [
                [name, *(_cell(row.get(severity)) for severity in severities), _cell_mean(row.values())]
                for name, row in cells.items()
            ],
        )
        print()
        if clean is not None:
            print(f"clean: {percent(clean['accuracy'])} (95 % interval {interval(clean['interval'])})")
        _print_summary(summary)
        print()
    record = score["data_record"]
    seed = "none" if record.get("seed") is None else record["seed"]
    print(f"{score['images']} photos, split {score['split']}, source {score['source']}, seed {seed}", end="")
    print(f", {record['encoding']}" if "encoding" in record else "")
    _print_passed_over(score)


def _print_summary(summary: Mapping[str, Any]) -> None:
    if summary["mpc"] is not None:
        ratio = (
            "no rPC (clean accuracy is 0 or unknown)" if summary["rpc"] is None else f"rPC {percent(summary['rpc'])}"
        )
        print(f"mPC {percent(summary['mpc'])}, {ratio}, mean error {percent(summary['mean_error'])}", end="")
        print("" if summary["ece"] is None else f", ECE {summary['ece']:.3f}")
        mce = "no mCE" if summary["mce"] is None else f"mCE {percent(summary['mce'])}"
        print(f"{mce}; normaliser: {summary['normaliser']}")
    if summary["extra"] is not None:
        extra = summary["extra"]
        print(f"the further four, apart: mPC {percent(extra['mpc'])} over {extra['corruptions']}")
    if not summary["complete"]:
        print(f"of a part: {summary['cells']} of the fifteen's 75 cells; missing: {', '.join(summary['missing'])}")


def _cell(cell: Mapping[str, Any] | None) -> str:
    return "-" if cell is None else f"{100 * cell['accuracy']:.1f}"


def _cell_mean(cells: Collection[Mapping[str, Any]]) -> str:
    return f"{100 * fmean(cell['accuracy'] for cell in cells):.1f}"


def percent(rate: float) -> str:
    """A rate as people read it."""
    return f"{100 * rate:.1f} %"


def interval(bounds: Sequence[float]) -> str:
    """The bounds of an interval of rates as people read them."""
    return f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f}"


def _print_passed_over(score: Mapping[str, Any]) -> None:
    for name, endings in score.get("passed_over", {}).items():
        counted = ", ".join(f"{ending} {count}" for ending, count in endings.items())
        print(f"\n{name}: {sum(endings.values())} files are no images in a class's folder, passed over: {counted}")
