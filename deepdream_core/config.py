"""`config.yaml` → settings: the built-in file, overridden key by key by the user's own file.

The built-in file lies at the top of the project, the user's own in the platform's config folder or at `--config`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from deepdream_core.declaration import kinds_of, validated
from deepdream_core.errors import SettingsError, nearest
from deepdream_core.machine_settings import EngineSettings, FolderSettings, HelperSettings
from deepdream_core.objective_values import placed
from deepdream_core.settings import Config, DreamSettings, Preset, as_it_was, overlaid, without_what

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


def builtin_config_path() -> Path:
    """Return the path of the built-in config.yaml: beside this file when installed, at the project's top in a clone."""
    here = Path(__file__).resolve().parent
    installed = here / "config.yaml"
    return installed if installed.exists() else here.parent / "config.yaml"


def user_config_path() -> Path:
    """Return the path of the user's own config.yaml, which need not exist."""
    import platformdirs

    try:
        return platformdirs.user_config_path("deepdream", appauthor=False) / "config.yaml"
    except RuntimeError:
        raise SettingsError("this user has no home folder", "set HOME to one") from None


def load_config(path: Path | None = None) -> Config:
    """Read the built-in config.yaml, overridden by the file at `path`, or by the user's own file if there is one.

    Raises `SettingsError` with the file, the key's path, the value, what is allowed and the nearest valid key.
    """
    builtin = builtin_config_path()
    tree = _parsed(_read(builtin), builtin)
    config = _config(tree, str(builtin))
    own = path or user_config_path()
    if path is None and not own.exists():
        if own.is_symlink():  # perhaps to an unmounted disk: without its content the result would differ
            raise SettingsError(
                f"{own} is a link to {own.readlink()}, which does not exist", "repair or remove the link"
            )
        return config
    return _over(tree, _read(own), own)


def config_of(text: bytes, own: Path) -> Config:
    """Return the configuration with this text as the user's own file, whose path is `own`; raises as `load_config`."""
    builtin = builtin_config_path()
    return _over(_parsed(_read(builtin), builtin), text, own)


def _over(tree: dict[str, Any], text: bytes, own: Path) -> Config:
    """Return the built-in configuration `tree`, overridden by the text of the user's own file."""
    over = _parsed(text, own)
    if isinstance(dream := over.get("dream"), dict):
        over["dream"] = dream = as_it_was(dream)
    presets = over.get("presets")
    for settings in (dream, *(presets.values() if isinstance(presets, dict) else ())):
        if isinstance(settings, dict) and "guides" in settings:
            settings["guides"] = placed(settings["guides"], own.parent)
    return _config(_overlaid(tree, over), str(own))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}", "give a readable config.yaml with --config") from None


def _parsed(text: bytes, path: Path) -> dict[str, Any]:
    try:
        tree = yaml.load(text, Loader=_UniqueKeyLoader)
    except Exception as error:  # besides YAMLError, its number and date parsers raise nearly anything
        raise SettingsError(f"{path}: not valid YAML: {_yaml_problem(error)}", _FIX) from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise SettingsError(
            f"{path}: holds {type(tree).__name__} {tree!r:.40}",
            f"it must hold sections: {', '.join(Config.model_fields)}",
        )
    return tree


_FIX = "correct that line; text that begins with * ! @ or & needs quotes"


