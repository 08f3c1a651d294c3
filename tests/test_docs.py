"""README and docs/: links lead somewhere, and what they list is what the program has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from deepdream_core.cli import app
from deepdream_core.config import load_config

ROOT = Path(__file__).parent.parent
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


def test_the_options_page_names_every_option_of_dream() -> None:
    table = (ROOT / "docs" / "options.md").read_text("utf-8")
    dream: Any = get_command(app)
    for parameter in dream.commands["dream"].params:
        names = {*parameter.opts, *parameter.secondary_opts}
        if parameter.param_type_name == "option" and "--help" not in names:
            assert any(re.search(rf"`{name}[` ]", table) for name in names), names


def test_the_looks_page_and_the_readme_know_the_presets() -> None:
    rows = re.findall(
        r"^\| .*?\| `([\w-]+)` \| (.+) \|$", (ROOT / "docs" / "looks.md").read_text("utf-8"), re.MULTILINE
    )
    presets = {name: preset.description for name, preset in load_config().presets.items()}
    assert dict(rows) == presets
    assert f"one of {len(presets) - 1} looks" in (ROOT / "README.md").read_text("utf-8"), "made-simple is the notebook"
