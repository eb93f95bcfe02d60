"""The report: what the result files say, shown once and rightly, in one file that needs nothing else."""

import csv
import json
import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bgdata.classes import ClassList, plain_class_list
from bgdata.compose.names import FG_MASK, MIXED, VARIANTS
from bgdata.errors import InputError
from bgdata.io import decode_image, decode_mask, encode_jpeg, encode_mask
from bgdata.labels import CLASS_NAMES, IN9
from bgdata.shards import ImageSet, Row, finish_set, shard_name, write_shard
from pipeline.report import __main__ as report
from pipeline.report import words
from pipeline.report.adversaries import _apart, read_adversaries
from pipeline.report.charts import curve_chart
from pipeline.report.gallery import PICTURES, choose_photos, read_gallery
from pipeline.report.numbers import HISTORY_COLUMNS, SEGMENTATION_SETS, Results, metrics
from pipeline.report.page import headline_tiles, points, split_provenance
from pipeline.report.pictures import image_uri
from pipeline.report.reading import read_results
from pipeline.report.table import percent

RECIPES = ("original", "mixed_rand", "dynamic")
# Accuracy of each recipe on each variant, in hits of 18 photos, in VARIANTS' order.
HITS = {
    "original": (17, 6, 8, 9, 11, 14, 9, 8),
    "mixed_rand": (13, 3, 3, 5, 14, 13, 12, 12),
    "dynamic": (16, 4, 4, 6, 15, 15, 14, 14),
}
COUNT = 18
WORST_GROUP = {
    "class": "insect",
    "background": "fish",
    "accuracy": 0.25,
    "correct": 6,
    "count": 24,
    "interval": [0.12, 0.45],
    "groups": 18,
    "too_small": 63,
}


def write_inputs(root: Path, recipes: tuple[str, ...] = RECIPES, classes: ClassList = IN9) -> None:
    """All that the stage reads, small, below `root`."""
    write_json(
        root / "build/config/report.json",
        {
            "recipes": {name: recipe_settings(name) for name in recipes},
            "seeds": [0],
            "source": "synthetic",
            "mix": ["mixup", "cutmix"],
            "corruptions": False,
            "transfer": [],
            "correlated": {},
            "seed": 0,
        },
    )
    for recipe in recipes:
        write_scores(root, recipe, classes)
    for name in SEGMENTATION_SETS:
        write_segmentation(root, name, {"given": 1.0, "grabcut": 0.8125})
    write_digits(root)
    write_leak(root, recipes)
    sets = root / "data/in9"
    for number, name in enumerate((*VARIANTS, FG_MASK)):
        write_set(sets / name, name, number, classes)
    for method in ("mixup", "cutmix"):
        write_set(sets / method, method, 7, classes)
    images = {split: dict.fromkeys(classes.folders, 2) for split in ("train", "val")}
    write_json(
        sets / "photos/manifest.json",
        {
            "classes": classes.to_record(),
            "images": images,
            "candidates": 40,
            "rejected": {"box_covers_crop": 4},
            "short_classes": {"val": dict.fromkeys(classes.folders[3:], 2)},
            "encoded_anew": 1,
        },
    )
    write_json(
        sets / "masks/manifest.json",
        {"classes": classes.to_record(), "images": images, "method": "given", "rejected": {}},
    )


def recipe_settings(name: str, p: float | str | None = None, **others: Any) -> dict[str, Any]:
    """Resolved settings of a recipe, as the config stage hands them to the report; p: dynamic replacement."""
    p = 0.75 if name == "dynamic" else p
    background = None if p is None else {"by": "any_class", "p": p, "choices": None}
    data = "mixed_rand" if name == "mixed_rand" else "original"
    recipe = {"name": name, "start": "init", "data": data, "background": background, "flow": None}
    return {"recipe": recipe | others, "train": {"epochs": 2}}


def write_leak(root: Path, recipes: tuple[str, ...] = RECIPES) -> None:
    """What the backgrounds of two sources give away, and photos without objects."""
    found = {"share": 0.25, "interval": [0.2, 0.31], "anything_found": 0.5, "count": 45}

    def of_source(correct: int, gap: float) -> dict[str, Any]:
        accuracy = {"accuracy": correct / COUNT, "correct": correct, "count": COUNT, "interval": [0.1, 0.6]}
        holes = {"with_hole": 0.3 + gap, "without_hole": 0.3, "gap": gap, "interval": [gap - 0.1, gap + 0.1]}
        holes |= {"pairs": 45}
        return {"accuracy": accuracy, "against": None, "holes": holes}

    judged = {}
    for recipe in recipes:
        sources = {"t": of_source(HITS[recipe][2], 0.0625), "f": of_source(HITS[recipe][2] - 2, 0.125)}
        brief = {
            name: {"accuracy": each["accuracy"]["accuracy"], "hole_leak": each["holes"]["gap"]}
            for name, each in sources.items()
        }
        checkpoint = json.loads((root / f"runs/{recipe}/provenance.json").read_text())["checkpoint_sha256"]
        seed = {"seed": 0, "checkpoint_sha256": checkpoint, "sources": brief}
        judged[recipe] = {"checkpoint_sha256": checkpoint, "sources": sources, "seeds": [seed]}
    sources = {
        "t": {"kind": "tiled", "method": None, "images": COUNT, "found": found, "why": None},
        "f": {"kind": "filled", "method": "telea", "images": COUNT, "found": found | {"share": 0.5}, "why": None},
        "places": {"kind": "external", "method": None, "images": 0, "found": None, "why": "photos without objects"},
    }
    score = {"split": "val", "chance": 1 / 9, "photos": 45, "segmenter": "unet", "originals": found | {"share": 0.75}}
    write_json(root / "scores/leak.json", score | {"sources": sources, "recipes": judged})
    (root / "scores/leak.jpg").write_bytes(encode_jpeg(np.full((60, 80, 3), 200, np.uint8), 80))


