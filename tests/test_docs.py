"""The pages for readers: relative links lead to a file, and to a heading where one is named; commands exist."""

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGES = (ROOT / "README.md", ROOT / "LEADERBOARD.md", ROOT / "benchmarks/README.md", *sorted(ROOT.glob("docs/**/*.md")))


def anchors(text: str) -> set[str]:
    """What GitHub makes of the headings: lower case, spaces as hyphens, other signs left out."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    """The links of a page to files that are not there, or to headings that their file lacks."""
    broken = []
    for link in re.findall(r"\]\((?!https?://)([^)\s]+)\)", page.read_text()):
        file, _, heading = link.partition("#")
        target = page.parent / file if file else page
        if not target.exists() or (heading and heading not in anchors(target.read_text())):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_its_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One heading: `code`\n\n[a](#one-heading-code) [b](#other) [c](none.md) [d](https://x.org/none)\n"
    )
    assert broken_links(page) == ["#other", "none.md"]


def test_commands_name_modules_that_exist() -> None:
    for page in PAGES:
        for module in re.findall(r"python -m (pipeline\.\w+|benchmarks\.\w+)", page.read_text()):
            place = ROOT / module.replace(".", "/")
            assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), f"{page.name}: {module}"
