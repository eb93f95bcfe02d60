"""The leaderboard's rows: published ones as cited, submitted ones as the judges wrote them, nothing else taken in."""

import json
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment, PackageLoader, StrictUndefined

from bgdata.classes import ClassList, plain_class_list
from bgdata.compose.names import VARIANTS
from bgdata.errors import InputError
from bgdata.labels import IN9
from models.evaluation.submissions import read_submission
from pipeline.report.leaderboard import read_leaderboard, read_published, render_markdown
from pipeline.report.page import percent


def submission(count: int = 4050, **changes: Any) -> dict[str, Any]:
    birth = {"model": {"arch": "timm:x", "checkpoint_sha256": "ab" * 32}, "command": "python -m x", "split": "val"}
    variants = {name: {"accuracy": 0.5, "correct": count // 2, "count": count} for name in VARIANTS}
    verdicts = [{"id": "n1_1", "vulnerable": True, "label": 0}]
    totals = {"challenge_accuracy": 0.4, "vulnerable": 2430, "count": count, "backgrounds": count}
    return {
        "name": "Mine",
        "link": "https://example.org/mine",
        "trained_on": "ImageNet",
        "in9": birth | {"variants": variants},
        "challenge": birth | totals | {"foregrounds": verdicts},
    } | changes


def of_list(**changes: Any) -> dict[str, Any]:
    """A submission whose result of the variants says something else, of its classes perhaps."""
    return submission(in9=submission()["in9"] | changes)


def write(folder: Path, content: Any, name: str = "mine.json") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_published_rows_are_cited_and_their_gaps_are_the_papers() -> None:
    entries = read_published()
    assert all(entry.citation and entry.accuracy.keys() <= set(VARIANTS) for entry in entries)
    assert all(0 < rate < 1 for entry in entries for rate in entry.accuracy.values())
    gaps = {(entry.name, entry.trained_on): entry.bg_gap for entry in entries if entry.table == "official"}
    assert gaps["VGG16-BN", "ImageNet"] == pytest.approx(0.102)
    assert gaps["ResNet-50", "ImageNet"] == pytest.approx(0.073)
    assert gaps["ResNet-152", "ImageNet"] == pytest.approx(0.058)
    assert gaps["ResNet-50", "IN-9L"] == pytest.approx(0.142)
    assert len([entry for entry in entries if entry.table == "matrix"]) == 9


def test_a_submission_becomes_a_row_with_checkpoint_and_command(tmp_path: Path) -> None:
    write(tmp_path, submission())
    board = read_leaderboard(tmp_path)
    assert board.official[0].name == "Mine"  # 40 % is more than any published
    text = render_markdown(board)
    assert "| Mine | ImageNet | 40.0 | 50.0 |" in text
    assert f"checkpoint SHA-256 {'ab' * 32}" in text
    assert "`python -m x`" in text
    assert text == render_markdown(read_leaderboard(tmp_path))


def test_a_model_that_always_falls_stands_before_those_that_were_not_tried(tmp_path: Path) -> None:
    write(tmp_path, submission(challenge=submission()["challenge"] | {"challenge_accuracy": 0.0}))
    board = read_leaderboard(tmp_path)
    tried = [entry.challenge is not None for entry in board.official]
    assert tried == sorted(tried, reverse=True)


def test_results_on_other_photos_stand_apart(tmp_path: Path) -> None:
    write(tmp_path, submission(176))
    board = read_leaderboard(tmp_path)
    assert "Mine" not in [entry.name for entry in board.official]
    assert next(entry for entry in board.other if entry.name == "Mine").note == "176 photos"


PETS = plain_class_list("pets", ("cat", "dog"))


def of_classes(classes: ClassList, count: int = 4050, **changes: Any) -> dict[str, Any]:
    content = submission(count, **changes)
    record = {"class_list": classes.to_record()}
    return content | {judge: content[judge] | record for judge in ("in9", "challenge")}


def test_only_rows_of_equal_lists_stand_in_one_table(tmp_path: Path) -> None:
    turned = plain_class_list("pets", ("dog", "cat"))
    renamed = ClassList("my pets", PETS.names, PETS.wnids)
    for number, classes in enumerate((PETS, turned, renamed, IN9)):
        write(tmp_path, of_classes(classes, name=f"Net {number}"), f"{number}.json")
    board = read_leaderboard(tmp_path)
    assert {tuple(sorted(entry.name for entry in entries)) for entries in board.lists} == {
        ("Net 0", "Net 2"),
        ("Net 1",),
    }
    assert "Net 3" in [entry.name for entry in board.official]
    assert not {"Net 0", "Net 1", "Net 2"} & {entry.name for entry in (*board.official, *board.matrix, *board.other)}
    assert {entry.name for entry in board.submitted} == {f"Net {number}" for number in range(4)}
    assert board.of(IN9) == board.official
    assert {entry.name for entry in board.of(turned)} == {"Net 1"}
    assert board.of(plain_class_list("others", ("a", "b"))) == ()


def test_a_row_of_other_classes_says_its_list_and_leaves_the_published_ones_as_they_are(tmp_path: Path) -> None:
    before = render_markdown(read_leaderboard(tmp_path))
    content = of_classes(PETS, 40)
    write(tmp_path, content | {"challenge": content["challenge"] | {"nine_only": True}})
    text = render_markdown(read_leaderboard(tmp_path))
    assert f"## Other classes: pets (2 classes: cat, dog), list {PETS.digest}" in text
    said = f"classes pets (2, list {PETS.digest}); 40 photos; challenge among the two outputs only |"
    assert said in text
    published = before.partition("## How the submitted rows")[0]
    assert text.startswith(published)


def test_the_page_of_other_classes_shows_their_rows(tmp_path: Path) -> None:
    write(tmp_path, of_classes(PETS))
    environment = Environment(loader=PackageLoader("pipeline.report"), autoescape=True, undefined=StrictUndefined)
    environment.filters["percent"] = percent
    page = environment.get_template("leaderboard.html.j2").render(board=read_leaderboard(tmp_path), classes=PETS)
    assert page.count("<tr>") == 2
    assert "Submitted numbers of the same 2 classes" in page


def test_names_of_classes_cannot_break_the_page(tmp_path: Path) -> None:
    write(tmp_path, of_classes(plain_class_list("a|b", ("<script>", "# x|y"))))
    text = render_markdown(read_leaderboard(tmp_path))
    assert r"## Other classes: a\|b (2 classes: \<script\>, \# x\|y), list " in text
    assert r"; classes a\|b (2, list " in text


def test_names_cannot_break_the_tables(tmp_path: Path) -> None:
    write(tmp_path, submission(name="<b>a|b</b>\n# c", trained_on="[x](y)"))
    board = read_leaderboard(tmp_path)
    assert r"| \<b\>a\|b\</b\> \# c | \[x\](y) |" in render_markdown(board)
    environment = Environment(loader=PackageLoader("pipeline.report"), autoescape=True, undefined=StrictUndefined)
    environment.filters["percent"] = percent
    page = environment.get_template("leaderboard.html.j2").render(board=board, classes=IN9)
    assert "<b>" not in page
    assert page.count("<tr>") == 1 + len(board.official)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is no JSON"),
        ("[]", "is no result: expected what a judge's --out wrote"),
        (submission(link="javascript:alert(1)"), "link: String should match"),
        (submission(in9=None, challenge=None), "in9, challenge and corruptions are all missing"),
        (submission(note="x"), "note: Extra inputs are not permitted"),
        (
            submission(in9={"variants": {"original": {"accuracy": 1.5}}}),
            "in9.variants.original.accuracy: Input should be",
        ),
        (submission(challenge=submission()["challenge"] | {"part": "1/4"}), "challenge.part: Input should be None"),
        (of_list(class_list=["dog"]), "in9.class_list: Input should be"),
        (of_list(class_list={"name": "x", "names": [], "wnids": []}), "in9.class_list.names: Tuple should have at"),
        (of_list(class_list={"name": "x", "names": ["a", 1], "wnids": ["", ""]}), "in9.class_list.names.1: Input sh"),
        (of_list(class_list={"name": "x", "names": ["a\nb"], "wnids": [""]}), "in9.class_list.names.0: String should"),
        (of_list(class_list={"name": "x", "names": ["a", "a"], "wnids": ["", ""]}), "holds a broken list of classes"),
        (of_list(class_list={"name": "x", "names": ["a", "b"], "wnids": [""]}), "2 names, 1 groups of wnids"),
        (of_list(class_list={"name": "x", "names": ["a", "b"], "wnids": ["", ""]}), "but challenge has in9 (9 classes"),
        (of_list(predictions={"original": {"photos_sha256": "", "classes": "1 2  3"}}), "classes: String should match"),
        (of_list(predictions={"original": {"photos_sha256": "", "classes": "999999 1"}}), "classes: String should mat"),
    ],
)
def test_what_is_no_submission_is_refused_by_its_key(tmp_path: Path, content: Any, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_submission(write(tmp_path, content))
    assert words in str(caught.value)
    assert "mine.json" in str(caught.value)


def test_the_committed_page_is_the_generated_one() -> None:
    root = Path(__file__).parents[2]
    generated = render_markdown(read_leaderboard(root / "docs/leaderboard"))
    assert (root / "LEADERBOARD.md").read_text() == generated, "run `python -m pipeline.leaderboard`"
