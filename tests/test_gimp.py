"""The plug-in in real GIMP without a window: every precision, selections and layers, scripts, and what goes wrong.

A few GIMPs run the scripts of `gimp_scripts/`, which do and measure, against one helper outside; what they report is judged
here. The dialog has a file of its own.
"""

from __future__ import annotations

import http.server
import json
import re
import shutil
import socket
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fidelity_sources
import numpy as np
import plugin_folder
import pytest
import yaml
from gimp_root import SERIES, Gimp, GimpRoot, Result, root_or_skip, start_gimp
from helper_process import Helper, running_helper, until

from deepdream_core.link import client, private_files, wire
from deepdream_core.link.endpoint import Endpoint, new_token, write_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

SCRIPTS = Path(__file__).parent / "gimp_scripts"
Told = dict[str, Any]

PRECISIONS = [
    f"{depth}_{curve}"
    for depth in ("U8", "U16", "U32", "HALF", "FLOAT", "DOUBLE")
    for curve in ("LINEAR", "NON_LINEAR", "PERCEPTUAL")
]
BROKEN = re.compile("inconsistent state|crashed|Traceback|GEGL-CRITICAL|stray image")
MODELS = ("RGB", "RGB with alpha", "GRAY", "GRAY with alpha")


class Place:
    """A folder that both sides see, with the plug-in as it is installed, the scripts, and a helper that runs outside."""

    def __init__(self, root: GimpRoot, folder: Path, helper: Helper) -> None:
        self.root = root
        self.folder = folder
        self.helper = helper
        self.plug_in = folder / "plug-in"
        shutil.copytree(plugin_folder.FOLDER, self.plug_in)
        told = json.loads((self.plug_in / "deepdream.json").read_text())
        told |= {
            "endpoint": f"{root.inside(helper.folder)}/run/endpoint.json",
            "state": f"{root.inside(folder)}/state",
            "command": ["/nowhere/bin/python"],
        }
        (self.plug_in / "deepdream.json").write_text(json.dumps(told))
        self.scripts = folder / "scripts"
        shutil.copytree(SCRIPTS, self.scripts, ignore=shutil.ignore_patterns("__pycache__"))
        (self.scripts / "p3.icc").write_bytes(fidelity_sources.p3())

    def start(self, name: str, argument: str = "", plug_in: Path | None = None) -> AbstractContextManager[Gimp]:
        """Start a GIMP that runs one of the scripts."""
        folder = self.root.inside(self.scripts)
        script = f"import sys; sys.path.insert(0, {folder!r}); import {name}; {name}.main({argument})"
        return start_gimp(self.root, script, plug_in_folder=plug_in or self.plug_in)

    def run(self, name: str, plug_in: Path | None = None) -> Session:
        with self.start(name, plug_in=plug_in) as gimp:
            return Session(gimp.wait(150))


class Session:
    """What a script's checks reported, and what GIMP printed meanwhile."""

    def __init__(self, *results: Result) -> None:
        self.stderr = "".join(result.stderr for result in results)
        self._told = {told["check"]: told for result in results for told in result.check() if "check" in told}

    def __getitem__(self, check: str) -> Told:
        told: Told = self._told[check]
        assert "raised" not in told, told
        return told


@pytest.fixture(scope="module", params=SERIES)
def root(request: pytest.FixtureRequest) -> GimpRoot:
    return root_or_skip(request.param)


@pytest.fixture(scope="module")
def place(root: GimpRoot) -> Iterator[Place]:
    with root.folder() as folder, pytest.MonkeyPatch.context() as patch, ExitStack() as ending:
        patch.setenv("OMP_NUM_THREADS", "1")  # pictures this small are slower with more, above all beside two GIMPs
        helper = ending.enter_context(running_helper(folder / "helper"))
        helper.client().warm()
        yield Place(root, folder, helper)


