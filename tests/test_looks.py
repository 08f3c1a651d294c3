"""Sheets to choose looks from: which looks, the page that remembers them, the sheet, and the command as a real process."""

from __future__ import annotations

import errno
import io
import os
import re
import shlex
import signal
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from conftest import events, picture_file
from in_process import Engine
from PIL import Image, ImageCms, ImageFont

from deepdream_core.atomic import write_whole
from deepdream_core.config import builtin_config_path, load_config
from deepdream_core.errors import NumericError, OutputError, PictureError, SettingsError
from deepdream_core.layers import LAYERS
from deepdream_core.looks import page, run, sheet
from deepdream_core.looks.board import Board, Tile
from deepdream_core.looks.choice import Choice, Look, Section, of_channels, of_layers, of_presets
from deepdream_core.looks.command import command
from deepdream_core.looks.report import Quiet
from deepdream_core.looks.small import small
from deepdream_core.looks.vary import of_variations
from deepdream_core.photo import read_photo
from deepdream_core.settings import DreamSettings, Preset

if TYPE_CHECKING:
    from collections.abc import Callable

    from helper_process import Helper

    from deepdream_core.errors import DeepDreamError
    from deepdream_core.settings import Config

    Command = Callable[..., subprocess.CompletedProcess[str]]

TINY = {"layers": "relu2_2", "octaves": 1, "iterations": 1}
OWN = {"description": "tiny", **TINY, "seed": 1000}
HOSTILE = """<script>alert(1)</script>"&'--><img src=http:x.png>"""


@pytest.fixture
def config() -> Config:
    return load_config(builtin_config_path())


def own_config(path: Path, **more: Any) -> Path:
    """A configuration in which every preset is done in an instant, each with a seed of its own."""
    names = yaml.safe_load(builtin_config_path().read_text())["presets"]
    presets = {name: {**TINY, "seed": seed, "upscale": False} for seed, name in enumerate(names)}
    path.write_text(yaml.safe_dump({"presets": {**presets, "tiny": OWN, **more}}))
    return path


def board(folder: Path, choice: Choice, done: int, name: str = "a.png") -> Board:
    """A photograph of which the first looks are done."""
    photo = read_photo(picture_file(folder / "a.png"), max_megapixels=1)
    tile = small(photo, 48)
    tiles = {number: Tile(f"key-{number}", tile.jpeg(1 - tile.frame.floats())) for number in range(done)}
    commands = tuple(command(Path(name), look.options) for look in choice.looks)
    return Board(name, photo.sha256, tile.jpeg(), tile.frame.size, photo.size, choice, commands, tiles)


def working(*names: str, about: str = "what one sees") -> Choice:
    looks = tuple(Look(name, about, DreamSettings(), ("--preset", name)) for name in names)
    return Choice(".looks", "presets", (Section("family", looks),))


# Which looks


def test_presets_come_by_family_in_the_order_of_config_and_those_without_come_last(config: Config) -> None:
    def preset(family: str | None) -> Preset:
        return Preset(description="one", family=family, settings={})

    presets = {"a": preset(None), "b": preset("fur"), "c": preset("eyes"), "d": preset("fur")}
    choice = of_presets(config.model_copy(update={"presets": presets}))
    assert [(one.title, [look.name for look in one.looks]) for one in choice.sections] == [
        ("fur", ["b", "d"]), ("eyes", ["c"]), ("other", ["a"]),
    ]  # fmt: skip
    assert choice.looks[0].options == ("--preset", "b")
    assert not choice.headed, "small families flow together"
    assert sorted(look.name for look in of_presets(config).looks) == sorted(config.presets)


def test_every_layer_is_there_by_block_in_the_settings_of_a_preset(config: Config) -> None:
    choice = of_layers(config, "subtle")
    assert [look.name for look in choice.looks] == [layer.name for layer in LAYERS]
    assert [len(section.looks) for section in choice.sections] == [5, 5, 9, 9, 9]
    assert choice.looks[0].options == ("--preset", "subtle", "--layer", "conv1_1")
    assert of_layers(config, None).looks[0].options == ("--layer", "conv1_1")
    expected = config.dream_settings("subtle", {"layers": {"pool5": 1.0}})
    assert choice.looks[-1].settings == expected


