"""Recipes: every dream says how it was made, can be asked, and can be repeated."""

from __future__ import annotations

import hashlib
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from conftest import events, picture_file, pixels_of
from PIL import Image, PngImagePlugin

from deepdream_core.config import load_config
from deepdream_core.errors import PictureError, SettingsError
from deepdream_core.photo import FORMATS, read_photo, write_photo
from deepdream_core.settings import EARLIER, DreamSettings
from deepdream_core.work.recipe import Machine, Mask, Recipe, Source, WeightsUsed, make_recipe, parsed, recipe_of
from deepdream_core.work.replay import replay_of

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., subprocess.CompletedProcess[str]]

QUICK = ("--layer", "relu2_2", "--iterations", "2", "--octaves", "1")


def a_recipe(**changes: Any) -> Recipe:
    made: dict[str, Any] = {
        "preset": "fur",
        "settings": DreamSettings(layers={"relu3_3": 0.5, "pool4": 1.0}, seed=7),
        "weights": WeightsUsed(name="oxford", sha256="c" * 64),
        "machine": Machine(device="cuda:0", name="Büro-GPU", precision="bf16", tile_px=512),
        "versions": {"deepdream": "0.1.0", "torch": "2.15.0"},
        "source": Source(file='Süße <Katze> & "Hund".jpg', sha256="a" * 64, format="JPEG", width=40, height=30),
    }
    return Recipe(**{**made, **changes})


def test_a_recipe_comes_back_as_it_was() -> None:
    recipe = a_recipe(mask=Mask(file="sky.png", sha256="b" * 64))
    assert parsed(recipe.text(), "here") == recipe
    assert recipe.text() == a_recipe(mask=Mask(file="sky.png", sha256="b" * 64)).text()


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_format_bears_a_recipe(tmp_path: Path, name: str) -> None:
    photo = read_photo(picture_file(tmp_path / "a.png"), max_megapixels=1)
    path = tmp_path / f"b{FORMATS[name].endings[0]}"
    write_photo(photo, path, recipe=a_recipe().text(), overwrite=False)
    assert recipe_of(path, max_megapixels=1) == a_recipe()


def test_a_png_shows_its_recipe_as_text_too(tmp_path: Path) -> None:
    photo = read_photo(picture_file(tmp_path / "a.jpg"), max_megapixels=1)
    write_photo(photo, tmp_path / "b.png", recipe=a_recipe().text(), overwrite=False)
    with Image.open(tmp_path / "b.png") as image:
        assert isinstance(image, PngImagePlugin.PngImageFile)
        assert image.text["deepdream recipe"] == a_recipe().text()


def test_the_longest_recipe_can_be_read_again(tmp_path: Path) -> None:
    guides = [{"file": f"/{'ä' * 3000}/{number}.png", "sha256": "a" * 64} for number in range(16)]
    channels = {f"relu4_{layer}:{number}": -1 / 3 for layer in (3, 4) for number in range(500)}
    settings = DreamSettings(layers={}, guides=guides, channels=channels)
    photo = read_photo(picture_file(tmp_path / "a.png"), max_megapixels=1)
    engine = SimpleNamespace(
        device="cpu", device_name="x", precision="fp32", threads=1, weights=SimpleNamespace(name="oxford", sha256="c")
    )
    made = make_recipe(
        photo, settings, engine, preset=None, preset_changed=False, mask=None, tile_px=None, private=False
    )  # fmt: skip
    assert parsed(made.text(), "here") == made
    assert made.settings.guides[3]["file"] == "3.png"


def test_a_preset_made_of_a_recipe_can_be_pasted(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(a_recipe().as_preset())
    settings = load_config(tmp_path / "config.yaml").dream_settings("fur-again", {})
    assert settings == a_recipe().settings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "its recipe cannot be used"),
        ("recipe: 2\n", "of a later version"),
        ("recipe: 1\nsettings: {step: -1}\n", "its recipe cannot be used: settings.step"),
        ("[1, 2", "its recipe cannot be used"),
        ("a: !!python/object/apply:os.system [true]", "its recipe cannot be used"),
        ("x" * 2_000_000, "its recipe is too long"),
        ("a: &a {k: 1}\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(9)), "references are not allowed"),
    ],
)
def test_an_invalid_recipe_is_reported(text: str, message: str) -> None:
    with pytest.raises(PictureError, match=rf"here: .*{message}"):
        parsed(text, "here")


