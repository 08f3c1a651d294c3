"""README and docs/: links lead somewhere, and what they list is what the program has."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from deepdream_core.config import load_config

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))

import make_formats  # noqa: E402
import make_options  # noqa: E402

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def text_of(page: Path) -> str:
    """The page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What GitHub calls the page's headings."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in LINK.findall(text_of(page)):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        links = {(page.parent / link.partition("#")[0]).resolve() for link in LINK.findall(text_of(page))}
        waiting += [target for target in links if target in PAGES and target not in reached]
    assert reached == set(PAGES)


def test_the_tables_of_options_are_of_this_program() -> None:
    assert make_options.page() == make_options.PAGE.read_text("utf-8"), "run python docs/make_options.py"
    assert "| `--natural` `F` | `0.97` | how closely the dream" in make_options.tables()
    assert "| `--clamp`, `--no-clamp` | on |" in make_options.tables()


def test_the_table_of_formats_is_of_this_program() -> None:
    assert make_formats.page() == make_formats.PAGE.read_text("utf-8"), "run python docs/make_formats.py"
    assert "| JPEG XL | `.jxl` | 8, 16, float | 8 | ✓ | becomes sRGB | ✓ | ✓ | |" in make_formats.table()


def test_the_looks_page_and_the_readme_know_the_presets() -> None:
    rows = re.findall(
        r"^\| .*?\| `([\w-]+)` \| (.+) \|$", (ROOT / "docs" / "looks.md").read_text("utf-8"), re.MULTILINE
    )
    presets = {name: preset.description for name, preset in load_config().presets.items()}
    assert dict(rows) == presets
    assert f"one of {len(presets)} presets" in (ROOT / "README.md").read_text("utf-8")