def test_channels_of_a_layer_are_dreamed_one_by_one(config: Config) -> None:
    choice = of_channels(config, "subtle", "27", "0-2, 7,1,5-5")
    assert choice.suffix == ".looks-channels-pool4-subtle"
    assert [look.name for look in choice.looks] == ["0", "1", "2", "7", "5"]
    assert choice.looks[3].options == ("--preset", "subtle", "--channel", "pool4:7")
    assert choice.looks[3].settings == config.dream_settings("subtle", {"channels": {"pool4:7": 1.0}})
    assert choice.looks[3].settings.layers == {}


@pytest.mark.parametrize(
    ("layer", "channels", "says"),
    [
        ("pool4", "500-512", "--channels: pool4 has no channel 512 — it has 512, from 0 to 511"),
        ("relu3_3", "256", "--channels: relu3_3 has no channel 256 — it has 256, from 0 to 255"),
        ("pol4", "1", "unknown layer 'pol4' — did you mean pool4?"),
        ("pool4", "0-400", "--channels: 401 looks, and 400 are the most — give fewer channels"),
        ("pool4", "9-1", "--channels '9-1' is not allowed — write numbers and ranges, such as 0-63,100,200-210"),
        ("pool4", "", "--channels '' is not allowed"),
        ("pool4", "1,,2", "--channels '1,,2' is not allowed"),
        ("pool4", "-1", "--channels '-1' is not allowed"),
        ("pool4", "a-b", "--channels 'a-b' is not allowed"),
    ],
)
def test_channels_that_cannot_be_shown_are_refused_in_one_line(
    config: Config, layer: str, channels: str, says: str
) -> None:
    with pytest.raises(SettingsError) as error:
        of_channels(config, None, layer, channels)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ("step=1..4", [1, 2, 3, 4]),
        ("step=1..2", [1, 1.333, 1.667, 2]),
        ("octave-scale=1.2..1.5/2", [1.2, 1.5]),
        ("iterations=3..5", [3, 4, 5]),
        ("iterations=1..100/3", [1, 50, 100]),
        ("octaves=auto,3", ["auto", 3]),
        ("pooling=max,average", ["max", "average"]),
        ("normalize=none,std", ["none", "std"]),
        ("clamp=yes,false", [True, False]),
        ("layer=relu3_3,pool4", [{"relu3_3": 1.0}, {"pool4": 1.0}]),
        ("strength=0.5,0.5", [0.5]),
    ],
)
def test_values_are_spread_evenly_or_taken_as_given(config: Config, given: str, values: list[object]) -> None:
    choice = of_variations(config, None, [given], 300)
    key = choice.suffix.removeprefix(".looks-")
    assert [getattr(look.settings, key) for look in choice.looks] == values


def test_two_settings_are_rows_and_columns_and_a_third_makes_sections(config: Config) -> None:
    choice = of_variations(config, "subtle", ["clamp=on,off", "step=1,2", "octave_scale=1.2..1.4/3"], 300)
    assert choice.suffix == ".looks-clamp-step-octave_scale-subtle"
    assert [(one.title, len(one.looks), one.columns) for one in choice.sections] == [
        ("clamp on", 6, 3),
        ("clamp off", 6, 3),
    ]
    last = choice.looks[-1]
    assert last.name == "clamp off · step 2 · octave scale 1.4"
    assert last.options == ("--preset", "subtle", "--no-clamp", "--step", "2", "--octave-scale", "1.4")
    assert last.settings == config.dream_settings("subtle", {"clamp": False, "step": 2.0, "octave_scale": 1.4})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["stepp=1..2"], "--vary stepp: unknown key — did you mean step?"),
        (["zz=1"], "--vary zz: unknown key — known: layers, guides"),
        (["step=0..4"], "--vary step: 0 is not allowed — allowed: a number above 0 up to 10000"),
        (["natural=0.5,2"], "--vary natural: 2 is not allowed — allowed: a number from 0 up to 1"),
        (["pooling=mean"], "--vary pooling: 'mean' is not allowed — allowed: max, average"),
        (["pooling=1..4"], "--vary pooling: '1..4' is not allowed — allowed: max, average"),
        (["layers=relu3_9"], "--vary layers: unknown layer 'relu3_9' — did you mean relu3_"),
        (["step=a..b"], "--vary step=a..b: not two numbers — write step=LOW..HIGH"),
        (["step=1..inf"], "--vary step=1..inf: not two numbers"),
        (["step"], "--vary step: no values — write step=LOW..HIGH"),
        (["step=1..2/1"], "--vary step: 1 values are not allowed — allowed: from 2 to 400"),
        (["step=1..2/999999"], "--vary step: 999999 values are not allowed"),
        (["step=1,2", "step=3"], "--vary step: is given twice"),
        (["=1"], "--vary =1: no setting is named — write KEY=VALUES, as step=1..4"),
        (["upscale=on,off"], "--vary upscale: cannot be seen in small pictures"),
        (
            ["finest=100,300,full"],
            "--vary finest: 300 and full are the same in a picture of 300 px — give smaller values",
        ),
        (["step=1..9/30", "tv=0..1/30"], "--vary: 900 looks, and 400 are the most — give fewer values"),
    ],
)
def test_a_setting_that_cannot_be_varied_is_refused_in_one_line(config: Config, given: list[str], says: str) -> None:
    with pytest.raises(SettingsError) as error:
        of_variations(config, None, given, 300)
    assert says in str(error.value)