def write_digits(root: Path, hits: dict[str, tuple[int, int]] | None = None) -> None:
    """Biased digits: of 100 whose bias lies, how many plain and penalised training gets right."""
    hits = hits or {"one_pixel": (20, 95), "coloured": (10, 40), "coloured_gap": (15, 85)}

    def method(weight: float | None, correct: int) -> dict[str, Any]:
        score = {"accuracy": correct / 100, "correct": correct, "count": 100}
        score["interval"] = [correct / 100 - 0.04, correct / 100 + 0.04]
        tests = dict.fromkeys(("biased", "shifted", "clean"), score)
        run = {"seed": 0, "validation_accuracy": 1.0, "tests": tests, "penalty_size": 0.1, "bias_share": 0.3}
        return {"weight": weight, "runs": [run]}

    sets = {
        bias: {"penalised_area": 0.1, "methods": {"plain": method(None, plain), "absolute": method(3.0, penalised)}}
        for bias, (plain, penalised) in hits.items()
    }
    images = {"train": 1123, "validation": 225, "test": 449}
    write_json(root / "scores/digits.json", {"source": "embedded", "seed": 0, "images": images, "sets": sets})
    (root / "scores/digits.jpg").write_bytes(encode_jpeg(np.full((60, 80, 3), 200, np.uint8), 80))


def write_flow(root: Path, recipe: str = "dynamic", **changes: Any) -> None:
    """A recipe with a flow: its settings, and what the stage measured."""
    path = root / "build/config/report.json"
    settings = json.loads(path.read_text())
    settings["recipes"][recipe]["recipe"]["flow"] = {"kind": "nice", "z_count": 16}
    write_json(path, settings)
    trained = json.loads((root / f"runs/{recipe}/provenance.json").read_text())
    coverage = {"0.5": 0.375, "0.8": 0.625, "0.95": 0.875}
    result = {
        "recipe": recipe,
        "checkpoint_sha256": trained["checkpoint_sha256"],
        "seed": 0,
        "split": "val",
        "z_count": 16,
        "kind": "nice",
        "width": 32,
        "count": 360,
        "likelihood": {"flow": -0.5, "gaussian": -0.75, "flow_on_train": -0.25},
        "two_sample": {"test": "mmd", "statistic": 0.0125, "p_value": 0.34, "counts": [180, 180]},
        "calibration": {"coverage": coverage, "ks_mean": 0.1, "ks_rejected": 0.25},
        "accuracy": votes((0.8, 0.81), (0.6, 0.65)),
    }
    write_json(root / f"scores/flow/{recipe}.json", result | changes)
    (root / f"scores/flow/{recipe}.jpg").write_bytes(encode_jpeg(np.full((60, 80, 3), 90, np.uint8), 80))


def votes(*found: tuple[float, float], z_count: str = "16") -> dict[str, dict[str, float]]:
    """Of photos and of their copies: accuracy of the embedding, and of the recipe's vote."""
    others = {"1": 0.25, "4": 0.5, "64": 0.75}
    judged = [others | {"embedding": embedding, z_count: vote} for embedding, vote in found]
    return dict(zip(("original", "swapped"), judged, strict=True))


def write_segmentation(root: Path, name: str, ious: dict[str, float]) -> None:
    """The judged segmenters of one set, and their sheet."""

    def score(iou: float) -> dict[str, Any]:
        means = {"mean_iou": iou, "mean_dice": 0.875, "count": 18, "misses": 1}
        interval = {"mean_iou": [iou - 0.1, iou + 0.1], "mean_dice": [0.8, 0.9], "clusters": 9, "resamples": 10}
        return means | {
            "interval": interval,
            "without_misses": means | {"misses": 0},
            "category_mean": means,
            "per_category": {"dog": means},
            "miss_reasons": {"no_detection": 1},
            "unusable": {},
        }

    methods = {method: score(iou) for method, iou in ious.items()}
    result = {"set": name, "source": "synthetic" if methods else "none", "seed": 0, "methods": methods}
    write_json(root / f"scores/segmentation/{name}.json", result)
    sheet = np.full((60, 80, 3), 200, np.uint8)
    (root / f"scores/segmentation/{name}.jpg").write_bytes(encode_jpeg(sheet, 80))


