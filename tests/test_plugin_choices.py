"""What the arguments of the GIMP plug-in stand for."""

from __future__ import annotations

import ast
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugin_folder import FACTS, FILES, FOLDER, SOURCE, choices, facts, plugin_errors

from deepdream_core import plugin_facts
from deepdream_core.config import builtin_config_path, load_config
from deepdream_core.layers import LAYERS
from deepdream_core.machine.gimp import COPIES
from deepdream_core.settings import DreamSettings, overlaid

CONFIG = load_config(builtin_config_path())
PRESETS = sorted(CONFIG.presets)


def with_preset(**settings: Any) -> facts.Facts:
    """The facts with one more preset, `mine`, as a user's own config.yaml may have it."""
    mine = {"description": "mine", "settings": {**FACTS.defaults, **settings}}
    return dataclasses.replace(FACTS, presets={**FACTS.presets, "mine": mine})


@st.composite
def arguments(draw: st.DrawFn) -> dict[str, Any]:
    """Any arguments that GIMP can hand over."""
    found: dict[str, Any] = {
        "preset": draw(st.sampled_from(PRESETS)),
        "seed": draw(st.integers(0, choices.SEED_MAX)),
        "output": draw(st.sampled_from(choices.OUTPUTS)),
    }
    for control in FACTS.controls:
        if isinstance(control, facts.Choice):
            found[control.name] = draw(st.sampled_from([choices.AS_PRESET, *control.words]))
        elif isinstance(control, facts.Text):
            found[control.name] = draw(st.sampled_from(["", "none", "conv4_3:17, pool4:201=-0.5", "strongest:8"]))
        elif control.whole:
            found[control.name] = draw(st.integers(int(control.as_preset), int(control.most)))
        else:
            found[control.name] = draw(st.floats(control.as_preset, control.most))
    return found


@pytest.mark.parametrize("preset", PRESETS)
def test_a_script_that_names_only_a_preset_gets_that_preset(preset: str) -> None:
    wanted = CONFIG.dream_settings(preset, {}).model_dump()
    assert choices.settings_of({"preset": preset}, FACTS) == wanted
    assert choices.settings_of(choices.as_preset(FACTS, preset), FACTS) == wanted


def test_without_a_word_it_is_classic() -> None:
    assert FACTS.default_preset == "classic" == choices.as_preset(FACTS)["preset"]
    assert choices.settings_of({}, FACTS) == CONFIG.dream_settings("classic", {}).model_dump()
    presets = {name: about for name, about in FACTS.presets.items() if name != "classic"}
    others = dataclasses.replace(FACTS, presets=presets)
    assert choices.settings_of({}, others) == presets[next(iter(presets))]["settings"]


@dataclasses.dataclass(frozen=True)
class Layer:
    """What the plug-in asks of a layer of GIMP's."""

    name: str

    def get_name(self) -> str:
        return self.name


class File(Layer):
    """And of a file."""

    get_parse_name = Layer.get_name


@given(arguments(), st.data())
def test_whatever_gimp_hands_over_the_helper_takes_it(given_: dict[str, Any], draws: st.DataObject) -> None:
    guided: dict[str, Any] = draws.draw(
        st.sampled_from([{}, {"guide": Layer("cat")}, {"guide-file": File("/dog.png")}])
    )
    settings = choices.settings_of(given_ | (guided if given_["layer"] == choices.AS_PRESET else {}), FACTS)
    assert settings.keys() == DreamSettings.model_fields.keys()
    assert DreamSettings.model_validate(settings).model_dump() == settings
    json.dumps(settings, allow_nan=False)


@given(arguments())
def test_the_dialogs_values_mean_the_same_and_are_within_its_ranges(given_: dict[str, Any]) -> None:
    shown = choices.resolved(given_, FACTS)
    assert choices.settings_of(shown, FACTS) == choices.settings_of(given_, FACTS)
    assert choices.resolved(shown, FACTS) == shown
    for control in FACTS.controls:
        if isinstance(control, facts.Choice):
            as_preset = [choices.AS_PRESET] if control.kind == "list" else []
            assert shown[control.name] in (*control.words, *as_preset)
        elif isinstance(control, facts.Number):
            assert control.as_preset < shown[control.name] <= control.most
            assert isinstance(shown[control.name], int if control.whole else float)
    changed = {name for name in given_ if shown[name] != given_[name]}
    assert changed <= {control.name for control in FACTS.controls}
    assert {name: shown[name] for name in ("preset", "layer", "seed", "output")} == {
        name: given_[name] for name in ("preset", "layer", "seed", "output")
    }


