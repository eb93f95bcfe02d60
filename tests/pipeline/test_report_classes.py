"""The report at any number of classes: what grows is folded, worst first, and no name breaks the page."""

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from bgdata.classes import ClassList, in_words, plain_class_list
from bgdata.io import encode_jpeg
from bgdata.labels import IN9
from bgdata.randomness import image_generator
from models.evaluation.adversarial import CLASSES
from pipeline.report.adversaries import SHOWN as PICTURED
from pipeline.report.adversaries import worst_classes
from pipeline.report.by_class import DENSE, LISTED, SHOWN, WHOLE, confusion_counts
from pipeline.report.inventory import fewest
from pipeline.report.words import subject
from tests.pipeline import test_report as small
from tests.pipeline.test_report import Page, photo, section

HTML = '<img src=x onerror="alert(1)">'
COUNTS = (2, 37, 200)
RECIPES = ("original", "mixed_rand")
LIMIT = 10_000_000  # bytes


def made_up(count: int) -> ClassList:
    """So many classes, one with a name that is HTML."""
    return plain_class_list("made up", (HTML, *(f"kind {label:03d}" for label in range(1, count))))


def accuracy(label: int) -> float:
    """Of a class: the middle ones are worst, so that neither the list's order nor its reverse is right."""
    return round(0.1 + 0.9 * ((label * 7919) % 1009) / 1009, 4)


def confusion(count: int) -> list[list[int]]:
    """As the judges write it: each class is taken for the next as often as its number says, and the rest is right."""
    cells = [[label, (label + 1) % count, label + 1] for label in range(count)]
    cells += [[label, label, 1000 - label] for label in range(count)]
    if count > DENSE:
        return sorted(cells)
    matrix = [[0] * count for _ in range(count)]
    for true, predicted, number in cells:
        matrix[true][predicted] = number
    return matrix


def write_more(root: Path, recipe: str, classes: ClassList) -> None:
    """Rates, confusions and fooling backgrounds of each class into a recipe's results."""
    path = root / f"scores/in9/{recipe}.json"
    in9 = json.loads(path.read_text())
    rates = {
        folder: {"accuracy": accuracy(label), "correct": 1, "count": 2} for label, folder in enumerate(classes.folders)
    }
    for score in in9["variants"].values():
        score |= {"per_class": rates, "confusion": confusion(len(classes))}
    small.write_json(path, in9)

    def background(label: int) -> dict[str, Any]:
        other = (label + 1) % len(classes)
        example = {"foreground": photo(other), "background": photo(label), "label": other, "predicted": label}
        rate = {"fooled": label, "count": 1000, "fooling_rate": label / 1000, "as_own_class": 1}
        return {"id": photo(label), "label": label, "example": example} | rate

    # The rates rise with the label, so that these are the classes which the challenge names.
    left_out = max(len(classes) - CLASSES, 0)
    named = range(left_out, len(classes))
    gallery = {"backgrounds": [background(label) for label in named], "robust": [], "fragile": []}
    gallery |= {"classes_left_out": left_out} if left_out else {}
    small.edit_json(root / f"scores/challenge/{recipe}.json", gallery=gallery)