def write_scores(root: Path, recipe: str, classes: ClassList = IN9) -> None:
    """Scores and training of one recipe."""
    hits = dict(zip(VARIANTS, HITS.get(recipe, HITS["original"]), strict=True))
    judged = {"recipe": recipe, "checkpoint_sha256": (recipe.encode().hex() + "0" * 64)[:64], "seed": 0, "split": "val"}

    def score(correct: int) -> dict[str, Any]:
        per_class = {folder: {"accuracy": 0.5, "correct": 1, "count": 2} for folder in classes.folders}
        return {"accuracy": correct / COUNT, "correct": correct, "count": COUNT, "per_class": per_class}

    gap = (hits["mixed_same"] - hits["mixed_rand"]) / COUNT
    variants = {name: score(correct) for name, correct in hits.items()}
    brief = {"variants": variants, "bg_gap": gap, "worst_group": WORST_GROUP}
    lists = {"class_list": classes.to_record()}
    in9 = judged | lists | brief | {"chance": 1 / len(classes), "seeds": [judged | brief]}
    write_json(root / f"scores/in9/{recipe}.json", in9)
    per_class = {folder: {"challenge_accuracy": 0.0, "vulnerable": 2, "count": 2} for folder in classes.folders}
    write_json(
        root / f"scores/challenge/{recipe}.json",
        judged
        | lists
        | {
            "challenge_accuracy": 4 / 18,
            "vulnerable": 14,
            "count": 18,
            "seeds": [judged | {"challenge_accuracy": 4 / 18, "vulnerable": 14, "count": 18}],
            "backgrounds": 18,
            "forward_passes": 99,
            "per_class": per_class,
            "foregrounds": [],
            "rated_foregrounds": 9,
            "gallery": challenge_gallery(),
        },
    )
    write_saliency(root, judged)
    lines = ["epoch,train_loss,val_accuracy,lr", "1,2.197,0.25,0.1", f"2,1.5,{hits['original'] / COUNT},0.0"]
    path = root / f"runs/{recipe}/history.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    write_json(
        path.with_name("provenance.json"),
        {
            "checkpoint_sha256": judged["checkpoint_sha256"],
            "recipe": {"name": recipe, "data": "original"},
            "versions": {"torch": "2.14.1"},
        },
    )


def photo(label: int, number: int = 0) -> str:
    return f"n{label:08d}_{number:08d}"


def challenge_gallery() -> dict[str, Any]:
    """Backgrounds of two classes, one of which fools nobody, and a foreground at each end."""

    def example(label: int, background: int, predicted: int) -> dict[str, Any]:
        return {"foreground": photo(label), "background": photo(background), "label": label, "predicted": predicted}

    def row(label: int, fooled: int, count: int, shown: dict[str, Any] | None) -> dict[str, Any]:
        rate = {"fooled": fooled, "count": count, "fooling_rate": fooled / count}
        return {"id": photo(label), "label": label, "example": shown} | rate

    return {
        "backgrounds": [
            row(0, 6, 8, example(3, 0, 0)) | {"as_own_class": 2},
            row(1, 0, 8, None) | {"as_own_class": 0},
        ],
        "robust": [row(4, 0, 18, None)],
        "fragile": [row(5, 17, 18, example(5, 7, 9))],
    }


def write_saliency(root: Path, judged: dict[str, Any]) -> None:
    """Shares of the attribution, none of them known for Grad-CAM on mixed_rand."""

    def share(value: float | None, count: int) -> dict[str, Any]:
        return {"mean_share": value, "count": count, "without_attribution": 18 - count}

    variants = {
        "original": {"gradient": share(0.5125, 18), "grad_cam": share(0.625, 17)},
        "mixed_rand": {"gradient": share(0.375, 18), "grad_cam": share(None, 0)},
    }
    score = {"photos": 18, "foreground_area": 0.2, "grad_cam_layer": "layer4", "variants": variants}
    write_json(root / f"scores/saliency/{judged['recipe']}.json", judged | score)
    sheet = np.full((60, 80, 3), 120, np.uint8)
    (root / f"scores/saliency/{judged['recipe']}.jpg").write_bytes(encode_jpeg(sheet, 80))


def write_set(folder: Path, name: str, tint: int, classes: ClassList = IN9) -> None:
    """A set of one shard a split: two pictures a class."""
    columns = ("partner_label", "lam") if name in ("mixup", "cutmix") else ("background", "background_label")
    for split in ("train",) if name in ("mixup", "cutmix") else ("train", "val"):
        write_shard(folder, shard_name(split, 0), set_members(name, split, tint, columns, classes))
    finish_set(folder, classes=classes, columns=columns, notes={"rejected": {"foreground_outside_crop": 3}})