@given(arguments(), arguments())
def test_touched_names_what_differs(one: dict[str, Any], other: dict[str, Any]) -> None:
    names = choices.touched(one, other)
    assert not choices.touched(one, dict(one))
    assert set(names) <= {name for name in other if one[name] != other[name]}
    for name in ("preset", "layer", "finest", "seed"):
        assert (name in names) == (one[name] != other[name])


def test_words_of_the_settings_are_numbers_of_the_arguments() -> None:
    given_ = {"finest": 100_000, "octaves": 0}
    settings = choices.settings_of(given_, with_preset(octaves=3))
    assert (settings["finest"], settings["octaves"]) == ("full", "auto")
    words = with_preset(finest="full", octaves="auto")
    shown = choices.resolved({"preset": "mine"}, words)
    assert (shown["finest"], shown["octaves"]) == (100_000, 0)
    assert choices.settings_of({"preset": "mine", "octaves": 0}, with_preset(octaves=3))["octaves"] == "auto"


def test_given_values_override_the_preset() -> None:
    same = {
        "iterations": 3, "step": 0.25, "jitter": 0, "strength": 0.0, "seed": 7, "natural": 0.0, "pooling": "average",
    }  # fmt: skip
    given_ = {"preset": "fur", "layer": "relu3_1", **same, "keep-colours": "yes"}
    preset = CONFIG.dream_settings("fur", {}).model_dump()
    assert choices.settings_of(given_, FACTS) == {**preset, "layers": {"relu3_1": 1.0}, **same, "keep_colours": True}


def test_a_choice_can_take_back_what_the_preset_says() -> None:
    mine = with_preset(natural=1.0, pooling="average", keep_colours=True)
    shown = choices.resolved({"preset": "mine"}, mine)
    assert [shown[name] for name in ("natural", "pooling", "keep-colours")] == [1.0, "average", "yes"]
    settings = choices.settings_of({"preset": "mine", "natural": 0, "pooling": "max", "keep-colours": "no"}, mine)
    assert [settings[name] for name in ("natural", "pooling", "keep_colours")] == [0, "max", False]


ARGUMENTS = (
    "preset", "layer", "finest", "octaves", "iterations", "step", "smooth", "jitter", "strength", "seed", "output",
    "natural", "pooling", "keep-colours", "guide", "guide-file", "guide-figures", "caricature", "tileable", "guide-match",
    "guide-size", "caricature-power", "channels",
)  # fmt: skip
"""The arguments in their order, which stays: scripts may give them by their places. New ones come last."""
RANGES = {
    "finest": (0, 32, 100_000), "octaves": (-1, 0, 40), "iterations": (0, 1, 1000), "step": (0.0, 0.01, 100.0),
    "smooth": (-1.0, 0.0, 20.0), "jitter": (-1, 0, 512), "strength": (-1.0, 0.0, 1.0),
    "natural": (-1.0, 0.0, 1.0), "guide-figures": (-1.0, 0.0, 1.0),
    "guide-size": (-1, 0, 4096), "caricature-power": (-1.0, 0.0, 2.0),
}  # fmt: skip
"""What means "as the preset says", a slider's lowest, and the most: as they were when scripts were written."""


def test_arguments_keep_their_places_and_ranges() -> None:
    assert tuple(choices.as_preset(FACTS))[: len(ARGUMENTS)] == ARGUMENTS
    numbers = [control for control in FACTS.controls if isinstance(control, facts.Number)]
    found = {number.name: (number.as_preset, number.lowest, number.most) for number in numbers}
    assert {name: found[name] for name in RANGES} == RANGES
    assert {number.name for number in numbers if not number.whole} == {
        "natural", "step", "smooth", "strength", "guide-figures", "caricature-power",
    }  # fmt: skip
    places = [0, 9, 10, 14, 15, *(control.place for control in FACTS.controls)]
    assert sorted(places) == list(range(len(places))), "each has a place of its own"


def test_missing_arguments_follow_the_preset() -> None:
    mine = with_preset(natural=0.5, pooling="average", keep_colours=True)
    kept = {"preset": "mine", "layer": "relu3_1", "finest": 64, "octaves": 2, "iterations": 3, "step": 2.0, "smooth": 1.0,
            "jitter": 4, "strength": 0.5, "seed": 3, "output": "new-layer"}  # fmt: skip
    settings = choices.settings_of(kept, mine)
    assert [settings[name] for name in ("natural", "pooling", "keep_colours")] == [0.5, "average", True]