def test_keys_of_later_programs_are_passed_over() -> None:
    tree = yaml.safe_load(a_recipe().text())
    tree["mood"] = "blue"
    tree["machine"]["watts"] = 300
    assert parsed(yaml.safe_dump(tree), "here") == a_recipe()


def test_replaying_uses_the_recipes_weights_and_precision_by_default(tmp_path: Path) -> None:
    photo = read_photo(picture_file(tmp_path / "a.png"), max_megapixels=1)
    write_photo(photo, tmp_path / "b.png", recipe=a_recipe().text(), overwrite=False)
    replay = replay_of(tmp_path / "b.png", load_config(), {}, masked=False)
    assert (replay.machine.weights, replay.machine.precision) == ("oxford", "bf16")
    assert replay.settings({"seed": 9}) == a_recipe().settings.model_copy(update={"seed": 9})
    given = replay_of(tmp_path / "b.png", load_config(), {"precision": "fp32"}, masked=False)
    assert given.machine.precision == "fp32"


def replayed(folder: Path, recipe: Recipe, **overrides: Any) -> DreamSettings:
    photo = read_photo(picture_file(folder / "photo.png"), max_megapixels=1)
    write_photo(photo, folder / "dream.png", recipe=recipe.text(), overwrite=True)
    return replay_of(folder / "dream.png", load_config(), {}, masked=False).settings(overrides)


def test_channels_are_picked_again_from_the_layers_that_were_asked_for(tmp_path: Path) -> None:
    settings = DreamSettings(layers={}, channels={"relu3_1:3": 0.5, "relu3_1:9": 0.5})
    recipe = a_recipe(settings=settings, asked={"layers": {"relu3_1": 0.5}, "channels": {"strongest:2": 1.0}})
    again = replayed(tmp_path, recipe, channels=["strongest:2"])
    assert (again.layers, again.channels) == ({"relu3_1": 0.5}, {"strongest:2": 1.0})
    single = replayed(tmp_path, recipe, channels=["pool4:7"])
    assert (single.layers, single.channels) == ({}, {"pool4:7": 1.0})
    assert replayed(tmp_path, recipe, seed=3).channels == settings.channels


def test_a_guide_of_the_recipe_has_the_layers_and_weight_that_are_given(tmp_path: Path) -> None:
    files = [picture_file(tmp_path / f"{name}.png", name) for name in ("chelsea", "rocket")]
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    one, two = (
        {"file": f"old-{number}.png", "weight": 2.0, "layers": {"relu3_1": 1.0}, "sha256": digest}
        for number, digest in enumerate(digests)
    )
    recipe = a_recipe(settings=DreamSettings(layers={}, guides=[one, two]))
    assert replayed(tmp_path, recipe, seed=3).guides == [one, two]
    first = str(files[0])
    cases: tuple[tuple[list[str], list[dict[str, Any]]], ...] = (
        ([first], [{}]),
        ([f"{first}=1"], [{"weight": 1.0, "layers": {}}]),
        ([f"{first}@pool3=-3"], [{"weight": -3.0, "layers": {"pool3": 1.0}}]),
        (
            [f"{first}@pool3", f"{first}@pool4=2"],
            [{"weight": 1.0, "layers": {"pool3": 1.0}}, {"layers": {"pool4": 1.0}}],
        ),
    )
    for words, changes in cases:
        assert replayed(tmp_path, recipe, guides=words).guides == [
            *({**one, "file": first, **it} for it in changes),
            two,
        ]