def set_members(
    name: str, split: str, tint: int, columns: tuple[str, ...], classes: ClassList
) -> Iterator[tuple[Row, bytes]]:
    for label in range(len(classes)):
        for number in range(2):
            mask = np.hypot(*(np.mgrid[:32, :32] - 15.5)) < 6 + label % 9
            image = np.where(
                mask[..., None], [20 * (label % 9), 90, 9 * tint], [200, 25 * (label % 9), 20 * tint]
            ).astype(np.uint8)
            stem = f"n{label:08d}_{number}" if split == "train" else f"n{label:08d}_{number:08d}"
            cells = ("", "") if name not in MIXED else ("other", str((label + 1) % len(classes)))
            extra = dict(
                zip(columns, (str((label + 2) % len(classes)), "0.731") if "lam" in columns else cells, strict=True)
            )
            row = Row(stem, split, label, stem[:9], classes.member_name(label, stem), extra=extra)
            yield row, encode_mask(mask) if name == FG_MASK else encode_jpeg(image, 90)


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def edit_json(path: Path, **changes: Any) -> None:
    write_json(path, json.loads(path.read_text()) | changes)


def edit_original(path: Path, correct: int) -> None:
    """Another accuracy on original, of the only seed."""
    score = json.loads(path.read_text())
    for judged in (score, *score["seeds"]):
        judged["variants"]["original"] |= {"accuracy": correct / COUNT, "correct": correct}
    write_json(path, score)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with all inputs, entered."""
    write_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run() -> str:
    """Run the stage and return the page."""
    report.main(None)  # type: ignore[arg-type]  # it has no arguments
    return Path("report/index.html").read_text(encoding="utf-8")


def read(recipes: tuple[str, ...] = RECIPES) -> Results:
    return read_results(Path("scores"), Path("runs"), recipes=recipes, seeds=(0,))


def add_seeds(root: Path, recipe: str, hits: dict[str, int], challenge: float) -> None:
    """A further seed of a recipe, with other hits and another challenge accuracy."""
    number = len(json.loads((root / f"scores/in9/{recipe}.json").read_text())["seeds"])
    origin = {"seed": number, "checkpoint_sha256": f"{number}" * 64}
    path = root / f"scores/in9/{recipe}.json"
    first = json.loads(path.read_text())
    variants = {name: score | {"accuracy": hits[name] / COUNT} for name, score in first["variants"].items()}
    gap = (hits["mixed_same"] - hits["mixed_rand"]) / COUNT
    worst = WORST_GROUP | {"accuracy": 0.25 + number / 8}
    first["seeds"].append(origin | {"variants": variants, "bg_gap": gap, "worst_group": worst})
    write_json(path, first)
    path = root / f"scores/challenge/{recipe}.json"
    first = json.loads(path.read_text())
    first["seeds"].append(origin | {"challenge_accuracy": challenge, "vulnerable": 9, "count": 18})
    write_json(path, first)
    write_json(root / f"runs/{recipe}/seed-{number}/provenance.json", origin)


def headline(text: str) -> str:
    inside = text.split("<h1>")[1].split("</h1>")[0]
    return " ".join(unescape(re.sub("<.*?>", "", inside)).split())


class Page(HTMLParser):
    """What a browser would see: tags, references, texts of table cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [
            (tag, value or "")
            for key, value in attrs
            if key in ("src", "href", "srcset", "data", "poster", "action", "xlink:href")
        ]
        if tag not in ("meta", "link", "img", "br", "wbr", "line", "rect", "circle"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("line", "rect", "circle"):
            assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        if self.rows and {"th", "td"} & set(self.open):
            self.rows[-1][-1] += data.strip()


@pytest.mark.usefixtures("project")
def test_page_needs_nothing_else() -> None:
    text = run()
    page = Page(text)
    assert not page.open, "a tag stays open"
    assert "script" not in page.tags and "iframe" not in page.tags
    for tag, target in page.references:
        assert target.startswith(("data:", "#")) or tag == "a", (tag, target)
    assert not re.search(r"@import|url\(", text)


@pytest.mark.usefixtures("project")
def test_table_shows_every_recipe_and_variant_as_the_files_have_them() -> None:
    page = Page(run())
    header = next(row for row in page.rows if row and row[0] == "trained as")
    assert header == ["trained as", *VARIANTS, "BG-gap", "challenge", "worst group"]
    shown = {row[0]: row[1:] for row in page.rows if row and row[0] in RECIPES and len(row) == len(header)}
    assert tuple(shown) == RECIPES
    for recipe, cells in shown.items():
        same, rand = HITS[recipe][5:7]
        assert cells == [f"{100 * hits / COUNT:.1f}" for hits in (*HITS[recipe], same - rand)] + ["22.2", "25.0"]


@pytest.mark.usefixtures("project")
def test_headline_names_the_least_dependent_recipe_with_its_price() -> None:
    sentence = headline(run())
    # Gaps in hits: original 5, mixed_rand 1, dynamic 1: the first of equals; original photos 13 against 17.
    assert sentence == (
        "mixed_rand depends least on the background: it cuts the BG-gap from 27.8 to 5.6 points"
        " and loses 22.2 points on original photos."
    )


@pytest.mark.usefixtures("project")
def test_the_best_trade_off_is_named_beside_a_winner_that_loses_much() -> None:
    # dynamic loses one of 18 original photos, 5.6 points: too much; at 17 of 18 it loses none.
    assert "Of the recipes that lose at most 5 points" not in run()
    edit_original(Path("scores/in9/dynamic.json"), 17)
    assert "Of the recipes that lose at most 5 points on original photos, <strong>dynamic</strong>" in run()


@pytest.mark.parametrize(
    ("recipes", "expected"),
    [
        (("original",), "original's BG-gap is 27.8 points."),
        (("dynamic", "mixed_rand"), "dynamic depends least on the background: its BG-gap is 5.6 points."),
    ],
)
def test_headline_without_a_comparison(project: Path, recipes: tuple[str, ...], expected: str) -> None:
    edit_json(project / "build/config/report.json", recipes={name: recipe_settings(name) for name in recipes})
    sentence = headline(run())
    assert sentence == expected
    assert all(tile.change is None for tile in headline_tiles(read(recipes)))


def test_a_recipe_near_chance_is_called_so(project: Path) -> None:
    assert "is near chance" not in run()
    edit_original(project / "scores/in9/mixed_rand.json", 3)
    assert "mixed_rand is near chance on original photos" in run()


@pytest.mark.usefixtures("project")
def test_metrics_are_flat_numbers_and_those_of_the_files() -> None:
    run()
    content = json.loads(Path("report/metrics.json").read_text())

    def leaves(value: Any) -> Iterator[Any]:
        yield from (leaf for below in value.values() for leaf in leaves(below)) if isinstance(value, dict) else [value]

    assert all(type(leaf) in (int, float) for leaf in leaves(content))
    assert set(content["in9"]) == set(RECIPES)
    assert content["in9"]["dynamic"]["mixed_same"] == 15 / 18
    assert content["in9"]["dynamic"]["challenge_accuracy"] == 4 / 18
    assert content["in9"]["dynamic"]["worst_group_accuracy"] == 0.25
    # Of one seed nothing is added to what was there before there were seeds.
    assert set(content) == {"in9", "segmentation", "saliency", "leak"}
    assert set(content["in9"]["dynamic"]) == {*VARIANTS, "bg_gap", "challenge_accuracy", "worst_group_accuracy"}
    assert set(content["segmentation"]) == set(SEGMENTATION_SETS)
    expected = {"mean_iou": 0.8125, "mean_dice": 0.875, "misses": 1, "count": 18}
    assert content["segmentation"]["davis"]["grabcut"] == expected
    assert content["saliency"]["dynamic"] == {
        "original": {"gradient": 0.5125, "grad_cam": 0.625},
        "mixed_rand": {"gradient": 0.375},
    }


def test_absent_numbers_are_left_out_of_the_metrics_and_said_on_the_page(project: Path) -> None:
    for name in SEGMENTATION_SETS:
        write_segmentation(project, name, {})
    assert metrics(read())["segmentation"] == {}
    assert "came without true masks" in run()


@pytest.mark.usefixtures("project")
def test_tables_hold_the_rows_that_dvc_plots() -> None:
    run()
    with Path("report/in9.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(RECIPES) * len(VARIANTS)
    assert rows[0] == {
        "recipe": "original",
        "seed": "0",
        "variant": "original",
        "accuracy": str(17 / 18),
        "correct": "17",
        "count": "18",
    }
    with Path("report/history.csv").open() as file:
        history = list(csv.DictReader(file))
    assert history[0] == {"recipe": "original", "epoch": "1", "train_loss": "2.197", "val_accuracy": "0.25"}
    assert len(history) == 2 * len(RECIPES)


@pytest.mark.usefixtures("project")
def test_a_second_run_writes_the_same_bytes() -> None:
    run()
    first = {path.name: path.read_bytes() for path in Path("report").iterdir()}
    run()
    assert {path.name: path.read_bytes() for path in Path("report").iterdir()} == first
    tables = {"in9.csv", "history.csv", "p_sweep.csv", "corruptions.csv", "transfer.csv", "correlation.csv"}
    assert set(first) == {"index.html", "metrics.json"} | tables


def test_names_are_escaped(project: Path) -> None:
    note = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    edit_json(project / "runs/dynamic/provenance.json", note=note)
    page = Page(run())
    assert "script" not in page.tags
    assert ("img", "x") not in page.references


@pytest.mark.usefixtures("project")
def test_recipes_that_are_gone_are_not_shown() -> None:
    write_scores(Path(), "retired")
    assert "retired" not in run()


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("scores/in9/dynamic.json", "evaluate"),
        ("scores/challenge/dynamic.json", "challenge"),
        ("scores/saliency/dynamic.json", "saliency"),
        ("scores/digits.json", "digits"),
        ("scores/digits.jpg", "digits"),
        ("scores/segmentation/coco.json", "evaluate_segmentation@coco"),
        ("runs/dynamic/history.csv", "train@dynamic"),
        ("runs/dynamic/provenance.json", "train@dynamic"),
    ],
)
def test_a_missing_file_is_named_with_what_makes_it(project: Path, path: str, target: str) -> None:
    (project / path).unlink()
    with pytest.raises(InputError, match=re.escape(f"{path} is missing: run `dvc repro {target}`")):
        run()
    assert not Path("report").exists()