@pytest.fixture(scope="module", params=COUNTS, ids=str)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ClassList]:
    """A project whose results and sets are of so many classes, reported; its photos are noise, which packs worst."""
    root, classes = tmp_path_factory.mktemp("project"), made_up(request.param)
    noise = image_generator(0, "noise").integers(0, 256, (32, 32, 3)).astype("uint8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small, "encode_jpeg", lambda _, quality: encode_jpeg(noise, quality))
        small.write_inputs(root, RECIPES, classes)
        for recipe in RECIPES:
            write_more(root, recipe, classes)
        patch.chdir(root)
        small.run()
    return root, classes


@pytest.fixture
def text(project: tuple[Path, ClassList]) -> str:
    return (project[0] / "report/index.html").read_text(encoding="utf-8")


@pytest.fixture
def classes(project: tuple[Path, ClassList]) -> ClassList:
    return project[1]


def html_of(text: str, name: str) -> str:
    return text.split(f'<section id="{name}">')[1].split("</section>")[0]


def test_the_page_stays_small_and_whole(text: str) -> None:
    assert len(text.encode()) < LIMIT
    assert not Page(text).open


def test_no_class_name_is_taken_for_html(text: str) -> None:
    assert ("img", "x") not in Page(text).references
    assert HTML not in text
    assert "&lt;img src=x" in text


def row_heads(html: str) -> list[str]:
    return [unescape(head) for head in re.findall(r"<tr><th>(.*?)</th>", html)]


def test_classes_stand_worst_first_and_the_rest_is_folded(text: str, classes: ClassList) -> None:
    first, *_ = html_of(text, "classes").split("<h3>mixed_rand</h3>")
    shown, fold, folded = first.partition(f"<summary>{len(classes) - SHOWN} more classes</summary>")
    worst = [classes.names[label] for label in sorted(range(len(classes)), key=accuracy)]
    assert row_heads(shown) == worst[:SHOWN]
    assert row_heads(folded) == worst[SHOWN:]
    assert bool(fold) == (len(classes) > SHOWN)


def test_confusions_are_a_matrix_of_few_classes_and_else_a_list(text: str, classes: ClassList) -> None:
    count = len(classes)
    words = section(text, "classes").partition("What is taken for what")[2]
    assert "original on original" in words and "mixed_rand on mixed_rand" in words
    if count <= WHOLE:
        assert f"{HTML} kind 001 {HTML} 1,000 1 kind 001 2 999" in words
        return
    assert f"The {LISTED} most frequent of {count} kinds of confusion" in words
    one = words.split("kinds of confusion")[1]
    # The last class is taken for the first, oftenest of all.
    assert one.startswith(f", by photos. shown taken for photos kind {count - 1:03d} {HTML} {count} of 1,001 kind ")
    assert len(re.findall(r"of 1,001", one)) == LISTED


def test_pictures_are_of_nine_classes_at_most_and_the_page_says_so(text: str, classes: ClassList) -> None:
    count = len(classes)
    assert html_of(text, "gallery").count('<div class="strip">') == min(count, 9)
    assert html_of(text, "fooled").count('<div class="foolers"><h3>') == len(RECIPES) * (min(count, 9) + 2)
    assert (f"of 9 of the {count} classes" in section(text, "gallery")) == (count > 9)
    assert (f"here the nine of {count} classes whose backgrounds fool most" in section(text, "fooled")) == (count > 9)
    # The rates rise with the label.
    assert f"<h3>kind {count - 1:03d}</h3>" in html_of(text, "fooled")


def test_the_page_names_its_list_and_its_chance(text: str, classes: ClassList) -> None:
    assert "<title>made up backgrounds: report</title>" in text
    assert "ImageNet-9 backgrounds" not in text
    assert f"The accuracy of guessing one of {len(classes)} classes: {100 / len(classes):.1f} %" in section(
        text, "words"
    )
    assert f"No result of these {len(classes)} classes was submitted" in section(text, "leaderboard")


def test_a_line_of_many_counts_names_the_fewest() -> None:
    assert fewest({"00_a": 3, "01_b": 2}) == "00_a 3, 01_b 2"
    counts = {f"{label:03d}_x": 300 - label for label in range(200)}
    assert fewest(counts).startswith("199_x 101, 198_x 102, ")
    assert fewest(counts).endswith(f" and {200 - SHOWN} more")


@pytest.mark.parametrize("count", [2, 9, DENSE, DENSE + 1, 200])
def test_both_forms_of_a_confusion_count_the_same(count: int) -> None:
    found = {cell[:2]: cell[2] for cell in confusion_counts(confusion(count), made_up(count))}
    assert found == {(label, (label + 1) % count): label + 1 for label in range(count)} | {
        (label, label): 1000 - label for label in range(count)
    }


def test_the_worst_classes_are_those_whose_backgrounds_fool_most() -> None:
    rows = [{"label": label, "fooling_rate": rate} for label in range(20) for rate in (label / 20, 0.0)]
    assert worst_classes(rows) == set(range(11, 20))
    assert worst_classes(rows[:6]) == {0, 1, 2}
    assert CLASSES >= PICTURED, "the challenge names what the report shows"


def test_numbers_up_to_twelve_are_words() -> None:
    assert [in_words(number) for number in (2, 9, 12, 13, 1000)] == ["two", "nine", "twelve", "13", "1,000"]
    assert [IN9.outside, made_up(37).outside] == ["none of the nine", "none of the 37"]
    assert [subject(IN9), subject(made_up(2))] == ["ImageNet-9 backgrounds", "made up backgrounds"]