def test_replaying_asks_for_what_a_recipe_cannot_hold(tmp_path: Path) -> None:
    photo = read_photo(picture_file(tmp_path / "a.png"), max_megapixels=1)
    own = a_recipe(weights=WeightsUsed(name="mine.pth", sha256="d" * 64), mask=Mask(file="sky.png", sha256="b" * 64))
    write_photo(photo, tmp_path / "b.png", recipe=own.text(), overwrite=False)
    with pytest.raises(SettingsError, match=r"the weights file mine\.pth — give that file with --weights"):
        replay_of(tmp_path / "b.png", load_config(), {}, masked=False)
    replay = replay_of(tmp_path / "b.png", load_config(), {"weights": "oxford"}, masked=False)
    assert replay.notes == ("the recipe used a mask, sky.png; give it with --mask to dream only there",)
    assert not replay_of(tmp_path / "b.png", load_config(), {"weights": "oxford"}, masked=True).notes


def test_a_dream_is_repeated_from_its_own_picture(deepdream: Command, tmp_path: Path) -> None:
    source = picture_file(tmp_path / "a.jpg", size=(80, 60))
    assert deepdream("dream", "a.jpg", "--preset", "subtle", "--seed", "5", *QUICK).returncode == 0
    recipe = yaml.safe_load(deepdream("recipe", "a.dream.jpg").stdout)
    assert recipe["preset"] == "subtle"
    assert recipe["settings"]["seed"] == 5
    assert recipe["settings"]["layers"] == {"relu2_2": 1.0}
    assert recipe["weights"]["name"] == "oxford"
    assert recipe["source"] == {
        "file": "a.jpg", "sha256": hashlib.sha256(source.read_bytes()).hexdigest(), "format": "JPEG", "width": 80,
        "height": 60, "frames": 1,
    }  # fmt: skip
    assert recipe == json.loads(deepdream("recipe", "a.dream.jpg", "--json").stdout)
    again = deepdream("dream", "a.jpg", "--like", "a.dream.jpg", "--suffix", "-again", "--json", cold=True)
    assert events(again)[-2]["output"] == "a-again.jpg"
    assert (tmp_path / "a-again.jpg").read_bytes() == (tmp_path / "a.dream.jpg").read_bytes()


def test_private_names_and_places_stay_out_when_stripped(deepdream: Command, tmp_path: Path) -> None:
    picture_file(tmp_path / "Anna at home.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0", comment="Anna")
    assert deepdream("dream", "Anna at home.jpg", "-o", "out.jpg", "--strip", *QUICK).returncode == 0
    assert b"Anna" not in (tmp_path / "out.jpg").read_bytes()
    assert recipe_of(tmp_path / "out.jpg", max_megapixels=1).source.file is None


def test_a_dream_without_a_recipe_has_none(deepdream: Command, tmp_path: Path) -> None:
    picture_file(tmp_path / "a.png")
    assert deepdream("dream", "a.png", "--no-recipe", "--format", "webp", *QUICK).returncode == 0
    answer = deepdream("recipe", "a.dream.webp")
    assert answer.returncode == 3
    assert answer.stderr == "error: a.dream.webp: has no recipe — give a picture dreamed without --no-recipe\n"