# --- every precision --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured(place: Place, request: pytest.FixtureRequest) -> tuple[Session, Session]:
    """What GIMPs report that run beside one another, because that takes half the time; the precisions only if asked for."""
    asked = any("precisions" in getattr(item, "fixturenames", ()) for item in request.session.items)
    with ExitStack() as ending:
        halves = [ending.enter_context(place.start("precisions", half)) for half in ("0", "1") if asked]
        places = ending.enter_context(place.start("places"))
        return Session(*(one.wait(150) for one in halves)), Session(places.wait(150))


@pytest.fixture(scope="module")
def precisions(measured: tuple[Session, Session]) -> Session:
    return measured[0]


@pytest.mark.slow("GIMP's precisions")
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_only_what_is_selected_changes_at_every_precision(precisions: Session, precision: str, model: str) -> None:
    told = precisions[f"{precision} {model}"]
    assert told["status"] == "success", told
    assert told["inside"] > 0.9
    assert told["unselected"] > 1000
    assert told["outside"] == 0
    assert told["dirty"]


@pytest.mark.slow("GIMP's precisions")
@pytest.mark.parametrize("model", ["RGB with alpha", "GRAY"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_strength_0_changes_nothing_at_every_precision(precisions: Session, precision: str, model: str) -> None:
    told = precisions[f"{precision} {model}"]["strength_0"]
    assert told["status"] == "success", told
    assert (told["inside"], told["outside"], told["dirty"]) == (0, 0, False)


@pytest.mark.slow("GIMP's precisions")
def test_no_undo_group_stays_open_and_nothing_crashes_at_any_precision(precisions: Session) -> None:
    assert BROKEN.findall(precisions.stderr) == []


# --- selections, layers, output ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def places(measured: tuple[Session, Session]) -> Session:
    return measured[1]


SELECTIONS = {
    "nothing selected": 0,
    "a rectangle": 48 * 36 - 20 * 16,
    "an ellipse": 1000,
    "a feathered ellipse": 300,
    "a selection that reaches over the canvas": 48 * 36 - 21 * 16,
    "a larger layer, moved": 0,
    "a larger layer, moved, with an ellipse": 3400,
    "a smaller layer, moved": 0,
    "a smaller layer, moved, with an ellipse": 20,
    "a layer half off the canvas, with a rectangle": 48 * 36 - 18 * 16,
}
"""How many pixels of the layer are not selected at all, at least."""


@pytest.mark.parametrize("name", SELECTIONS)
def test_only_what_is_selected_changes(places: Session, name: str) -> None:
    told = places[name]
    assert told["status"] == "success", told
    assert told["inside"] > 0.7
    assert told["unselected"] >= SELECTIONS[name]
    assert told["outside"] == 0


def test_a_feather_is_applied_once(places: Session) -> None:
    told = places["feather"]
    assert told["status"] == "success", told
    assert told["partly"] > 100
    assert told["off"] < 1e-4


def test_the_same_pixels_dream_the_same_each_time(places: Session) -> None:
    assert places["again_and_again"]["status"] == "success"
    assert places["again_and_again"]["different"] == 1


def test_only_the_selection_and_its_surroundings_travel(places: Session, place: Place) -> None:
    assert places["context"]["status"] == "success"
    assert places["context"]["outside"] == 0
    assert "276×266×4 float32" in place.helper.log()


def test_a_layer_in_a_group(places: Session) -> None:
    told = places["child"]
    assert told["status"] == "success", told
    assert (told["inside"] > 0.9, told["outside"]) == (True, 0)


def test_a_layer_mask_is_dreamed_and_its_layer_stays(places: Session) -> None:
    told = places["mask"]
    assert told["status"] == "success", told
    assert (told["inside"] > 0.9, told["outside"], told["layer_same"]) == (True, 0, True)


def test_values_beyond_white_and_black_survive(places: Session) -> None:
    told = places["hdr"]
    assert told["status"] == "success", told
    assert (told["inside"] > 0.9, told["outside"]) == (True, 0)
    assert told["largest"] > 3


def test_a_profile_and_its_colours_are_kept(places: Session) -> None:
    told = places["profile"]
    assert told["status"] == "success", told
    assert told["kept"]
    assert (told["outside"], told["shown"]["outside"]) == (0, 0)


def test_a_picture_is_dreamed_in_its_own_encoding(places: Session) -> None:
    told = places["profile"]
    assert told["alike_before"]
    assert told["inside"] > 0.9
    assert told["alike_after"], "the same numbers dream alike, whatever colours they stand for"


def test_a_new_layer_is_right_above_its_layer_and_has_the_presets_name(places: Session) -> None:
    told = places["above"]
    assert told["status"] == "success", told
    assert told["names"] == ["top", "DeepDream – eyes, seed 0", "photo", "below"]
    assert told["aligned"]
    assert told["layer_same"]
    assert (told["inside"] > 0.9, told["outside"]) == (True, 0)


def test_a_new_layer_stays_in_its_layers_group(places: Session) -> None:
    told = places["above_in_a_group"]
    assert told["status"] == "success", told
    assert told["names"] == ["DeepDream – eyes, seed 0", "photo"]
    assert (told["aligned"], told["layer_same"], told["inside"] > 0.9) == (True, True, True)


def test_a_masks_new_layer_is_its_layer_with_a_dreamed_mask(places: Session) -> None:
    told = places["above_masked"]
    assert told["status"] == "success", told
    assert told["names"] == ["DeepDream – eyes, seed 0", "photo"]
    assert (told["mask_same"], told["layer_same"], told["inside"] > 0.9) == (True, True, True)


def test_strength_0_on_a_new_layer_is_a_copy(places: Session) -> None:
    told = places["above_with_strength_0"]
    assert told["status"] == "success", told
    assert told["names"] == ["DeepDream – classic, seed 0", "photo"]
    assert told["layer_same"]


def test_a_layers_filters_stay_and_a_message_says_so(places: Session) -> None:
    told = places["filters"]
    assert told["status"] == "success", told
    assert (told["inside"] > 0.9, told["filters"]) == (True, 1)
    assert places.stderr.count("The layer has filters; DeepDream changed the pixels below them.") == 1


def test_a_new_layer_has_no_filters_and_a_message_says_so(places: Session) -> None:
    told = places["filters_above"]
    assert told["status"] == "success", told
    assert (told["filters"], told["new_filters"], told["layer_same"]) == (1, 0, True)
    assert places.stderr.count("The layer has filters; the new layer shows the pixels below them.") == 1


def test_the_selection_is_read_where_it_is_for_parts_that_reach_over_the_canvas(places: Session) -> None:
    assert set(places["mask_at_the_edge"]["off"]) == {0}


# --- scripts and last values ------------------------------------------------------------------------------------


KEPT_SHAPES = {"gray": (20, 30, 1), "colour": (9, 14, 4)}


@pytest.fixture(scope="module")
def kept(place: Place) -> dict[str, bytes]:
    """Two finished pictures that were never acknowledged, as when the plug-in was killed before the canvas had them."""
    found = client.connect(endpoint_file=place.helper.endpoint_file, client="gimp-1")
    pictures: dict[str, bytes] = {}
    for name, shape in KEPT_SHAPES.items():
        pixels = np.random.default_rng(0).random(shape, np.float32)
        job = found.submit(
            pixels.data, dtype="float32", shape=shape, priority="interactive", label=f"{name} one 14×9+5-3",
            settings={"octaves": 1, "iterations": 1, "finest": "full"},
        )  # fmt: skip
        list(job.events())
        pictures[name] = bytes(job.result())
    return pictures


@pytest.fixture(scope="module")
def calls(place: Place, kept: dict[str, bytes]) -> Session:
    with squatters(place):
        return place.run("calls")


@contextmanager
def squatters(place: Place) -> Iterator[None]:
    """Two strangers where endpoint files say that a helper listens: one answers like one, one says nothing."""

    class Answering(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"name": "deepdream", "version": "0.1.0", "protocol": 1, "proof": "0" * 64}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    answering = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=answering.serve_forever)
    thread.start()
    with socket.create_server(("127.0.0.1", 0)) as silent, answering:
        ports = {"answering": answering.server_port, "silent": silent.getsockname()[1]}
        for name, port in ports.items():
            folder = place.scripts / name
            private_files.make_private_folder(folder)
            endpoint = Endpoint("127.0.0.1", port, new_token(), 1, "0.1.0", wire.PROTOCOL, "")
            write_endpoint(folder / "endpoint.json", endpoint)
        try:
            yield
        finally:
            answering.shutdown()
            thread.join()


def test_python_fu_calls_it_with_all_arguments(calls: Session) -> None:
    told = calls["python_fu"]
    assert told["status"] == "success", told
    assert told["names"] == ["DeepDream – fur, seed 11", "photo"]
    assert told["inside"] > 0.9


def test_script_fu_calls_it_with_all_arguments_and_gets_the_same(calls: Session) -> None:
    told = calls["script_fu"]
    assert told["status"] == "success", told
    assert told["names"] == ["DeepDream – fur, seed 11", "photo"]
    assert told["inside"] > 0.9
    assert told["as_python_fu"]


def test_a_script_with_fewer_unnamed_arguments_continues_to_work(calls: Session) -> None:
    told = calls["by_their_places"]
    assert told["status"] == "success", told
    assert told["as_named"]


def test_a_seed_repeats_the_picture(calls: Session) -> None:
    assert calls["the_seed_repeats"]["again"]
    assert calls["the_seed_repeats"]["another"]


def test_the_last_values_are_used_again(calls: Session) -> None:
    told = calls["last_values"]
    assert told["first"] == "success"
    assert told["status"] == "success", told
    assert told["names"] == ["DeepDream – eyes, seed 0", "photo"]


def test_without_a_display_no_window_opens(calls: Session) -> None:
    told = calls["without_a_display"]
    assert told["display"] is None
    assert told["status"] == "success", told
    assert told["names"] == ["DeepDream – eyes, seed 0", "photo"]


def test_a_picture_that_never_reached_the_canvas_comes_as_a_new_layer(calls: Session, kept: dict[str, bytes]) -> None:
    told = calls["last_result"]
    assert [call["status"] for call in told["calls"][:2]] == ["success", "success"], told
    assert told["layers"] == [
        ["DeepDream – gray one", 5, -3, 30, 20],
        ["DeepDream – colour one", 5, -3, 14, 9],
        ["photo", 0, 0, 48, 36],
    ]
    for name, samples in zip(("gray", "colour"), told["samples"], strict=True):
        wanted = np.frombuffer(kept[name], np.float32).reshape(KEPT_SHAPES[name]).clip(0, 1) * 255
        height, width, _count = wanted.shape
        got = np.array(samples).reshape(height, width, 4)[:, :, : 4 if name == "colour" else 3]
        assert np.abs(got - wanted).max() <= 1


def test_what_has_reached_the_canvas_is_forgotten(calls: Session, place: Place) -> None:
    assert calls["last_result"]["calls"][2]["status"] == "execution-error"
    assert "keeps no finished picture" in calls["last_result"]["calls"][2]["text"]
    assert not [job for job in place.helper.status()["jobs"] if job["state"] == "done"]


def test_checking_the_installation_shows_versions_and_device(calls: Session, root: GimpRoot) -> None:
    assert calls["checked"]["status"] == "success", calls["checked"]
    assert f"Plug-in {plugin_folder.FACTS.version} in GIMP {root.series}." in calls.stderr
    assert f"Helper {plugin_folder.FACTS.version}, port " in calls.stderr
    assert "Device cpu (" in calls.stderr
    assert "weights oxford" in calls.stderr


def test_checking_the_installation_shows_what_is_missing(calls: Session) -> None:
    assert calls["checked without a helper"]["status"] == "success"
    assert "✗ DeepDream is no longer installed: /nowhere/bin/python is missing." in calls.stderr
    assert "deepdream.json cannot be read" in calls["checked without deepdream.json"]["text"]


# --- what is refused, and what is wrong ---------------------------------------------------------------------------


REFUSED = {
    "a channel": "DeepDream works on layers, not on channels. Select a layer.",
    "the selection itself": "DeepDream works on layers, not on channels. Select a layer.",
    "an indexed image": "The image has indexed colours. Choose Image ▸ Mode ▸ RGB.",
    "a locked layer": "The pixels of “photo” are locked. Unlock them in the Layers dialog.",
    "one of several layers locked": "The pixels of “sky” are locked. Unlock them in the Layers dialog.",
    "a layer in a locked group": "The pixels of “things” are locked. Unlock them in the Layers dialog.",
    "the mask of a locked layer": "The pixels of “photo” are locked. Unlock them in the Layers dialog.",
    "no layer": "No layer is selected. Select one or more layers.",
    "a selection beside the layer": "The selection does not touch “photo”. Select a part of it, or clear the selection.",
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_unsupported_drawable_gets_a_message(calls: Session, name: str) -> None:
    told = calls[name]
    assert told["status"] == "execution-error", told
    assert told["text"] == REFUSED[name]
    assert told["same"]


WRONG = {
    "no helper, its program missing": "DeepDream is no longer installed: /nowhere/bin/python is missing. Run `python3",
    "no helper, its program failing": "did not start: the weights are missing. Run deepdream weights; see /",
    "a helper of an older version": "the old helper with `",
    "a helper of a newer version": "has version 0.0.1. Run `python3 install gimp`",
    "a squatter that answers": "DeepDream is no longer installed: /nowhere/bin/python is missing. Run `python3",
    "a squatter that keeps silent": "may be a helper that hangs",
    "deepdream.json missing": "deepdream.json cannot be read: No such file or directory. Run `python3 install gimp`",
    "deepdream.json damaged": "deepdream.json is damaged. Run `python3 install gimp`",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_problem_gets_a_message_soon(calls: Session, name: str) -> None:
    told = calls[name]
    assert told["status"] == "execution-error", told
    assert WRONG[name] in told["text"]
    assert "\n" not in told["text"]
    assert told["seconds"] < 30, "5 s and less on an idle machine"
    assert told["same"]


@pytest.fixture(scope="module")
def uninstalled(place: Place) -> Session:
    (place.folder / "bare").mkdir()
    bare = place.folder / "bare" / "deepdream"
    shutil.copytree(place.plug_in, bare)
    (bare / "deepdream.json").unlink()
    return place.run("uninstalled", bare)


@pytest.mark.parametrize("name", [f"plug-in-deepdream{which}" for which in ("", "-again", "-last", "-check")])
def test_a_plug_in_without_its_facts_says_how_to_install_it(uninstalled: Session, name: str) -> None:
    told = uninstalled[name]
    assert told["status"] == "execution-error", told
    assert "deepdream.json cannot be read: No such file or directory. Run `python3 install gimp`" in told["text"]


def test_no_undo_group_stays_open_and_nothing_crashes(places: Session, calls: Session) -> None:
    for session in (places, calls):
        assert BROKEN.findall(session.stderr) == []


# --- what to dream of ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guided(place: Place) -> Session:
    """Scripts with guides, where config.yaml has two presets with guides of their own."""
    config = yaml.safe_load(place.helper.config.read_text())
    config["presets"] = {
        name: {"description": name, "layers": {}, "guides": [f"{place.root.inside(place.scripts)}/{name}.png"]}
        for name in ("guide", "lost")
    }
    place.helper.config.write_text(yaml.safe_dump(config))
    return place.run("guided")


@pytest.mark.slow("GIMP's layers")
def test_a_layer_of_another_image_is_a_guide(guided: Session) -> None:
    told = guided["layers"]
    assert (told["status"], told["inside"] > 0.9) == ("success", True), told
    assert [told[name] for name in ("again", "toward_another", "toward_none", "with_a_layer")] == [True] * 4


def test_a_file_is_a_guide_like_its_layer_and_leaves_no_image_behind(guided: Session) -> None:
    told = guided["file"]
    assert (told["status"], told["as_its_layer"], told["both"]) == ("success", True, True), told
    assert told["images_afterwards"] == told["images"]


def test_a_guide_may_be_transparent_large_or_of_any_model(guided: Session) -> None:
    assert guided["transparent"]["status"] == guided["large"]["status"] == "success"
    assert guided["transparent"]["apart"] < 1, "in steps of 1/255: hidden colours do not count"
    assert set(guided["other_models"]["status"]) == {"success"}


def test_script_fu_names_a_guide(guided: Session) -> None:
    assert guided["script_fu"]["status"] == "success"
    assert guided["script_fu"]["as_python_fu"] == [True, True]


def test_last_values_without_their_guide_continue_to_work(guided: Session) -> None:
    assert {guided["last_values"][name]["status"] for name in ("first", "again", "without")} == {"success"}
    assert guided["gone_since"]["status"] == "calling-error", "GIMP itself refuses a layer that was deleted"


def test_a_preset_s_guide_is_a_file(guided: Session) -> None:
    told = guided["of_a_preset"]
    assert (told["status"], told["as_named"], told["another"]) == ("success", True, "success"), told
    assert told["lost"]["status"] == "execution-error"
    assert "lost.png: No such file or directory. Choose another picture." in told["lost"]["text"]


@pytest.mark.parametrize("name", ["tileable", "channels", "picked", "caricature", "all"])
def test_what_to_dream_of_is_said_by_arguments(guided: Session, name: str) -> None:
    assert guided["others"][name] == ["success", None, True, True]


MISGUIDED = {
    "a guide that is too small": "Cat: 16×16 px are too few for a guide at relu3_1, which sees 24 px at once. Give",
    "a file that is not there": "nowhere.png: No such file or directory. Choose another picture.",
    "a file that is no picture": "GIMP cannot open the guide /",
    "a file that shows nothing": "hidden.xcf: it has no visible layer. Choose another picture.",
    "a channel that the layer does not have": "conv4_3 has no channel 512. It has 512, from 0 to 511.",
    "no name of a channel": "Channels cannot be 'pool4:8=much'. Write names once each, with a weight if it is not 1",
    "a guide at a layer that grows": "Relu3_1 cannot both grow and follow the guide ",
}


@pytest.mark.parametrize("name", MISGUIDED)
def test_a_wrong_guide_or_channel_gets_a_message(guided: Session, name: str) -> None:
    told = guided[name]
    assert told["status"] == "execution-error", told
    assert MISGUIDED[name] in told["text"]
    assert told["same"]


# --- ends -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def killed(place: Place) -> Session:
    """Kill the plug-in in one dream, as GIMP's Cancel does, and the helper in the next."""
    helper = place.helper
    with place.start("killed") as gimp:

        def running() -> list[Told]:
            return [job for job in helper.status()["jobs"] if job["state"] == "running" and job["progress"]]

        until(lambda: {"began": "the plug-in killed"} in gimp.reports(), 60)
        until(running, 60)
        (plug_in,) = gimp.processes("plug-ins/deepdream/deepdream.py")
        plug_in.kill()
        began = time.monotonic()
        until(lambda: not running(), 30)
        idle_after_s = time.monotonic() - began
        until(lambda: {"began": "the helper killed"} in gimp.reports(), 60)
        until(running, 60)
        children = helper.children()
        helper.process.kill()
        helper.process.wait()
        until(lambda: not any(child.is_running() for child in children))
        session = Session(gimp.wait(60))
        helper.process = helper.spawn()
    session["the plug-in killed"]["idle_after_s"] = idle_after_s
    return session


def test_the_helper_is_idle_soon_after_the_plug_in_was_killed(killed: Session) -> None:
    assert killed["the plug-in killed"]["idle_after_s"] < 3


def test_an_image_is_untouched_after_the_plug_in_was_killed(killed: Session) -> None:
    told = killed["the plug-in killed"]
    assert told["status"] != "success"
    assert (told["same"], told["layers"], told["dirty"]) == (True, 1, False)


def test_a_killed_helper_leaves_the_image_untouched_and_a_message(killed: Session) -> None:
    told = killed["the helper killed"]
    assert told["status"] == "execution-error", told
    assert "helper" in told["text"]
    assert (told["same"], told["layers"], told["dirty"]) == (True, 1, False)