@pytest.mark.skipif(os.name != "posix", reason="POSIX shells")
@pytest.mark.parametrize(
    "name", ["a.jpg", "a b.jpg", "it's.jpg", "$(x)`y`\\.jpg", "-v.jpg", "a\nb.jpg", "\udcff\x07é.jpg"]
)
def test_a_shell_reads_the_command_as_it_is_meant(name: str) -> None:
    line = command(Path(name), ["--preset", "my own"])
    assert line.isprintable()
    printed = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True).stdout
    *words, _ = map(os.fsdecode, printed.split(b"\0"))
    assert words == ["deepdream", "dream", f"./{name}" if name[0] == "-" else name, "--preset", "my own"]


# The photograph at a tile's size


def test_a_tile_has_the_photo_s_proportions_and_is_never_enlarged(tmp_path: Path) -> None:
    for size, expected in (((90, 60), (60, 40)), ((60, 90), (40, 60)), ((800, 50), (640, 40)), ((30, 20), (30, 20))):
        photo = read_photo(picture_file(tmp_path / "a.png", size=size), max_megapixels=1)
        assert small(photo, 40).frame.size == expected


def test_tiles_look_as_the_photo_does(tmp_path: Path) -> None:
    """Transparent on white, turned upright, through its profile, gray as gray."""
    rgba = np.zeros((60, 80, 4), np.uint8)
    rgba[:, 40:] = 200, 0, 0, 255
    Image.fromarray(rgba).save(tmp_path / "a.png")
    seen = tile_of(tmp_path / "a.png")
    assert (seen[20, 5] > 250).all()
    assert np.abs(seen[20, -5].astype(int) - (200, 0, 0)).max() < 4
    exif = Image.Exif()
    exif[0x0112] = 6
    picture_file(tmp_path / "b.jpg", size=(80, 60), exif=exif)
    assert tile_of(tmp_path / "b.jpg").shape == (53, 40, 3)
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture_file(tmp_path / "c.png", icc_profile=lab)
    assert np.abs(tile_of(tmp_path / "c.png").astype(int) - tile_of(picture_file(tmp_path / "d.png"))).max() <= 3
    Image.new("I;16", (80, 60), 30_000).save(tmp_path / "e.png")
    assert np.abs(tile_of(tmp_path / "e.png").astype(int) - 117).max() <= 1
    Image.fromarray(rgba[:, :40]).save(tmp_path / "f.png")
    with pytest.raises(PictureError, match="is transparent everywhere"):
        tile_of(tmp_path / "f.png")