def test_dreams_found_in_a_folder_are_passed_over_and_named_ones_dreamed_again(
    deepdream: Command, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    picture_file(tmp_path / "in" / "a.png")
    assert deepdream("dream", "in", "--suffix", "-x", *QUICK).returncode == 0
    second = deepdream("dream", "in", "--suffix", "-y", "--json", *QUICK)
    assert [event["input"] for event in events(second) if event["event"] == "skipped"] == ["in/a-x.png"]
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["a-x.png", "a-y.png", "a.png"]
    named = deepdream("dream", "in/a-x.png", *QUICK)
    assert "note      a-x.png is already a dream and is dreamed again" in named.stderr
    assert named.returncode == 0


def test_contradicting_options_are_reported_before_any_work(deepdream: Command, tmp_path: Path) -> None:
    picture_file(tmp_path / "a.png")
    for options, message in (
        (("--format", "bmpp"), "--format bmpp: unknown format — did you mean bmp?"),
        (("--format", "jpg", "-o", "b.png"), "-o b.png: is not a JPEG — leave out --format, or change the ending"),
        (("--suffix", "a/b"), "--suffix 'a/b': a suffix cannot contain a folder — give the folder with -o"),
        (("--like", "a.png", "--preset", "fur"), "a.png: has no recipe"),
        (("--quality", "0"), "--quality"),
    ):
        answer = deepdream("dream", "a.png", *options)
        assert answer.returncode in (2, 3)
        assert message in answer.stderr
        assert answer.stderr.count("\n") == 1
    same = deepdream("dream", "a.png", "--suffix", "", "--overwrite")
    assert same.returncode == 4
    assert "a.png: is the input itself — give another --suffix, or a folder with -o" in same.stderr


def test_the_receipt_is_printed_and_strict_refuses(deepdream: Command, tmp_path: Path) -> None:
    Image.fromarray(np.full((60, 80, 4), 100, np.uint8)).save(tmp_path / "a.png")
    answer = deepdream("dream", "a.png", "--format", "jpg", *QUICK)
    assert "receipt   alpha dropped: laid over white: JPEG has no transparency" in answer.stderr
    told = events(deepdream("dream", "a.png", "--format", "jpg", "--json", "--overwrite", *QUICK))
    receipt = {entry["part"]: entry for entry in told[-2]["receipt"]}
    assert receipt["alpha"] == {
        "part": "alpha", "state": "dropped", "detail": "laid over white: JPEG has no transparency", "lost": True,
    }  # fmt: skip
    strict = deepdream("dream", "a.png", "--format", "jpg", "--strict", "-o", "strict", *QUICK)
    assert strict.returncode == 4
    assert "would lose something: alpha dropped" in strict.stderr
    assert not list((tmp_path / "strict").glob("*"))


def test_an_animation_is_dreamed_frame_by_frame(deepdream: Command, tmp_path: Path) -> None:
    still = Image.open(picture_file(tmp_path / "still.png", size=(64, 48)))
    frames = [still.copy() for _ in range(3)]
    for number, frame in enumerate(frames):
        frame.putpixel((0, 0), (number, 0, 0))  # encoders join equal frames
    frames[0].save(
        tmp_path / "a.webp", save_all=True, append_images=frames[1:], duration=[50, 60, 70], loop=3, lossless=True
    )
    answer = deepdream("dream", "a.webp", "--json", *QUICK)
    assert [event["number"] for event in events(answer) if event["event"] == "frame"] == [1, 2, 3]
    fractions = [event["fraction"] for event in events(answer) if event["event"] == "progress"]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    with Image.open(tmp_path / "a.dream.webp") as image:
        assert (getattr(image, "n_frames"), image.info["loop"]) == (3, 3)  # noqa: B009
    durations = [frame.duration_ms for frame in read_photo(tmp_path / "a.dream.webp", max_megapixels=1).frames]
    assert durations == [50, 60, 70]
    assert not np.array_equal(pixels_of(tmp_path / "a.dream.webp"), np.array(still))


FIRST = (
    "layers", "octaves", "octave_scale", "finest", "upscale", "iterations", "step", "normalize", "laplacian", "smooth",
    "jitter", "tv", "clamp", "strength", "seed",
)  # fmt: skip
"""The settings of the first recipes."""


def test_settings_missing_in_a_recipe_work_as_when_it_was_made() -> None:
    tree = yaml.safe_load(a_recipe().text())
    tree["settings"] = {key: value for key, value in tree["settings"].items() if key in FIRST}
    settings = parsed(yaml.safe_dump(tree), "old.png").settings
    assert settings.model_dump() == {**tree["settings"], **EARLIER}
    assert EARLIER.items() >= {"pooling": "max", "natural": 0.0, "keep_colours": False, "soft_limit": False}.items()
    assert {*FIRST, *EARLIER} == set(DreamSettings.model_fields), "a new setting needs a value for recipes without it"
