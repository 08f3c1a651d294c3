"""How the plug-in gets to know the presets of an edited config.yaml: from the helper, and from what it said last."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from helper_process import Helper, running_helper, until
from plugin_folder import FACTS, FOLDER, cache, choices, facts, fresh, plugin_errors

from deepdream_core.machine.folders import UserFolders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def helper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Helper]:
    with running_helper(tmp_path_factory.mktemp("fresh")) as process:
        process.client().status()
        yield process


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "folder", lambda: tmp_path / "cache")


def own(**settings: Any) -> dict[str, Any]:
    """A preset of the user's own with these settings."""
    return {"description": "mine", "family": None, "settings": {**FACTS.defaults, **settings}, "pictured": False}


def plugin_facts(helper: Helper | None = None, **presets: Any) -> facts.Facts:
    """The facts as a process of the plug-in reads them, of a helper if one is given."""
    found = dataclasses.replace(
        FACTS,
        presets={**deepcopy(FACTS.presets), **presets},
        defaults=dict(FACTS.defaults),
        command=("/nowhere/python",),
    )
    return dataclasses.replace(found, endpoint=helper.endpoint_file) if helper else found


def edit(helper: Helper, **presets: Any) -> None:
    config = yaml.safe_load(helper.config.read_text())
    helper.config.write_text(yaml.safe_dump({**config, "presets": presets}))


def test_a_running_helper_is_asked_and_its_answer_kept_for_the_next_time(helper: Helper) -> None:
    edit(helper, mine={"description": "mine", "iterations": 3})
    known = plugin_facts(helper)
    fresh.update(known)
    assert known.presets["mine"] == own(iterations=3)
    assert fresh.remembered(plugin_facts()).presets == known.presets, "also where no helper runs"


def test_what_is_wrong_in_config_yaml_is_heard_as_sentences(helper: Helper) -> None:
    right = helper.config.read_text()
    try:
        for text, why in (
            ("presets: [", "not valid YAML: line 1, column 11: expected the node content, but found '<stream end>'. "
             "Correct that line; text that begins with * ! @ or & needs quotes."),
            ("dream: {iterations: -3}", "dream.iterations: -3 is not allowed. Allowed: a whole number from 1 up to "),
        ):  # fmt: skip
            helper.config.write_text(text)
            found = fresh.ask(plugin_facts(helper))
            assert found.problem.startswith(why)
            assert found.presets
    finally:
        helper.config.write_text(right)
    assert fresh.ask(plugin_facts(helper)).problem == ""


def test_where_no_helper_runs_what_is_known_stays(tmp_path: Path) -> None:
    known = dataclasses.replace(plugin_facts(mine=own()), endpoint=tmp_path / "endpoint.json")
    fresh.update(known)
    assert list(known.presets) == [*FACTS.presets, "mine"]
    with pytest.raises(plugin_errors.PluginError):
        fresh.ask(known)


def test_a_helper_that_starts_later_is_heard(helper: Helper, tmp_path: Path) -> None:
    edit(helper, later={"description": "later"})
    known = dataclasses.replace(plugin_facts(), endpoint=tmp_path / "endpoint.json")
    heard: list[fresh.Presets] = []
    asking = fresh.Asking(known, heard.append)
    asking.start()
    (tmp_path / "endpoint.new").write_bytes(helper.endpoint_file.read_bytes())
    (tmp_path / "endpoint.new").chmod(0o600)
    (tmp_path / "endpoint.new").replace(tmp_path / "endpoint.json")
    until(lambda: heard, 20)
    assert "later" in heard[0][0]
    asking.join(20)


def test_nobody_is_told_after_the_window_is_closed(helper: Helper, tmp_path: Path) -> None:
    known = dataclasses.replace(plugin_facts(), endpoint=tmp_path / "endpoint.json")
    asking = fresh.Asking(known, lambda _found: pytest.fail("told"))
    asking.start()
    asking.stop()
    asking.join(20)
    assert asking not in threading.enumerate()


def kept(**changed: Any) -> None:
    """Write what a helper said, with changes."""
    given = {
        "version": FACTS.version,
        "state": str(FACTS.state),
        "presets": {"mine": own()},
        "defaults": FACTS.defaults,
    }
    cache.keep(cache.folder() / fresh.NAME, json.dumps({**given, **changed}).encode())


def test_deepdream_json_counts_where_it_was_written_later() -> None:
    kept()
    assert list(fresh.remembered(plugin_facts()).presets) == ["mine"]
    before = (FOLDER / facts.FILE).stat().st_mtime - 10
    os.utime(cache.folder() / fresh.NAME, (before, before))
    assert fresh.remembered(plugin_facts()).presets == FACTS.presets


@pytest.mark.parametrize(
    "changed",
    [
        {"version": "0.0.1"}, {"state": "/another"}, {"presets": {}}, {"presets": []}, {"presets": {"mine": {}}},
        {"presets": {"mine": {**own(), "settings": {"iterations": 3}}}}, {"defaults": {}}, {"defaults": None},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_damaged_or_of_another_installation_is_left_out(changed: dict[str, Any]) -> None:
    kept(**changed)
    assert fresh.remembered(plugin_facts()).presets == FACTS.presets


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"{"])
def test_a_damaged_file_is_left_out(content: bytes) -> None:
    cache.keep(cache.folder() / fresh.NAME, content)
    assert fresh.remembered(plugin_facts()).presets == FACTS.presets


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    kept()
    assert fresh.remembered(plugin_facts()).presets == FACTS.presets


@pytest.mark.parametrize("chosen", ["", "elsewhere", None], ids=str)
def test_uninstall_knows_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, chosen: str | None) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path) if chosen is None else chosen)
    assert UserFolders.here().cache == cache.folder()


def shown(known: facts.Facts, **given: Any) -> dict[str, Any]:
    """What the dialog shows for these arguments."""
    return choices.resolved({**choices.as_preset(known), **given}, known)


def test_an_edited_preset_changes_what_the_user_has_not_changed() -> None:
    known = plugin_facts(mine=own(iterations=3, step=2.0))
    before = {**shown(known, preset="mine"), "step": 5.0, "seed": 7}
    after = choices.take({"mine": own(iterations=9, step=3.0)}, known.defaults | {}, before, known)
    assert (after["iterations"], after["step"], after["seed"]) == (9, 5.0, 7)
    assert after == shown(known, preset="mine", step=5.0, seed=7)


def test_in_place_of_a_preset_that_is_gone_comes_the_default_one() -> None:
    known = plugin_facts(mine=own(iterations=3))
    before = {**shown(known, preset="mine"), "seed": 7, "output": "new-layer"}
    after = choices.take(deepcopy(FACTS.presets), dict(FACTS.defaults), before, known)
    assert shown(known, **after) == shown(known, preset="classic", seed=7, output="new-layer")
    assert choices.with_known_preset(after, known) == after