def test_a_broken_or_foreign_file_is_refused(project: Path) -> None:
    path = project / "scores/in9/dynamic.json"
    whole = path.read_text()
    path.write_text(whole[:40])
    with pytest.raises(InputError, match="cannot be read"):
        read()
    path.write_text(whole.replace('"dynamic"', '"static"'))
    with pytest.raises(InputError, match="is of recipe static, not dynamic"):
        read()
    path.write_text(whole.replace("only_bg_t", "only_bg"))
    with pytest.raises(InputError, match="lacks only_bg_t"):
        read()
    challenge = project / "scores/challenge/dynamic.json"
    kept = challenge.read_text()
    challenge.write_text(kept.replace('"gallery"', '"other"'))
    path.write_text(whole)
    with pytest.raises(InputError, match=r"lacks the gallery: run `dvc repro --force challenge`"):
        read()
    challenge.write_text(kept)
    (project / "runs/original/history.csv").write_text("epoch,loss\n1,2\n")
    path.write_text(whole)
    with pytest.raises(InputError, match="has no rows with train_loss, val_accuracy"):
        read()


def test_scores_of_another_checkpoint_are_refused(project: Path) -> None:
    edit_json(project / "scores/challenge/dynamic.json", checkpoint_sha256="f" * 64)
    with pytest.raises(InputError, match="dynamic was trained and judged with different checkpoints"):
        read()


