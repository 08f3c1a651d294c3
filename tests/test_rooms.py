"""The rooms of `deepdream_core`: who may know whom. Arrows run one way, and two rooms live on the standard library."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "deepdream_core"
FOUNDATION = {
    "__init__", "atomic", "config", "declaration", "errors", "layers", "noise", "machine_settings", "objective_values",
    "printable", "setting_values", "settings",
}  # fmt: skip
MAY_KNOW: dict[str, set[str]] = {
    "machine": set(),
    "link": set(),
    "photo": {"foundation"},
    "engine": {"foundation"},
    "work": {"foundation", "engine", "photo", "link"},
    "plugin_facts": {"foundation", "link"},
    "helper": {"foundation", "engine", "photo", "link", "machine", "work", "plugin_facts"},
    "hotfolder": {"foundation", "engine", "photo", "link", "machine", "work"},
    "looks": {"foundation", "photo", "work"},
    "cluster": {"foundation", "engine", "link", "work", "hotfolder"},
    "service": {"foundation", "link", "machine", "hotfolder"},
    "bench": {"foundation", "engine", "photo", "link", "work", "hotfolder", "cluster"},
    "doctor": {"foundation", "engine", "link", "machine", "work", "hotfolder", "service", "plugin_facts", "cluster"},
    "cli": {"foundation", "engine", "photo", "link", "machine", "work", "helper", "hotfolder", "looks", "service",
            "bench", "doctor", "cluster"},
    "__main__": {"cli"},
}  # fmt: skip
"""The rooms from the ground up; each knows those named here and itself."""
ENGINES_OWN = {"engine.progress", "engine.free_memory"}
"""What of the engine may be imported everywhere: no torch in it."""


def module_of(path: Path) -> str:
    """The name of a module below the package: `photo.icc`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def room_of(module: str) -> str:
    top = module.partition(".")[0]
    return "foundation" if top in FOUNDATION else top


def imported(module: str, *, types: bool = True) -> list[str]:
    """All that a module imports, wherever in it: modules of the package by their names below it, others in full.

    Without `types`, what it imports for type checkers alone is left out.
    """
    names = []
    path = MODULES[module]
    tree = ast.parse(path.read_text("utf-8"))
    if not types:
        tree.body = [
            node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
        ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = ["deepdream_core", *module.split(".")][: None if path.name == "__init__.py" else -1]
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            base += node.module.split(".") if node.module else []
            names += [".".join([*base, alias.name]) for alias in node.names]
    found = []
    for name in names:
        own = name.removeprefix("deepdream_core.")
        if own == name and name != "deepdream_core":
            found.append(name)
        else:
            found.append(own if own in MODULES else own.rpartition(".")[0] or "__init__")
    return found


def test_every_module_has_a_room() -> None:
    assert {room_of(module) for module in MODULES} == {"foundation", *MAY_KNOW}
    assert set(MODULES) >= FOUNDATION


@pytest.mark.parametrize("room", ["foundation", *MAY_KNOW])
def test_a_room_knows_those_below_it_alone(room: str) -> None:
    allowed = {room, *MAY_KNOW.get(room, ())}
    strangers = [
        (module, name)
        for module in MODULES
        if room_of(module) == room
        for name in imported(module)
        if name in MODULES and room_of(name) not in allowed
    ]
    assert not strangers


def test_no_arrow_runs_back() -> None:
    order = ["foundation", *MAY_KNOW]
    assert all(order.index(known) < order.index(room) for room, rooms in MAY_KNOW.items() for known in rooms)


@pytest.mark.parametrize("room", ["link", "machine"])
def test_two_rooms_live_on_the_standard_library(room: str) -> None:
    """The plug-in carries a copy of `link`, the installer uses `machine` before any package is there."""
    for module in MODULES:
        if room_of(module) == room:
            tops = {name.partition(".")[0] for name in imported(module) if name not in MODULES}
            assert tops - {"_typeshed"} <= sys.stdlib_module_names, module


def test_the_engine_is_reached_where_it_computes_and_nowhere_else() -> None:
    """The helper's door, the hot folder and the client do without torch."""
    reaching = {
        module
        for module in MODULES
        for name in imported(module)
        if room_of(name) == "engine" != room_of(module) and name not in ENGINES_OWN | {"__init__"}
    }
    assert {module for module in reaching if room_of(module) in ("helper", "hotfolder", "work", "doctor")} <= {
        "helper.worker", "helper.worker_job", "work.replay", "doctor.torch_facts",
    }  # fmt: skip


@pytest.mark.parametrize("room", ["foundation", *MAY_KNOW])
def test_no_modules_import_each_other_in_a_circle(room: str) -> None:
    edges = {
        module: {name for name in imported(module, types=False) if room_of(name) == room} & MODULES.keys() - {module}
        for module in MODULES
        if room_of(module) == room
    }
    while free := {module for module, known in edges.items() if not known & edges.keys()}:
        for module in free:
            del edges[module]
    assert not edges, "these stand in a circle, or above one"
