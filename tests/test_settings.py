"""config.yaml, the declared settings and the command line's flags agree; wrong ones are told with path and remedy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from deepdream_core.cli.main import app
from deepdream_core.config import builtin_config_path, load_config
from deepdream_core.declaration import Group, declared
from deepdream_core.errors import SettingsError
from deepdream_core.layers import LAYERS
from deepdream_core.machine_settings import EngineSettings, FolderSettings, HelperSettings
from deepdream_core.settings import EARLIER, DreamSettings, as_option

PROMISED = {"classic", "made-simple", "subtle", "eyes", "fur", "texture", "swirls", "monster"}


@pytest.fixture(autouse=True)
def _no_own_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_config_yaml_holds_every_default_as_declared() -> None:
    tree = yaml.safe_load(builtin_config_path().read_text(encoding="utf-8"))
    assert tree["dream"] == DreamSettings().model_dump()
    assert tree["engine"] == EngineSettings().model_dump()
    assert tree["helper"] == HelperSettings().model_dump()
    assert tree["folders"] == [FolderSettings(path="~/DeepDream").model_dump()]
    assert load_config().folders == (FolderSettings(path="~/DeepDream"),)


def test_neon_is_classic_as_it_was() -> None:
    from deepdream_core.bench.engine import PLAIN

    assert load_config().dream_settings("neon", {}) == PLAIN


def test_every_key_of_config_yaml_has_a_comment() -> None:
    lines = builtin_config_path().read_text(encoding="utf-8").splitlines()
    for key in [*DreamSettings.model_fields, *EngineSettings.model_fields, *HelperSettings.model_fields]:
        assert any(re.match(rf"  {key}: .*# \w", line) for line in lines), key
    for key in FolderSettings.model_fields:
        assert any(re.match(rf"  (- |  ){key}: .*# \w", line) for line in lines), key


def test_every_setting_has_a_flag_with_its_description() -> None:
    dream: Any = get_command(app)
    options = {option: parameter for parameter in dream.commands["dream"].params for option in parameter.opts}
    for model in (DreamSettings, EngineSettings):
        for key, field in model.model_fields.items():
            if key not in {"memory_mb", "max_megapixels", "devices", "keep_free_mb"}:
                assert options[as_option(key)].help == field.description, key


def test_every_dream_setting_has_a_group_that_help_lists_it_under() -> None:
    dream: Any = get_command(app)
    panels = {parameter.name: parameter.rich_help_panel for parameter in dream.commands["dream"].params}
    groups = {key: declared(DreamSettings, key, Group) for key in DreamSettings.model_fields}
    assert None not in groups.values()
    assert {key: panels[key] for key in groups} == groups


def test_the_promised_presets_exist_and_say_what_you_will_see() -> None:
    config = load_config()
    assert set(config.presets) >= PROMISED
    for name, preset in config.presets.items():
        assert 10 < len(preset.description) < 100, name
        assert config.dream_settings(name, {})
    assert config.dream_settings("classic", {}) == config.dream


def test_a_users_file_overrides_key_by_key(tmp_path: Path) -> None:
    mine = written(
        tmp_path,
        "dream: {step: 3.0, layers: relu3_3}\npresets: {eyes: {iterations: 3}, mine: {description: own thing, seed: 4}}\n",
    )
    config = load_config(mine)
    assert config.dream.step == 3.0
    assert config.dream.layers == {"relu3_3": 1.0}
    assert config.dream.jitter == DreamSettings().jitter
    eyes = config.dream_settings("eyes", {})
    assert (eyes.iterations, eyes.layers, eyes.step) == (3, {"relu4_2": 1.0}, 3.0)
    assert config.dream_settings("mine", {"seed": 9}).seed == 9


def test_an_empty_section_changes_nothing(tmp_path: Path) -> None:
    assert load_config(written(tmp_path, "presets:\ndream:\nengine:\nfolders:\n")) == load_config()


def test_a_users_folders_replace_all_builtin_ones(tmp_path: Path) -> None:
    assert load_config(written(tmp_path, "folders: []")).folders == ()
    config = load_config(
        written(
            tmp_path,
            """
            presets: {mine: {description: own thing, seed: 4}}
            folders:
              - /data/drop
              - path: ~/Pictures/dreams
                preset: mine
                originals: keep
                quiet_hours: 22:00-7:00
                settle_s: 0.5
            """,
        )
    )
    assert config.folders == (
        FolderSettings(path="/data/drop"),
        FolderSettings(
            path="~/Pictures/dreams", preset="mine", originals="keep", quiet_hours="22:00-7:00", settle_s=0.5
        ),
    )


def test_the_same_folder_by_absolute_path_and_from_home(tmp_path: Path) -> None:
    home = tmp_path / "nobody"
    with pytest.raises(SettingsError, match=rf"folders\[1\]\.path: '{home}/a' is the folder of folders\[0\] too"):
        load_config(written(tmp_path, f"folders: [~/a, {home}/a]"))


def test_without_a_home_folder_the_builtin_drop_folder_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert load_config(written(tmp_path, "dream: {seed: 1}")).folders[0].path == "~/DeepDream"


def test_a_config_in_a_folder_of_any_name(tmp_path: Path) -> None:
    (tmp_path / "{0}{}").mkdir()
    with pytest.raises(SettingsError, match=r"\{0\}\{\}/mine\.yaml: dream\.step: 'x' is not allowed"):
        load_config(written(tmp_path / "{0}{}", "dream: {step: x}"))


def test_a_broken_link_does_not_count_as_no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "deepdream").mkdir()
    (tmp_path / "deepdream" / "config.yaml").symlink_to(tmp_path / "away")
    with pytest.raises(SettingsError, match=r"is a link to .*away, which does not exist — repair or remove the link"):
        load_config()


def test_the_users_own_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "deepdream").mkdir()
    (tmp_path / "deepdream" / "config.yaml").write_text("dream: {seed: 77}\n")
    assert load_config().dream.seed == 77


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("pool4", {"pool4": 1.0}),
        (27, {"pool4": 1.0}),
        (["27", "relu3_3"], {"pool4": 1.0, "relu3_3": 1.0}),
        ({26: 2}, {"relu4_4": 2.0}),
    ],
)
def test_layers_by_name_index_or_with_weights(given: Any, expected: dict[str, float]) -> None:
    assert DreamSettings(layers=given).layers == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dreem: {}", r"mine\.yaml: dreem: unknown section — did you mean dream\?"),
        ("dream: {octave_scal: 1.4}", r"mine\.yaml: dream\.octave_scal: unknown key — did you mean octave_scale\?"),
        (
            "dream: {octaves: 99}",
            r"dream\.octaves: 99 is not allowed — allowed: a whole number from 1 up to 40 or auto",
        ),
        (
            "dream: {octaves: many}",
            r"dream\.octaves: 'many' is not allowed — allowed: a whole number from 1 up to 40 or auto",
        ),
        ("dream: {step: fast}", r"dream\.step: 'fast' is not allowed — allowed: a number above 0 up to 10000"),
        ("dream: {step: .nan}", r"dream\.step: nan is not allowed"),
        ("dream: {clamp: 1}", r"dream\.clamp: 1 is not allowed — allowed: true or false"),
        ("dream: {iterations: 2.5}", r"dream\.iterations: 2\.5 is not allowed — allowed: a whole number from 1"),
        ("dream: {normalize: sdt}", r"dream\.normalize: 'sdt' is not allowed — allowed: std, mean_abs, none"),
        ("dream: {layers: pol4}", r"dream\.layers: unknown layer 'pol4' — did you mean pool4\?"),
        (
            "dream: {layers: {pool4: -1001}}",
            r"dream\.layers\.pool4: -1001 is not allowed — allowed: layer names, each with a weight from -1000",
        ),
        ("dream: {layers: [{pool4: 1}]}", r"dream\.layers: \[\{'pool4': 1\}\] is not allowed — write pool4, "),
        ("dream: {layers: {pool4: 1, 27: 2}}", r"dream\.layers: pool4 is given twice"),
        ("dream: {1: 2}", r"mine\.yaml: dream\.1: the key 1 is not a name"),
        ("presets: {new: {on: 2}}", r"presets\.new\.True: the key True is not a name"),
        ("presets: {[a]: 1}", r"not valid YAML: line 1, column \d+: a key must be a name"),
        ("dream: !!timestamp foo", r"not valid YAML"),
        ("[" * 3000, r"not valid YAML"),
        ("dream: {seed: -1}", r"seed: -1 is not allowed — allowed: a whole number from 0 below 9223372036854775808"),
        ("dream: {layers: {}}", r"nothing to dream of: every weight is 0 — give a layer a weight"),
        ("presets: {eyes: {familly: x}}", r"presets\.eyes\.familly: unknown key — did you mean family\?"),
        (
            "presets: {eyes: {family: ''}}",
            r"presets\.eyes\.family: '' is not allowed — allowed: text that is not empty",
        ),
        ("presets: {eyes: {stepp: 1}}", r"presets\.eyes\.stepp: unknown key — did you mean step\?"),
        ("presets: {new: {step: 1.0}}", r"presets\.new\.description: None is not allowed — allowed: text"),
        ("presets: {new: 3}", r"presets\.new: 3 is not a preset"),
        ("presets: [a]", r"presets: \['a'\] is not a section"),
        ("engine: {device: gpu}", r"engine\.device: 'gpu' is not allowed — allowed: auto, cpu, cuda, cuda:N or mps"),
        (
            "engine: {max_megapixels: 0}",
            r"engine\.max_megapixels: 0 is not allowed — allowed: a number above 0 up to 10000",
        ),
        ("engine: {keep_free_mb: -1}", r"engine\.keep_free_mb: -1 is not allowed — allowed: a whole number from 0"),
        ("folders: ~/drop", r"mine\.yaml: folders: '~/drop' is not a list — write a line for each folder: - path: ~/"),
        ("folders: {path: ~/drop}", r"mine\.yaml: folders: \{'path': '~/drop'\} is not a list"),
        ("folders: [~/a, 3]", r"mine\.yaml: folders\[1\]: 3 is not a folder — give its path, or"),
        ("folders: [~/a, ~]", r"folders\[1\]: None is not a folder"),
        ("folders: [{originals: keep}]", r"mine\.yaml: folders\[0\]\.path: is missing — give it: the folder that"),
        ("folders: [{path: ~}]", r"folders\[0\]\.path: None is not allowed — allowed: text"),
        ("folders: ['']", r"folders\[0\]\.path: '' is not allowed — allowed: text"),
        (
            "folders: [drop]",
            r"folders\[0\]\.path: 'drop' is not an absolute path — write it in full, such as ~/DeepDream",
        ),
        (
            "folders: [~nobody-of-that-name/drop]",
            r"folders\[0\]\.path: '~nobody-of-that-name/drop' is not an absolute path",
        ),
        ('folders: ["/a\\0b"]', r"folders\[0\]\.path: '/a\\x00b' is not an absolute path"),
        ("folders: [{path: /a, 1: 2}]", r"mine\.yaml: folders\[0\]\.1: the key 1 is not a name"),
        (
            "folders: [/a, {path: /b, orginals: keep}]",
            r"folders\[1\]\.orginals: unknown key — did you mean originals\?",
        ),
        (
            "folders: [/a, {path: /b, originals: delete}]",
            r"mine\.yaml: folders\[1\]\.originals: 'delete' is not allowed — allowed: move, keep, trash",
        ),
        (
            "folders: [{path: /a, preset: monter}]",
            r"folders\[0\]\.preset: unknown preset 'monter' — did you mean monster\?",
        ),
        ("folders: [{path: /a, preset: 3}]", r"folders\[0\]\.preset: 3 is not allowed — allowed: text or null"),
        ("folders: [/a, ~/b, /a/]", r"folders\[2\]\.path: '/a/' is the folder of folders\[0\] too — give each"),
        ("folders: [~/a, {path: ~/./a}]", r"folders\[1\]\.path: '~/\./a' is the folder of folders\[0\] too"),
        (
            "folders: [{path: /a, settle_s: 0}]",
            r"folders\[0\]\.settle_s: 0 is not allowed — allowed: a number from 0\.1",
        ),
        ("folders: [{path: /a, settle_s: 601}]", r"folders\[0\]\.give_up_s: 600 is less than settle_s, 601 — give it"),
        ("folders: [{path: /a, give_up_s: 1}]", r"folders\[0\]\.give_up_s: 1 is less than settle_s, 2 — give it more"),
        (
            "folders: [{path: /a, give_up_s: 1000001}]",
            r"give_up_s: 1000001 is not allowed — allowed: a number from 0\.1",
        ),
        (
            "folders: [{path: /a, rescan_s: 0.5}]",
            r"rescan_s: 0\.5 is not allowed — allowed: a number from 1 up to 86400",
        ),
        ("folders: [{path: /a, poll_s: 0}]", r"poll_s: 0 is not allowed — allowed: a number from 1 up to 86400"),
        ("folders: [{path: /a, max_file_mb: 0}]", r"max_file_mb: 0 is not allowed — allowed: a number above 0"),
        ("folders: [{path: /a, notify: 1}]", r"notify: 1 is not allowed — allowed: true or false"),
        (
            "folders: [{path: /a, quiet_hours: 22:00}]",
            r'quiet_hours: 1320 is not allowed — allowed: hours in quotes, as "22:00-07:00" or null',
        ),
        (
            "folders: [{path: /a, quiet_hours: 22:00-24:01}]",
            r"quiet_hours: '22:00-24:01' is not allowed — allowed: hours",
        ),
        ('folders: [{path: /a, quiet_hours: "22:00-٠7:00"}]', r"quiet_hours: '22:00-٠7:00' is not allowed"),
        (
            "folders: [{path: /a, quiet_hours: 7:00-07:00}]",
            r"folders\[0\]\.quiet_hours: '7:00-07:00' begins and ends at the same time — give it two different times",
        ),
        ("dream: {step: 1.0, step: 2.0}", r"mine\.yaml: not valid YAML: line 1, column \d+: key 'step' is given twice"),
        ("dream: {step: [", r"mine\.yaml: not valid YAML: line \d+, column \d+"),
        ("- a", r"mine\.yaml: holds list"),
        ("dream: !!python/object/apply:os.system ['true']", r"not valid YAML: .*could not determine a constructor"),
    ],
)
def test_a_wrong_config_is_reported_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        load_config(written(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_an_unreadable_config(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.yaml: No such file or directory — give a readable"):
        load_config(tmp_path / "nowhere.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\x80\x00dream")
    with pytest.raises(SettingsError, match=r"binary\.yaml: not valid YAML"):
        load_config(tmp_path / "binary.yaml")


def test_unknown_presets_and_overrides() -> None:
    config = load_config()
    with pytest.raises(SettingsError, match=r"unknown preset 'monter' — did you mean monster\?"):
        config.dream_settings("monter", {})
    with pytest.raises(
        SettingsError, match=r"--octave-scale: 9\.0 is not allowed — allowed: a number from 1\.05 up to 4"
    ):
        config.dream_settings("classic", {"octave_scale": 9.0})


def test_settings_round_trip_and_never_change() -> None:
    settings = load_config().dream_settings("monster", {})
    assert DreamSettings.model_validate_json(settings.model_dump_json()) == settings
    with pytest.raises(ValueError, match="frozen"):
        settings.step = 3.0  # type: ignore[misc]


def test_every_layer_can_be_asked_for() -> None:
    for layer in LAYERS:
        assert DreamSettings(layers={layer.name: 1.0}).layers == {layer.name: 1.0}


def test_a_preset_or_a_dream_section_of_before_that_names_all_settings_dreams_as_before(tmp_path: Path) -> None:
    before = {key: value for key, value in DreamSettings().model_dump().items() if key not in EARLIER}
    some = {"layers": "pool3", "step": 1.5}
    tree = {"presets": {"whole": {"description": "x", **before}, "some": {"description": "x", **some}}}
    config = load_config(written(tmp_path, yaml.safe_dump(tree)))
    assert config.dream_settings("whole", {}).model_dump() == {**before, **EARLIER}
    assert config.dream_settings("some", {}).natural == config.dream.natural
    assert load_config(written(tmp_path, yaml.safe_dump({"dream": before}))).dream.model_dump() == {**before, **EARLIER}
    assert load_config(written(tmp_path, yaml.safe_dump({"dream": some}))).dream.natural == config.dream.natural


def test_a_preset_may_be_named_like_a_setting(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("presets: {caricature: {iterations: 3}, pebbles: {caricature: {relu4_2: 1.0}}}")
    config = load_config(own)
    built_in = load_config(Path("/dev/null")).presets["caricature"]
    assert config.presets["caricature"].description == built_in.description
    assert config.presets["caricature"].settings == {**built_in.settings, "iterations": 3}
    assert config.dream_settings("pebbles", {}).channels == {}