def test_results_and_sets_of_different_classes_are_refused(project: Path) -> None:
    others = plain_class_list("pets", ("cat", "dog"))
    path = project / "scores/challenge/dynamic.json"
    whole = path.read_text()
    edit_json(path, class_list=others.to_record())
    with pytest.raises(InputError, match=r"in9 \(9 classes.*challenge/dynamic.json has pets \(2 classes: cat, dog\)"):
        read()
    path.write_text(whole)
    path = project / "data/in9/cutmix/manifest.json"
    whole = path.read_text()
    edit_json(path, classes=others.to_record())
    with pytest.raises(InputError, match=r"cutmix/manifest.json has pets"):
        run()
    path.write_text(whole)
    for path in (project / "scores").glob("[ic][nh]*/*.json"):
        edit_json(path, class_list=others.to_record())
    with pytest.raises(InputError, match=r"scores has the classes pets .* but data/in9 has in9"):
        run()
    assert not Path("report").exists()


def test_files_from_before_there_were_lists_are_imagenet_9s(project: Path) -> None:
    before = run()
    for path in (*(project / "scores").glob("*/*.json"), *(project / "data/in9").glob("*/manifest.json")):
        content = json.loads(path.read_text())
        write_json(path, {key: value for key, value in content.items() if key not in ("class_list", "classes")})
    assert run() == before


@pytest.mark.usefixtures("project")
def test_gallery_shows_one_seeded_photo_of_each_class_in_every_variant() -> None:
    sets = Path("data/in9")
    gallery = read_gallery(sets, mixed=("mixup",), sheets={}, fooled={}, saliency={}, seed=0, examples=3)
    assert [photo.class_name for photo in gallery.photos] == list(CLASS_NAMES)
    assert all(tuple(picture.name for picture in photo.pictures) == PICTURES for photo in gallery.photos)
    assert len({picture.uri for picture in gallery.photos[0].pictures}) == len(PICTURES)
    assert gallery.photos[0].pictures[PICTURES.index("mixed_next")].background == "bird"
    assert len(gallery.mixed["mixup"]) == 3
    assert gallery.mixed["mixup"][0].lam == 0.731
    with ImageSet(sets / "original") as originals:
        drawn = {tuple(choose_photos(originals, seed=seed, split="val").items()) for seed in range(20)}
    assert len(drawn) > 10


def section(text: str, name: str) -> str:
    """The words of a section, without its pictures."""
    inside = text.split(f'<section id="{name}">')[1].split("</section>")[0]
    return " ".join(unescape(re.sub("<.*?>", " ", inside)).split())


@pytest.mark.usefixtures("project")
def test_what_fools_is_shown_for_the_baseline_and_the_winner_with_its_rates() -> None:
    text = run()
    words = section(text, "fooled")
    assert "9 of 18 foregrounds, a seeded choice of each class, were put on each of the 18 backgrounds" in words
    assert "Shown for original and mixed_rand;" in words
    assert "75 % (6 of 8 foregrounds; 2 as dog) reptile, taken for dog" in words
    assert "0 % (0 of 8 foregrounds) fools nothing" in words
    assert "0 % (0 of 18 backgrounds) nothing fools it" in words
    assert f"94 % (17 of 18 backgrounds) {CLASS_NAMES[5]}, taken for none of the nine" in words
    inside = text.split('<section id="fooled">')[1].split("</section>")[0]
    # Of each recipe four pictures and two composites.
    assert inside.count("<img") == 2 * 6