def test_several_layers_of_a_preset_stay_unless_one_is_chosen() -> None:
    layers = CONFIG.presets["monster"].settings["layers"]
    assert len(layers) == 2
    assert choices.settings_of({"preset": "monster"}, FACTS)["layers"] == layers
    assert choices.settings_of({"preset": "monster", "layer": "preset"}, FACTS)["layers"] == layers
    assert choices.resolved({"preset": "monster"}, FACTS)["layer"] == "preset"


CAT, DOG = Layer("cat"), File("/pictures/dog.png")
WHAT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a guide": ({"guide": CAT}, {"guides": ["cat"]}),
    "a guide's file": ({"guide-file": DOG}, {"guides": ["/pictures/dog.png"]}),
    "two guides": ({"guide": CAT, "guide-file": DOG}, {"guides": ["cat", "/pictures/dog.png"]}),
    "a layer": ({"layer": "relu2_1"}, {"layers": {"relu2_1": 1.0}}),
    "a guide and a layer": ({"guide": CAT, "layer": "relu2_1"}, {"guides": ["cat"], "layers": {"relu2_1": 1.0}}),
    "a caricature": ({"caricature": "relu4_2"}, {"caricature": {"relu4_2": 1.0}}),
    "channels": (
        {"channels": " conv4_3:17, pool4:201 = -0.5"}, {"channels": {"conv4_3:17": 1.0, "pool4:201": -0.5}},
    ),
    "channels picked from the preset's layers": ({"channels": "strongest:8=2"}, {"channels": {"strongest:8": 2.0}}),
    "channels picked from a layer": ({"channels": "pool3:weakest:4"}, {"channels": {"pool3:weakest:4": 1.0}}),
}  # fmt: skip
GUIDED = {"guides": ["own.png"], "layers": {}}


@pytest.mark.parametrize("preset", [{}, GUIDED, {"caricature": {"relu4_2": 1.0}}], ids=["layers", "guide", "both"])
@pytest.mark.parametrize("named", WHAT)
def test_who_names_what_to_dream_of_replaces_all_of_it(named: str, preset: dict[str, Any]) -> None:
    given_, overrides = WHAT[named]
    mine = DreamSettings.model_validate({**FACTS.defaults, **preset}).model_dump()
    wanted = DreamSettings.model_validate(overlaid(mine, overrides)).model_dump()
    assert choices.settings_of({"preset": "mine", **given_}, with_preset(**mine)) == wanted


def test_what_a_preset_dreams_of_can_be_taken_away_while_something_is_left() -> None:
    mine = with_preset(caricature={"relu4_2": 1.0}, channels={"pool4:1": 1.0})
    without = choices.settings_of({"preset": "mine", "caricature": "off", "channels": "none"}, mine)
    assert (without["caricature"], without["channels"], without["layers"]) == ({}, {}, FACTS.defaults["layers"])
    with pytest.raises(plugin_errors.PluginError, match=r"^Nothing is left .*\. Choose .*\.$"):
        choices.settings_of({"preset": "mine", "caricature": "off"}, with_preset(layers={}, caricature={"pool4": 1.0}))


@pytest.mark.parametrize("text", ["pool4:8=much", "pool4:8=nan", "pool4:8=", "pool4:8, pool4:8=2", "pool4:8,,pool4:9"])
def test_channels_that_are_not_names_with_weights_are_reported(text: str) -> None:
    with pytest.raises(plugin_errors.PluginError, match=r"^Channels cannot be .*\. Write names once each") as caught:
        choices.settings_of({"channels": text}, FACTS)
    assert caught.value.code == "channels"


def test_a_preset_s_value_that_no_control_can_show_stays_until_it_is_changed() -> None:
    mine = with_preset(iterations=5000, step=250.0, smooth=30.0, jitter=600)
    shown = choices.resolved({"preset": "mine"}, mine)
    assert [shown[name] for name in ("iterations", "step", "smooth", "jitter")] == [1000, 100.0, 20.0, 512]
    settings = choices.settings_of(shown, mine)
    assert [settings[name] for name in ("iterations", "step", "smooth", "jitter")] == [5000, 250.0, 30.0, 600]
    assert choices.settings_of({**shown, "iterations": 999}, mine)["iterations"] == 999