def tile_of(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    with Image.open(io.BytesIO(small(read_photo(path, max_megapixels=1), 40).jpeg())) as image:
        return np.array(image.convert("RGB"))


# Page and sheet


class Seen(HTMLParser):
    """What a browser finds in a page."""

    def __init__(self, path: Path | bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed((path if isinstance(path, bytes) else path.read_bytes()).decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def tiles(self) -> list[str | None]:
        return [image["src"] for image in self.all("img") if "data-key" in image]


def test_the_page_needs_no_other_file_and_works_with_any_name(tmp_path: Path) -> None:
    choice = working(HOSTILE, "b", about=HOSTILE)
    seen = Seen(page.html(board(tmp_path, choice, 2, name=f"{HOSTILE}.jpg")))
    plain = Seen(page.html(board(tmp_path, working("a", "b"), 2)))
    assert [tag for tag, _ in seen.elements] == [tag for tag, _ in plain.elements], "no name became an element"
    assert len(seen.all("script")) == 1
    addresses = [
        value for _, found in seen.elements for key, value in found.items() if key in ("src", "href", "srcset")
    ]
    assert [address for address in addresses if not (address or "").startswith("data:image/")] == []
    assert "http-equiv" in str(seen.all("meta"))
    assert "default-src 'none'" in str(seen.all("meta"))
    assert f"{HOSTILE}.jpg" in seen.text
    assert shlex.join(["deepdream", "dream", f"{HOSTILE}.jpg", "--preset", HOSTILE]) in seen.text
    assert all("alt" in image for image in seen.all("img"))
    assert all(button.get("type") == "button" for button in seen.all("button"))


def test_only_an_unfinished_page_reloads_itself_and_says_how_much_is_done(tmp_path: Path) -> None:
    there = board(tmp_path, working("a", "b", "c"), 1)
    there.failed[2] = "the network returned NaN"
    seen = Seen(page.html(there))
    assert "1 of 3 looks are done" in seen.text
    assert "the network returned NaN" in seen.text
    assert {"http-equiv": "refresh", "content": "5"} in seen.all("meta")
    assert "data-filled-at" in seen.all("body")[0]
    there.state = "stopped"
    seen = Seen(page.html(there))
    assert "1 of 3 looks; the same command dreams the rest" in seen.text
    assert {"http-equiv": "refresh", "content": "5"} not in seen.all("meta")
    assert "data-filled-at" not in seen.all("body")[0]


def test_a_thumbnail_stands_in_for_a_look_to_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "_THUMBNAILS", tmp_path)
    picture_file(tmp_path / "with.png")
    looks = tuple(Look(name, "", DreamSettings(), (), thumbnail=name) for name in ("with", "without", "../with"))
    seen = Seen(page.html(board(tmp_path, Choice(".looks", "presets", (Section("", looks),)), 0)))
    kinds = [(image["src"] or "")[:14] for image in seen.all("img") if image.get("alt") == "" and "src" in image]
    assert kinds == ["data:image/png", "data:image/gif", "data:image/gif"]


def test_the_page_is_the_memory_and_nothing_else_is_taken_for_one(tmp_path: Path) -> None:
    there = board(tmp_path, working("a", "b"), 2)
    path = tmp_path / "a.looks.html"
    path.write_bytes(page.html(there))
    found = page.remembered(path)
    assert found is not None
    assert found.sha256 == there.sha256
    assert found.jpegs == {tile.key: tile.jpeg for tile in there.tiles.values()}
    whole = path.read_bytes()
    for other in (b"", b"<html>mine</html>", whole.replace(b";base64,/9j/", b";base64,/9k/"), b"\xff" + whole):
        path.write_bytes(other)
        assert page.remembered(path) is None
    assert page.remembered(tmp_path) is None


@pytest.mark.parametrize("size", [(90, 60), (60, 90), (600, 30), (30, 600)])
def test_the_sheet_holds_every_look_and_names_its_photograph(tmp_path: Path, size: tuple[int, int]) -> None:
    there = board(tmp_path, working(*"abcdefg", about="a rather long description of what a person will see " * 5), 3)
    photo = read_photo(picture_file(tmp_path / "b.png", size=size), max_megapixels=1)
    tile = small(photo, 48)
    there.size, there.original = tile.frame.size, tile.jpeg()
    there.tiles = {0: Tile("key", tile.jpeg())}
    path = tmp_path / "b.looks.jpg"
    path.write_bytes(sheet.jpeg(there))
    assert sheet.photograph_of(path) == there.sha256
    with Image.open(path) as image:
        assert image.width >= tile.frame.size[0]
        assert image.height >= tile.frame.size[1] * 2
    assert sheet.photograph_of(picture_file(tmp_path / "c.jpg")) is None
    assert sheet.photograph_of(tmp_path / "d.jpg") is None


def test_the_sheet_shows_names_in_other_letters_where_the_system_has_a_font(tmp_path: Path) -> None:
    def title(name: str) -> Any:
        with Image.open(io.BytesIO(sheet.jpeg(board(tmp_path, working("a"), 1, name=name)))) as image:
            return np.array(image.convert("L"))[:60]

    try:
        ImageFont.truetype("DejaVuSans.ttf")
    except OSError:
        pytest.skip("no DejaVu Sans here")
    assert not np.array_equal(title("фото"), title("тофф")), "no boxes in place of letters"


def test_a_sheet_that_would_be_too_large_has_smaller_tiles(tmp_path: Path) -> None:
    there = board(tmp_path, working(*map(str, range(400))), 0)
    there.size = (6000, 4000)
    with Image.open(io.BytesIO(sheet.jpeg(there))) as image:
        assert image.width * image.height < 90e6


# The command


@pytest.mark.slow("contact sheets")
def test_every_preset_on_a_photo_and_a_second_run_dreams_only_what_is_missing(
    deepdream: Command, tmp_path: Path
) -> None:
    picture_file(tmp_path / "a.png")
    own_config(tmp_path / "own.yaml")
    arguments = ("looks", "a.png", "--side", "32", "--config", "own.yaml", "--json")
    first = deepdream(*arguments)
    assert first.returncode == 0, first.stderr
    presets = len(load_config(tmp_path / "own.yaml").presets)
    done = events(first)[-2]
    assert (done["event"], done["looks"], done["dreamed"]) == ("done", presets, presets)
    assert done["outputs"] == ["a.looks-32px.html", "a.looks-32px.jpg"]
    names = [event["name"] for event in events(first) if event["event"] == "look"]
    assert sorted(names) == sorted(load_config(tmp_path / "own.yaml").presets)
    fractions = [event["fraction"] for event in events(first) if event["event"] == "progress"]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    seen = Seen(tmp_path / "a.looks-32px.html")
    assert len(seen.tiles) == presets
    assert len(set(seen.tiles)) == presets, "each look is its own"
    assert "deepdream dream a.png --preset classic --config own.yaml" in seen.text

    page_before, sheet_before = (
        (tmp_path / "a.looks-32px.html").read_bytes(),
        (tmp_path / "a.looks-32px.jpg").read_bytes(),
    )
    again = events(deepdream(*arguments))
    assert again[-2]["dreamed"] == 0
    assert (tmp_path / "a.looks-32px.html").read_bytes() == page_before
    assert (tmp_path / "a.looks-32px.jpg").read_bytes() == sheet_before

    own_config(tmp_path / "own.yaml", tiny={**OWN, "seed": 1001}, more=OWN)
    changed = [event["name"] for event in events(deepdream(*arguments)) if event["event"] == "look"]
    assert changed == ["tiny"], "`more` is what `tiny` was, and that is remembered"
    own_config(tmp_path / "own.yaml")
    gone = events(deepdream(*arguments))
    assert (gone[-2]["looks"], gone[-2]["dreamed"]) == (presets, 0)
    assert len(Seen(tmp_path / "a.looks-32px.html").tiles) == presets
    assert events(deepdream(*arguments, "--side", "40"))[-2]["outputs"] == ["a.looks-40px.html", "a.looks-40px.jpg"]
    assert events(deepdream(*arguments))[-2]["dreamed"] == 0, "another size is another page"


@pytest.mark.slow("contact sheets")
def test_layers_and_variations_have_files_of_their_own(deepdream: Command, tmp_path: Path) -> None:
    picture_file(tmp_path / "a.jpg")
    own_config(tmp_path / "own.yaml")
    common = ("--config", "own.yaml", "--preset", "tiny", "--side", "32")
    answer = deepdream("looks", "a.jpg", "-o", "out", "--vary", "step=1..2/2", "--vary", "pooling=max,average", *common)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == "out/a.looks-step-pooling-tiny-32px.html\nout/a.looks-step-pooling-tiny-32px.jpg\n"
    assert "dreaming  step 1 · pooling max (1/4)" in answer.stderr
    seen = Seen(tmp_path / "out" / "a.looks-step-pooling-tiny-32px.html")
    assert "deepdream dream a.jpg --preset tiny --step 2 --pooling average --config own.yaml" in seen.text
    layers = deepdream("looks", "a.jpg", "-o", "out", "--layers", *common, "-q")
    assert (layers.returncode, layers.stdout, layers.stderr) == (0, "", "")
    seen = Seen(tmp_path / "out" / "a.looks-layers-tiny-32px.html")
    assert len(seen.tiles) == len(LAYERS)
    assert "deepdream dream a.jpg --preset tiny --layer relu3_3 --config own.yaml" in seen.text


TWO = ("--vary", "seed=1,2", "--side", "32", "--config", "own.yaml", "--preset", "tiny")


@pytest.mark.slow("contact sheets")
@pytest.mark.parametrize("name", ["a.looks-seed-tiny-32px.html", "a.looks-seed-tiny-32px.jpg"])
def test_what_is_not_ours_is_left_alone_until_it_is_to_be_overwritten(
    deepdream: Command, tmp_path: Path, name: str
) -> None:
    picture_file(tmp_path / "a.png")
    own_config(tmp_path / "own.yaml")
    (tmp_path / name).write_text("my own")
    refused = deepdream("looks", "a.png", *TWO)
    assert refused.returncode == 4
    assert f"{name}: exists already — give --overwrite" in refused.stderr
    assert (tmp_path / name).read_text() == "my own"
    assert deepdream("looks", "a.png", *TWO, "--overwrite", cold=True).returncode == 0
    picture_file(tmp_path / "a.png", "coffee")
    assert deepdream("looks", "a.png", *TWO).returncode == 4, "it shows another photo"
    assert deepdream("looks", "a.png", *TWO, "--overwrite").returncode == 0
    assert deepdream("looks", "a.png", *TWO).returncode == 0


def test_a_bad_picture_does_not_stop_the_others_and_sheets_are_not_dreamed(deepdream: Command, tmp_path: Path) -> None:
    (tmp_path / "trip").mkdir()
    picture_file(tmp_path / "trip" / "a.jpg")
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "trip" / "b.gif", save_all=True, append_images=frames[1:])
    (tmp_path / "trip" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    own_config(tmp_path / "own.yaml")
    answer = deepdream("looks", "trip", "missing.jpg", *TWO)
    assert answer.returncode == 3
    assert answer.stdout.split() == [
        f"trip/{name}.looks-seed-tiny-32px.{end}" for name in "ab" for end in ("html", "jpg")
    ]
    assert "missing.jpg: no such file" in answer.stderr
    assert "trip/bad.png: truncated or damaged" in answer.stderr
    assert "b.gif has 2 pictures; the first is shown" in answer.stderr
    assert "2 dreamed, 2 failed" in answer.stderr
    assert deepdream("looks", "trip", *TWO).stdout == answer.stdout, "sheets are not taken for photographs"


def test_channels_of_a_layer_on_a_photo(deepdream: Command, tmp_path: Path) -> None:
    picture_file(tmp_path / "a.png")
    arguments = ("looks", "a.png", "--side", "32", "--json", "--layer", "relu1_2", "--channels")
    first = deepdream(*arguments, "0-1,7")
    assert first.returncode == 0, first.stderr
    done = events(first)[-2]
    assert (done["event"], done["looks"], done["dreamed"]) == ("done", 3, 3)
    assert done["outputs"][0] == "a.looks-channels-relu1_2-32px.html"
    assert [event["name"] for event in events(first) if event["event"] == "look"] == ["0", "1", "7"]
    seen = Seen(tmp_path / done["outputs"][0])
    assert len(set(seen.tiles)) == 3, "each channel makes another picture"
    assert "deepdream dream a.png --channel relu1_2:7" in seen.text
    again = events(deepdream(*arguments, "7-8"))[-2]
    assert (again["looks"], again["dreamed"]) == (2, 1), "a channel is not dreamed twice"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["empty"], 3, "empty: no pictures in this folder — known endings:"),
        (["text.png"], 3, "text.png: not a JPEG, PNG"),
        (["a.png", "-o", "b.jpg"], 2, "-o b.jpg: is not a folder — give a folder"),
        (["a.png", "-o", "b.html"], 2, "-o b.html: is not a folder — give a folder"),
        (["a.png", "-o", "text.png/x"], 4, "cannot be written: Not a directory — choose another place with -o"),
        (["a.png", "--layers", "--vary", "step=1,2"], 2, "--layers and --vary: each makes its own sheet"),
        (["a.png", "--channels", "1", "--vary", "step=1,2"], 2, "--channels and --vary: each makes its own sheet"),
        (["a.png", "--channels", "0-63"], 2, "--channels 0-63: of which layer? — add it, such as --layer pool4"),
        (["a.png", "--layer", "pool4"], 2, "--layer pool4: which channels of it? — add them, such as --channels 0-63"),
        (["a.png", "--layer", "relu3_3", "--channels", "256"], 2, "relu3_3 has no channel 256 — it has 256"),
        (["a.png", "--preset", "eyes"], 2, "--preset eyes: the sheet shows every preset"),
        (["a.png", "--layers", "--preset", "eye"], 2, "unknown preset 'eye' — did you mean eyes?"),
        (["a.png", "--vary", "stepp=1,2"], 2, "--vary stepp: unknown key — did you mean step?"),
        (["a.png", "--precision", "fp64"], 2, "--precision: 'fp64' is not allowed"),
        (["a.png", "--device", "cuda"], 6, "torch sees no CUDA device here"),
        (["a.png", "--weights", "missing.pth"], 5, "missing.pth"),
    ],
)
def test_errors_have_the_words_of_dream(
    deepdream: Command, tmp_path: Path, arguments: list[str], code: int, says: str
) -> None:
    if "cuda" in arguments:
        import torch

        if torch.cuda.is_available():
            pytest.skip("has CUDA")
    picture_file(tmp_path / "a.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("text")
    answer = deepdream("looks", *arguments)
    assert (answer.returncode, answer.stdout) == (code, "")
    assert says in answer.stderr
    assert "Traceback" not in answer.stderr
    assert [path.name for path in tmp_path.glob("*.looks*")] == []


@pytest.mark.slow("contact sheets")
@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_finished_looks_survive_a_stop_and_the_same_command_continues(
    deepdream: Command, tmp_path: Path, home: dict[str, str], sent: signal.Signals
) -> None:
    picture_file(tmp_path / "a.png")
    common = ("--side", "32", "--preset", "tiny", "--config", "own.yaml", "--json")
    own_config(tmp_path / "own.yaml")
    with subprocess.Popen(
        [sys.executable, "-m", "deepdream_core", "looks", "a.png", "--vary", "iterations=1,2,100000", *common],
        cwd=tmp_path, env=home,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if '"iteration": 3,' in line:
                break
        path = tmp_path / "a.looks-iterations-tiny-32px.html"
        assert "data-filled-at" in Seen(path).all("body")[0]
        process.send_signal(sent)
        out, err = process.communicate(timeout=120)
    there = page.remembered(path)
    assert there is not None, "the page is whole"
    assert len(there.jpegs) == len(Seen(path).tiles)
    assert sheet.photograph_of(tmp_path / "a.looks-iterations-tiny-32px.jpg") == there.sha256
    if sent != signal.SIGKILL:
        assert process.returncode == 130
        assert '"stopped"' in out
        assert "Traceback" not in err
        assert len(there.jpegs) == 2
        assert "2 of 3 looks; the same command dreams the rest" in Seen(path).text
        assert "data-filled-at" not in Seen(path).all("body")[0]
    again = events(deepdream("looks", "a.png", "--vary", "iterations=1,2,3", *common))
    assert again[-2]["dreamed"] == 3 - len(there.jpegs)
    assert len(Seen(path).tiles) == 3


def test_the_helper_dreams_it_where_one_runs(helper: Helper, tmp_path: Path) -> None:
    picture_file(tmp_path / "a.png")
    settings = ("--vary", "seed=1,2", "--side", "32", "--preset", "subtle", "--via-helper", "yes", "--json")
    answer = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "deepdream_core", "looks", "a.png", *settings], cwd=tmp_path,
        env=helper.environ, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert not re.search(r"\| +torch$", answer.stderr, re.MULTILINE), "this process needs none"
    assert events(answer)[-2]["dreamed"] == 2
    assert helper.log().count("43×32×3") == 2
    assert len(set(Seen(tmp_path / "a.looks-seed-subtle-32px.html").tiles)) == 2


# Dreaming, with an engine that changes nothing


class Partly(Engine):
    """Cannot dream at seed 2."""

    def dream(self, planes: Any, settings: DreamSettings, *_: object) -> Any:  # type: ignore[override]
        if settings.seed == 2:
            raise NumericError("the network returned NaN", "use fp32")
        return (yield from super().dream(planes))


def ran(
    inputs: list[Path], config: Config, engine: Engine, output: Path | None = None, vary: str = "seed=1..3"
) -> list[DeepDreamError]:
    order = run.Order(of_variations(config, None, [vary], 32), 32)
    return run.run(run.plan(inputs, output, ()), order, lambda: engine, Quiet(), max_megapixels=1)


def test_a_look_that_cannot_be_dreamed_costs_the_others_nothing_and_is_tried_again(
    tmp_path: Path, config: Config
) -> None:
    source = picture_file(tmp_path / "a.png")
    errors = ran([source], config, Partly())
    assert [error.exit_code for error in errors] == [NumericError.exit_code]
    seen = Seen(tmp_path / "a.looks-seed-32px.html")
    assert len(seen.tiles) == 2
    assert "the network returned NaN" in seen.text
    assert "2 of 3 looks" in seen.text
    assert ran([source], config, Engine()) == []
    assert len(Seen(tmp_path / "a.looks-seed-32px.html").tiles) == 3


class Following(Engine):
    """Notes the guides it is given."""

    def __init__(self) -> None:
        self.guides: list[Any] = []

    def dream(self, planes: Any, settings: DreamSettings, *given: Any) -> Any:  # type: ignore[override]
        self.guides.append([guide.shape for guide in given[2]])
        return (yield from super().dream(planes))


def test_a_presets_guide_is_followed_and_a_changed_one_is_dreamed_again(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("presets: {mine: {description: mine, guides: [guide.png@conv1_1]}}\n")
    guided = load_config(tmp_path / "config.yaml")
    source, guide = picture_file(tmp_path / "a.png"), picture_file(tmp_path / "guide.png", "coffee", (40, 30))
    order = run.Order(of_variations(guided, "mine", ["seed=1,2"], 32), 32)
    for name, count in (("coffee", 2), ("coffee", 0), ("rocket", 2)):
        picture_file(guide, name, (40, 30))
        engine = Following()
        errors = run.run(run.plan([source], None, ()), order, lambda: engine, Quiet(), max_megapixels=1)  # noqa: B023
        assert (errors, engine.guides) == ([], [[(3, 30, 40)]] * count)
    guide.unlink()
    (error, _) = run.run(run.plan([source], None, ()), order, Following, Quiet(), max_megapixels=1)
    assert f"{guide}: no such file" in str(error)


def test_a_full_disk_costs_one_photo_its_sheet_and_leaves_complete_files(
    tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, write: Any, *, overwrite: bool) -> None:
        if path.name == "a.looks-seed-32px.jpg":
            raise OutputError(f"{path}: cannot be written: No space left on device", "free some space", errno.ENOSPC)
        write_whole(path, write, overwrite=overwrite)

    monkeypatch.setattr(run, "write_whole", full)
    errors = ran([picture_file(tmp_path / "a.png"), picture_file(tmp_path / "b.png")], config, Engine())
    assert [error.exit_code for error in errors] == [OutputError.exit_code]
    assert page.remembered(tmp_path / "a.looks-seed-32px.html") is not None
    assert len(Seen(tmp_path / "b.looks-seed-32px.html").tiles) == 3


def test_two_photos_of_one_name_have_a_page_each(tmp_path: Path, config: Config) -> None:
    folder = tmp_path / "trip"
    folder.mkdir()
    first, second = picture_file(folder / "a.jpg"), picture_file(folder / "a.png", "coffee")
    for inputs in ([folder], [second], [second, first]):
        assert ran(inputs, config, Engine()) == []
        assert sorted(path.name for path in folder.glob("*.html")) == [
            "a.looks-seed-32px.html",
            "a.png.looks-seed-32px.html",
        ]
    (tmp_path / "other").mkdir()
    other = picture_file(tmp_path / "other" / "a.png")
    errors = ran([first, second, other], config, Engine(), tmp_path / "out")
    assert ["another picture of this run has that name — take them one by one" in str(one) for one in errors] == [True]


class Stopped(Engine):
    """Ctrl-C comes while it dreams."""

    def dream(self, *_: object) -> Any:
        raise KeyboardInterrupt


def test_other_values_take_the_earlier_ones_away_only_once_they_are_dreamed(tmp_path: Path, config: Config) -> None:
    source = picture_file(tmp_path / "a.png")
    assert ran([source], config, Engine()) == []
    with pytest.raises(KeyboardInterrupt):
        ran([source], config, Stopped(), vary="seed=4,5")
    assert "0 of 2 looks" in Seen(path := tmp_path / "a.looks-seed-32px.html").text
    assert len(Seen(path).tiles) == 3, "they lie hidden in the page"
    assert ran([source], config, Stopped()) == [], "nothing is missing"
    assert "3 looks" in Seen(path).text
    assert ran([source], config, Engine(), vary="seed=4,5") == []
    assert len(Seen(path).tiles) == 2