@pytest.mark.usefixtures("project")
def test_a_composite_is_the_example_that_was_judged() -> None:
    sets = Path("data/in9")
    (one, nobody) = (rows[0] for rows in read_adversaries(sets, challenge_gallery()).backgrounds.values())

    def read_one(name: str, image_id: str) -> bytes:
        with ImageSet(sets / name) as images:
            return images.read(*images.by_id([image_id]))

    background, foreground = decode_image(read_one("only_bg_t", photo(0))), decode_image(read_one("original", photo(3)))
    mask = decode_mask(read_one(FG_MASK, photo(3)))
    assert one.composite == image_uri(np.where(mask[..., None], foreground, background))
    assert nobody.composite is None
    assert (one.class_name, one.example_class, one.example_predicted) == ("dog", CLASS_NAMES[3], "dog")


def test_without_rated_foregrounds_the_page_says_so(project: Path) -> None:
    for recipe in RECIPES:
        path = project / f"scores/challenge/{recipe}.json"
        score = json.loads(path.read_text())
        del score["rated_foregrounds"]
        write_json(path, score | {"gallery": {"backgrounds": [], "robust": [], "fragile": []}})
    assert "challenge.rated_per_class is 0" in section(run(), "fooled")


@pytest.mark.usefixtures("project")
def test_saliency_shows_shares_and_sheets_as_the_files_have_them() -> None:
    text = run()
    rows = [row for row in Page(text.split('<section id="saliency">')[1].split("</section>")[0]).rows if row]
    assert rows[2:] == [[recipe, "51.2", "37.5", "62.5", "–"] for recipe in RECIPES]  # noqa: RUF001
    assert text.count("Attribution maps of") == 2
    assert "would score 20.0" in section(text, "saliency")


def test_digits_say_what_of_the_finding_holds(project: Path) -> None:
    words = section(run(), "digits")
    assert "one pixel 20.0 % plain, 95.0 % penalised; coloured 40.0 %; with a gap 85.0 %" in words
    assert "The finding is reproduced in direction." in words
    write_digits(project, {"one_pixel": (20, 95), "coloured": (10, 93), "coloured_gap": (15, 85)})
    words = section(run(), "digits")
    assert "The finding is reproduced in part." in words
    assert "rescues one_pixel: yes, A coloured background resists it: no, A gap around the digit helps: no." in words
    write_digits(project, {"one_pixel": (20, 20), "coloured": (10, 40), "coloured_gap": (15, 40)})
    assert "The finding is not reproduced." in section(run(), "digits")


def test_a_broken_result_of_the_digits_is_refused(project: Path) -> None:
    edit_json(project / "scores/digits.json", sets={})
    with pytest.raises(InputError, match=r"is no result of the digits .*: run `dvc repro --force digits`"):
        run()


@pytest.mark.usefixtures("project")
def test_a_page_without_a_flow_shows_none() -> None:
    assert 'id="flow"' not in run()
    assert "#flow" not in run()


def test_a_flow_is_shown_as_its_files_have_it(project: Path) -> None:
    write_flow(project)
    text = run()
    assert not Page(text).open
    assert 'href="#flow"' in text
    assert text.count("a map of embeddings of dynamic") == 1
    rows = [row for row in Page(text.split('<section id="flow">')[1].split("</section>")[0]).rows if row]
    assert rows[1:4] == [
        ["trained as", "photos", "embedding", "1", "4", "16", "64"],
        ["dynamic", "original", "80.0", "25.0", "50.0", "81.0", "75.0"],
        ["", "swapped", "60.0", "25.0", "50.0", "65.0", "75.0"],
    ]
    density = ["dynamic", "NICE", "32", "-0.50", "-0.75", "-0.25", "0.0125", "0.340", "37.5", "62.5", "87.5", "25.0"]
    assert rows[-1] == [cell.replace("-", "\N{MINUS SIGN}") for cell in density]
    assert json.loads(Path("report/metrics.json").read_text())["flow"] == {
        "dynamic": {
            "log_likelihood": -0.5,
            "gaussian_log_likelihood": -0.75,
            "two_sample_p": 0.34,
            "accuracy_original": 0.81,
            "accuracy_swapped": 0.65,
        }
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "the flow is better than a Gaussian by 0.25 nats a dimension;"),
        ({"flow": -0.875}, "the flow is worse than a Gaussian by 0.12 nats a dimension;"),
        ({"flow": -0.7501}, "the flow is neither better nor worse than a Gaussian;"),
        ({"flow": -float("inf")}, "the flow has no finite likelihood;"),
        ({"p_value": 0.34}, "the two-sample test does not tell its samples from real embeddings (p = 0.340);"),
        ({"p_value": 0.05}, "the two-sample test tells its samples from real embeddings (p = 0.050);"),
        ({"votes": ((0.8, 0.81), (0.6, 0.65))}, "stays within 1 point on original photos (+1.0) and gains more than 1"),
        ({"votes": ((0.8, 0.75), (0.6, 0.5))}, "loses more than 1 point on original photos (-5.0) and on swapped ones"),
        ({"votes": ((0.8, 0.8), (0.6, 0.595))}, "on original photos (±0.0) and on swapped ones (-0.5)."),
    ],
)
def test_a_flows_finding_reads_right(project: Path, changes: dict[str, Any], expected: str) -> None:
    likelihood = {"flow": changes.get("flow", -0.5), "gaussian": -0.75, "flow_on_train": -0.25}
    test = {"statistic": 0.0125, "p_value": changes.get("p_value", 0.34), "counts": [180, 180]}
    write_flow(project, likelihood=likelihood, two_sample=test, accuracy=votes(*changes.get("votes", ((1, 1), (1, 1)))))
    assert expected.replace("-", "\N{MINUS SIGN}").replace("two\N{MINUS SIGN}", "two-") in section(run(), "flow")
    assert "Infinity" not in Path("report/metrics.json").read_text()