def test_values_between_the_range_and_what_the_setting_takes_are_brought_into_it() -> None:
    assert choices.settings_of({"finest": 5}, FACTS)["finest"] == 32
    negative = choices.settings_of({"strength": -0.5, "smooth": -0.2, "step": math.nan}, FACTS)
    assert negative == choices.settings_of({}, FACTS)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"preset": "nope"}, "preset"),
        ({"layer": "fc7"}, "layer"),
        ({"output": "file"}, "output"),
        ({"pooling": "median"}, "pooling"),
        ({"keep-colours": "true"}, "keep-colours"),
    ],
)
def test_an_unknown_word_is_reported_with_the_known_ones(wrong: dict[str, Any], code: str) -> None:
    with pytest.raises(plugin_errors.PluginError, match=r"^(There is no|\S+ cannot be) .*\. Choose .*\.$") as caught:
        choices.settings_of(wrong, FACTS)
    assert caught.value.code == code


# Facts


def test_the_facts_are_what_the_program_has() -> None:
    (layers,) = (control for control in FACTS.controls if control.name == "layer")
    assert isinstance(layers, facts.Choice)
    assert (layers.kind, tuple(layers.words)) == ("list", tuple(layer.name for layer in LAYERS))
    assert FACTS.defaults == CONFIG.dream.model_dump()
    (caricature,) = (control for control in FACTS.controls if control.name == "caricature")
    assert isinstance(caricature, facts.Choice)
    assert (caricature.words["off"][0], caricature.words["pool4"][0]) == ({}, {"pool4": 1.0})
    assert {name: about["description"] for name, about in FACTS.presets.items()} == {
        name: preset.description for name, preset in CONFIG.presets.items()
    }
    assert FACTS.endpoint.is_absolute()
    assert FACTS.state.is_absolute()
    assert Path(FACTS.command[0]).is_absolute()
    assert FACTS.ranges.keys() == DreamSettings.model_fields.keys()
    octaves, step = FACTS.ranges["octaves"], FACTS.ranges["step"]
    assert (octaves["minimum"], octaves["maximum"], octaves["words"]) == (1, 40, ["auto"])
    assert (step["above"], step["maximum"]) == (0, 10_000)
    for name, about in FACTS.ranges.items():
        assert about["description"] == DreamSettings.model_fields[name].description


def test_the_users_own_presets_are_included(tmp_path: Path) -> None:
    own = tmp_path / "config.yaml"
    own.write_text("dream: {finest: 1200}\npresets: {mine: {description: long hair, iterations: 20}}\n")
    told = plugin_facts.plugin_facts(load_config(own))
    assert told["presets"]["mine"]["settings"] == {**told["defaults"], "iterations": 20}
    assert told["presets"]["classic"]["settings"]["finest"] == 1200


def test_families_are_together_in_order_and_presets_without_one_come_last(tmp_path: Path) -> None:
    own = tmp_path / "config.yaml"
    own.write_text(
        "presets:\n" + "".join(
            f"  {name}: {{description: x{f', family: {family}' if family else ''}}}\n"
            for name, family in {"a": "one", "b": "", "c": "two", "d": "one"}.items()
        )
    )  # fmt: skip
    told = plugin_facts.plugin_facts(load_config(own))["presets"]
    mine = dataclasses.replace(FACTS, presets={name: told[name] for name in ("a", "b", "c", "d")})
    assert mine.families() == {"one": ["a", "d"], "two": ["c"], "": ["b"]}
    assert list(mine.families()) == ["one", "two", ""]