def _yaml_problem(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    text = " ".join(str(problem).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {text}" if mark else text


class _UniqueKeyLoader(yaml.SafeLoader):
    """A loader that refuses duplicate keys, of which YAML silently takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    problem="a key must be a name", problem_mark=key_node.start_mark
                )
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"key {key_node.value!r} is given twice", problem_mark=key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep=deep)


def _overlaid(base: dict[str, Any], over: dict[str, Any], *path: str) -> dict[str, Any]:
    """Return `base` overridden by `over`; sections are merged; layers, lists and what to dream of are replaced whole."""
    settings = path == ("dream",) or (len(path) == 2 and path[0] == "presets")  # a preset may be named like one
    merged = without_what(base, over) if settings else dict(base)
    for key, value in over.items():
        if value is None and isinstance(merged.get(key), dict | list):
            continue  # an empty section changes nothing
        below = merged.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        both = both and not (settings and "object" in kinds_of(DreamSettings, key))
        merged[key] = _overlaid(below, value, *path, str(key)) if both and below is not None else value
    return merged


def _config(tree: dict[str, Any], source: str) -> Config:
    for key in tree:
        if key not in Config.model_fields:
            raise SettingsError(f"{source}: {key}: unknown section", nearest(str(key), Config.model_fields))
    dream = validated(DreamSettings, _section(tree, "dream", source), _under(f"{source}: dream"))
    engine = validated(EngineSettings, _section(tree, "engine", source), _under(f"{source}: engine"))
    helper = validated(HelperSettings, _section(tree, "helper", source), _under(f"{source}: helper"))
    presets: dict[str, Preset] = {}
    for name, given in _section(tree, "presets", source).items():
        where = f"{source}: presets.{name}"
        if not isinstance(given, dict):
            raise SettingsError(f"{where}: {given!r:.60} is not a preset", "give it a description and settings")
        _names_only(given, where)
        about = {key: given.get(key) for key in ("description", "family")}
        settings = as_it_was({key: value for key, value in given.items() if key not in about})
        known = (*about, *DreamSettings.model_fields)
        for key in given:
            if key not in known:
                raise SettingsError(f"{where}.{key}: unknown key", nearest(key, known))
        validated(DreamSettings, overlaid(dream.model_dump(), settings), _under(where))
        presets[str(name)] = validated(Preset, {**about, "settings": settings}, _under(where))
    folders = _folders(tree.get("folders"), presets, f"{source}: folders")
    ignore = _patterns(tree.get("ignore"), f"{source}: ignore")
    return Config(dream=dream, presets=presets, engine=engine, helper=helper, folders=folders, ignore=ignore)


def _patterns(given: object, where: str) -> tuple[str, ...]:
    """Return the patterns of names to ignore, from a list or a single pattern."""
    if given is None:
        return ()
    for place, pattern in enumerate(given if isinstance(given, list) else [given]):
        name = f"{where}[{place}]" if isinstance(given, list) else where
        if not isinstance(pattern, str):  # YAML takes #recycle for a comment and 2024 for a number
            raise SettingsError(f"{name}: {pattern!r:.60} is not a name", 'write each name in quotes, as "#recycle"')
        if not pattern.removeprefix("!") or "/" in pattern:
            raise SettingsError(
                f"{name}: {pattern!r:.80} is not the name of a file or folder",
                'give a name alone, in which * and ? stand for letters, such as "*-small.jpg"',
            )
    return tuple(given) if isinstance(given, list) else (str(given),)


def _folders(given: object, presets: Collection[str], where: str) -> tuple[FolderSettings, ...]:
    """Return the drop folders from a list of paths or of mappings; `presets` are the names of the known presets."""
    if given is None:
        return ()
    if not isinstance(given, list):
        raise SettingsError(
            f"{where}: {given!r:.60} is not a list", "write a line for each folder: - path: ~/DeepDream"
        )
    folders: list[FolderSettings] = []
    seen: dict[Path, int] = {}
    for place, entry in enumerate(given):
        folder = _folder(entry, presets, f"{where}[{place}]")
        path = Path(os.path.expanduser(folder.path))
        if path in seen:
            raise SettingsError(
                f"{where}[{place}].path: {folder.path!r} is the folder of folders[{seen[path]}] too",
                "give each folder once",
            )
        seen[path] = place
        folders.append(folder)
    return tuple(folders)


def _folder(entry: object, presets: Collection[str], where: str) -> FolderSettings:
    if isinstance(entry, str):
        entry = {"path": entry}
    if not isinstance(entry, dict):
        raise SettingsError(
            f"{where}: {entry!r:.60} is not a folder", "give its path, or path: and other keys under it"
        )
    _names_only(entry, where)
    folder = validated(FolderSettings, entry, _under(where))
    if folder.preset is not None and folder.preset not in presets:
        raise SettingsError(f"{where}.preset: unknown preset {folder.preset!r:.80}", nearest(folder.preset, presets))
    return folder


def _under(where: str) -> Callable[[str], str]:
    """Return a function that turns a key into its path below `where`."""
    return lambda key: f"{where}.{key}"


def _section(tree: dict[str, Any], name: str, source: str) -> dict[str, Any]:
    section = tree.get(name)
    if section is None:
        return {}
    if not isinstance(section, dict):
        raise SettingsError(f"{source}: {name}: {section!r:.60} is not a section", "give keys and values under it")
    _names_only(section, f"{source}: {name}")
    return section


def _names_only(section: dict[Any, Any], where: str) -> None:
    for key in section:
        if not isinstance(key, str):
            raise SettingsError(f"{where}.{key}: the key {key!r} is not a name", "put quotes around it, or remove it")