def test_another_number_of_samples_has_its_column(project: Path) -> None:
    write_flow(project)
    write_flow(project, "original", z_count=1, accuracy=votes((0.5, 0.5), (0.5, 0.5), z_count="1"))
    words = section(run(), "flow")
    assert "its vote of 1 sample, beside the embedding alone" in words
    assert "original original 50.0 50.0 50.0 – 75.0" in words  # noqa: RUF001


def test_a_missing_broken_or_foreign_flow_is_refused(project: Path) -> None:
    write_flow(project)
    sheet = project / "scores/flow/dynamic.jpg"
    drawn = sheet.read_bytes()
    sheet.unlink()
    with pytest.raises(InputError, match=r"scores/flow/dynamic.jpg is missing: run `dvc repro flow`"):
        run()
    sheet.write_bytes(drawn)
    path = project / "scores/flow/dynamic.json"
    whole = path.read_text()
    path.write_text(whole[:40])
    with pytest.raises(InputError, match=r"dynamic.json cannot be read .*: run `dvc repro --force flow`"):
        run()
    path.write_text(whole.replace('"flow_on_train"', '"flow_on_val"'))
    with pytest.raises(InputError, match=r"no result of a flow \(likelihood.flow_on_train: Field required\): run"):
        run()
    path.write_text(whole.replace('"z_count": 16', '"z_count": 17'))
    with pytest.raises(InputError, match=r"no result of a flow \(.*accuracy.original lacks 17\): run"):
        run()
    path.write_text(whole.replace('"recipe": "dynamic"', '"recipe": "static"'))
    with pytest.raises(InputError, match="is of recipe static, not dynamic: run `dvc repro --force flow`"):
        run()
    edit_json(project / "runs/dynamic/provenance.json", checkpoint_sha256="e" * 64)
    path.write_text(whole)
    with pytest.raises(InputError, match=r"different checkpoints .*saliency flow`"):
        run()
    path.unlink()
    with pytest.raises(InputError, match=r"scores/flow/dynamic.json is missing: run `dvc repro flow`"):
        run()
    assert not Path("report").exists()


def test_a_number_that_is_not_finite_breaks_the_line_only(project: Path) -> None:
    lines = ["epoch,train_loss,val_accuracy", "1,2.0,0.1", "2,nan,0.2", "3,1.0,0.3", "4,inf,0.4"]
    (project / "runs/dynamic/history.csv").write_text("\n".join(lines))
    curve = curve_chart(read(), "train_loss").curves[RECIPES.index("dynamic")]
    assert [len(run.split()) for run in curve.runs] == [1, 1]
    assert curve.end is None
    run()


def test_words_cover_all_variants_in_their_order() -> None:
    assert tuple(variant for _, _, variants in words.GROUPS for variant in variants) == VARIANTS
    assert set(words.VARIANT_MEANING) == set(VARIANTS)


def test_plot_templates_know_the_variants_and_columns() -> None:
    """`dvc plots` reads these templates: facets cannot take the order of the data, so it stands in the template."""
    folder = Path(__file__).parents[2] / ".dvc/plots"
    assert json.loads((folder / "in9_bar.json").read_text())["facet"]["sort"] == list(VARIANTS)
    assert json.loads((folder / "in9_lines.json").read_text())["facet"]["field"] in HISTORY_COLUMNS


def test_numbers_are_typeset_for_people() -> None:
    assert [percent(0.73449), percent(None), percent(-0.0001), percent(1.0)] == ["73.4", "–", "0.0", "100.0"]  # noqa: RUF001
    assert [points(0.0123), points(-0.0123), points(-0.0001)] == ["+1.2", "−1.2", "±0.0"]  # noqa: RUF001


def test_provenance_tells_shared_from_single() -> None:
    records = {"a": {"v": {"torch": "2"}, "data": "x"}, "b": {"v": {"torch": "2"}, "p": 0.5}}
    assert split_provenance(records) == (
        {"v.torch": "2"},
        {"data": {"a": "x", "b": ""}, "p": {"a": "", "b": "0.5"}},
    )


def test_no_foreground_is_shown_as_robust_and_as_fragile() -> None:
    rows = [{"id": name} for name in "abc"]
    shown = _apart(rows, rows[::-1])
    assert [[row["id"] for row in shown[kind]] for kind in ("robust", "fragile")] == [["a", "b"], ["c"]]
    assert _apart(rows[:1], rows[1:]) == {"robust": rows[:1], "fragile": rows[1:]}