def test_an_older_deepdream_json_must_be_made_again(tmp_path: Path) -> None:
    told = plugin_facts.plugin_facts(CONFIG)
    del told["controls"]
    (tmp_path / "deepdream.json").write_text(json.dumps(told))
    with pytest.raises(plugin_errors.PluginError, match="Run `python3 install gimp`"):
        facts.load(tmp_path / "deepdream.json")


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{}", b"\xff", b'{"version": "1"}'])
def test_unusable_facts_are_reported(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "deepdream.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(plugin_errors.PluginError, match="Run `python3 install gimp`") as caught:
        facts.load(file)
    assert caught.value.code == "not_installed"


def test_an_error_is_one_or_two_sentences_on_one_line() -> None:
    assert str(plugin_errors.PluginError("it is so", "do\nthis")) == "It is so. Do\\nthis."
    assert str(plugin_errors.PluginError("It is so.", "")) == "It is so."
    assert plugin_errors.PluginError("a", "b", "c").code == "c"


# Dreaming again


@given(arguments())
def test_what_nobody_changes_is_dreamed_again(given_: dict[str, Any]) -> None:
    """The recipe counts, whatever its preset says now."""
    given_ = {**given_, "channels": ""}  # the helper picks others for the words
    settings = {**choices.settings_of(given_, FACTS), "octaves": 3}
    other = dataclasses.replace(FACTS, presets={"classic": FACTS.presets["neon"]})
    shown = choices.resolved({**given_, "preset": "classic"}, other, settings)
    assert choices.redone(settings, shown, shown, other) == settings
    assert choices.redone(settings, given_, given_, other) == settings


def test_what_is_changed_is_laid_over_the_dream() -> None:
    fur = FACTS.presets["fur"]["settings"]
    settings = {**FACTS.defaults, **fur, "channels": {"pool4:8": 1.0}, "step": 9.75, "seed": 4}
    before = {**choices.as_preset(FACTS, "fur"), "channels": "strongest:1", "seed": 4}
    assert choices.redone(settings, before, {**before, "iterations": 3}, FACTS) == {**settings, "iterations": 3}
    assert choices.redone(settings, before, {**before, "seed": 5}, FACTS) == {**settings, "seed": 5}
    layer = choices.redone(settings, before, {**before, "layer": "relu2_1", "channels": ""}, FACTS)
    assert (layer["layers"], layer["channels"], layer["step"]) == ({"relu2_1": 1.0}, {}, 9.75)
    preset = choices.redone(settings, before, {**choices.as_preset(FACTS, "eyes"), "seed": 4}, FACTS)
    assert preset == choices.settings_of({"preset": "eyes", "seed": 4}, FACTS)


def test_a_guide_that_is_dreamed_toward_again_may_look_different() -> None:
    guide = {"file": "cat", "weight": 1.0, "layers": {}, "sha256": "0" * 64}
    settings = {**FACTS.defaults, "layers": {}, "guides": [guide]}
    before = choices.as_preset(FACTS)
    assert choices.redone(settings, before, before, FACTS)["guides"] == [{**guide, "sha256": None}]


UNSET: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a guide": ({"guide": CAT}, {"guide": None}),
    "a guide that is gone": ({}, {"guide": None}),
    "a guide's file": ({"guide-file": DOG}, {"guide-file": None}),
    "channels": ({"channels": "pool4:8"}, {"channels": " "}),
    "a layer": ({"layer": "relu2_1"}, {"layer": "preset"}),
    "a caricature": ({"caricature": "relu4_2"}, {"caricature": "preset"}),
}


@pytest.mark.parametrize("preset", [{"layers": {"pool3": 1.0}}, GUIDED], ids=["layers", "guide"])
@pytest.mark.parametrize("named", UNSET)
def test_what_is_taken_away_again_gives_way_to_what_the_preset_dreams_of(named: str, preset: dict[str, Any]) -> None:
    given_, unset = UNSET[named]
    facts_ = with_preset(**DreamSettings.model_validate({**FACTS.defaults, **preset}).model_dump())
    before = {**choices.as_preset(facts_, "mine"), **given_}
    settings = {**choices.settings_of({**before, "guide": CAT} if not given_ else before, facts_), "step": 9.75}
    if not given_:
        del before["guide"]
    wanted = {**choices.settings_of({"preset": "mine"}, facts_), "step": 9.75}
    assert choices.redone(settings, before, {**before, **unset}, facts_) == wanted


def test_one_of_two_guides_can_be_taken_away() -> None:
    before = {**choices.as_preset(FACTS, "fur"), "guide": CAT, "guide-file": DOG}
    found = choices.redone(choices.settings_of(before, FACTS), before, {**before, "guide": None}, FACTS)
    assert [guide["file"] for guide in found["guides"]] == ["/pictures/dog.png"]


def test_a_guide_of_a_preset_that_was_removed_gives_way_to_the_default_one() -> None:
    before = {**choices.as_preset(FACTS, "gone"), "guide": CAT}
    settings = choices.settings_of({**before, "preset": "fur"}, FACTS)
    found = choices.redone(settings, before, {**before, "guide": None}, FACTS)
    assert (found["layers"], found["guides"]) == (FACTS.presets["classic"]["settings"]["layers"], [])
    assert found["step"] == settings["step"]


# The folder


@pytest.mark.parametrize("module", sorted(SOURCE.glob("*.py")), ids=lambda path: path.name)
def test_python_3_9_can_read_it(module: Path) -> None:
    ast.parse(module.read_text(encoding="utf-8"), feature_version=(3, 9))


def test_the_installed_folder_has_everything_and_nothing_else() -> None:
    here = {path.name for path in FOLDER.iterdir()} - {"__pycache__", "help", "icon.svg", "locale", *COPIES}
    assert here == {path.name for path in SOURCE.glob("*.py")} | {"deepdream.json"}
    assert all((FOLDER / name).read_bytes() == content for name, content in FILES.items())
