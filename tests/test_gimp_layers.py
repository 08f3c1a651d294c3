"""The plug-in on every kind of layer in real GIMP, the recipe that a dream carries, and dreaming again."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from gimp_root import SERIES, GimpRoot, root_or_skip, start_gimp
from helper_process import running_helper, until
from test_gimp import BROKEN, Place, Session
from test_gimp_dialog import Person, somebody

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIVE = ("Replacing the pixels of a text, vector or link layer would rasterize it. "
        "Choose the output new-layer to keep it, or rasterize.")  # fmt: skip
CHANNEL = "DeepDream works on layers, not on channels. Select a layer."


@pytest.fixture(scope="module", params=SERIES)
def root(request: pytest.FixtureRequest) -> GimpRoot:
    return root_or_skip(request.param)


@pytest.fixture(scope="module")
def place(root: GimpRoot) -> Iterator[Place]:
    with root.folder() as folder, pytest.MonkeyPatch.context() as patch, ExitStack() as ending:
        patch.setenv("OMP_NUM_THREADS", "1")
        helper = ending.enter_context(running_helper(folder / "helper"))
        helper.client().warm()
        yield Place(root, folder, helper)


@pytest.fixture(scope="module")
def layers(place: Place) -> Session:
    folder = place.root.inside(place.scripts)
    script = f"import sys; sys.path.insert(0, {folder!r}); import layers; layers.main()"
    with start_gimp(place.root, script, plug_in_folder=place.plug_in, fonts=True) as gimp:
        return Session(gimp.wait(200))


# --- kinds of layers ----------------------------------------------------------------------------------------------


@pytest.mark.slow("GIMP's layers")
@pytest.mark.parametrize("name", ["group", "group_replaced"])
def test_a_group_gets_a_new_layer_above_it_whatever_was_asked_for(layers: Session, name: str) -> None:
    told = layers[name]
    assert told["status"] == "success", told
    assert told["names"] == ["DeepDream – classic, seed 0", "group"]
    assert (told["is_group"], told["same"], told["dreamed"], told["opacity"]) == (False, True, True, 80)
    assert told["place"][0] == told["place"][1]


def test_a_group_and_a_layer_in_it_are_dreamed_together(layers: Session) -> None:
    told = layers["child_and_group"]
    assert (told["status"], told["changed"]) == ("success", True), told
    assert told["names"] == ["DeepDream – classic, seed 0", "group"]


def kinds_of(root: GimpRoot) -> list[str]:
    return ["text"] if root.series == "3.0" else ["text", "vector", "link"]


def test_a_text_vector_or_link_layer_is_rasterized_only_on_request(layers: Session, root: GimpRoot) -> None:
    for kind in kinds_of(root):
        told = layers[kind]
        assert (told["refused"]["status"], told["refused"]["text"]) == ("execution-error", LIVE)
        assert told["unchanged"] == [True, True, False], "same pixels, still live, image not changed"
        assert (told["status"], told["dreamed"], told["live"]) == ("success", True, False), told


def test_a_rasterized_dream_is_what_the_saved_image_shows(layers: Session, root: GimpRoot) -> None:
    for kind in kinds_of(root):
        assert layers[kind]["loaded"] == [True, False, True], "same pixels, no longer live, with its recipe"


def test_a_text_vector_or_link_layer_stays_below_a_plain_new_layer(layers: Session, root: GimpRoot) -> None:
    for kind in kinds_of(root):
        told = layers[f"{kind}_kept"]
        assert (told["status"], told["same"], told["dreamed"], told["aligned"]) == ("success", True, True, True), told
        assert told["live"] == [False, True]
        assert told["loaded"] == [True, False, True, True], "after saving and loading too"


def test_a_plain_new_layer_has_the_mask(layers: Session) -> None:
    assert (layers["text_masked"]["status"], layers["text_masked"]["mask_same"]) == ("success", True)


def test_several_layers_are_dreamed_by_one_call(layers: Session) -> None:
    told = layers["several"]
    assert (told["status"], told["above"]) == ("success", "success"), told
    assert (told["changed"], told["recipes"]) == ([True, True, False], [True, True, False])
    assert told["names"] == ["DeepDream – classic, seed 0", "c", "b", "DeepDream – classic, seed 0 #1", "a"]


def test_several_layers_are_all_dreamed_or_none(layers: Session) -> None:
    told = layers["several_live"]
    assert (told["refused"]["text"], told["same"]) == (LIVE, True)
    assert (told["status"], told["changed"]) == ("success", [True, True]), told


def test_a_channel_is_dreamed_only_on_request(layers: Session) -> None:
    kept, told, above = layers["channel_kept"], layers["channel"], layers["channel_above"]
    assert (kept["status"], kept["text"], kept["same"]) == ("execution-error", CHANNEL, True)
    assert kept["selection"]["text"] == CHANNEL
    assert (told["status"], told["changed"], told["recipe"]) == ("success", True, True), told
    assert (told["again"]["status"], told["changed_again"]) == ("success", True), told
    assert (above["status"], above["same"], above["dreamed"]) == ("success", True, True), above
    assert above["names"] == ["DeepDream – classic, seed 0", "channel"]


def test_a_mask_is_dreamed_and_saved_with_its_recipe(layers: Session) -> None:
    told = layers["mask_still"]
    assert (told["status"], told["changed"], told["recipe"], told["loaded"]) == ("success", True, True, [True, True])


# --- the recipe ---------------------------------------------------------------------------------------------------


def test_a_new_layer_carries_its_recipe_after_saving_and_loading(layers: Session) -> None:
    told = layers["recipe_kept"]
    assert told["status"] == "success", told
    assert told["names"] == ["DeepDream – classic, seed 7", "photo"]
    recipe = told["recipe"]
    assert (recipe["arguments"]["preset"], recipe["arguments"]["seed"]) == ("classic", 7)
    assert recipe["arguments"]["channels"] == "strongest:2"
    assert len(recipe["settings"]["channels"]) == 2
    assert not any("strongest" in name for name in recipe["settings"]["channels"]), "the channels that were picked"
    assert recipe["source"] == {"tattoo": told["tattoo"], "name": "photo"}


def test_dreaming_again_repeats_the_dream_on_the_same_layer(layers: Session) -> None:
    told = layers["again_above"]
    assert told["status"] == "success", told
    assert told["same"] == [True, True, ["my dream", "photo"]], "the source, the dream and the names"
    assert told["loaded"]["status"] == "success"
    assert told["loaded_same"] == [True, ["my dream", "photo"]], "after saving and loading"


def test_dreaming_again_takes_another_seed_and_goes_back(layers: Session) -> None:
    told = layers["again_above"]
    assert (told["another"]["status"], told["another_same"], told["seed"]) == ("success", False, [8, 8])
    assert (told["back"]["status"], told["back_same"]) == ("success", True)


def test_dreaming_the_source_again_dreams_what_it_shows_now(layers: Session) -> None:
    told = layers["again_of_its_source"]
    assert (told["status"], told["source_same"], told["changed"], told["as_fresh"]) == ("success", True, True, True), (
        told
    )
    assert told["names"] == ["DeepDream – classic, seed 7", "photo"]


def test_dreaming_a_selection_again_begins_with_the_source(layers: Session) -> None:
    told = layers["again_selected"]
    assert (told["status"], told["as_fresh"]) == ("success", True), told
    assert (told["selection_same"], told["channels"]) == (True, 0)


def test_dreaming_a_selection_again_leaves_what_is_chosen_in_the_dialogs(layers: Session) -> None:
    told = layers["again_with_a_channel"]
    assert (told["status"], told["same"]) == ("success", [True, True]), told
    assert told["chosen"] == [True, True], "a layer, and a channel"


def test_a_dream_in_place_is_dreamed_on_with_a_word_about_it(layers: Session) -> None:
    told = layers["again_in_place"]
    assert (told["status"], told["changed"], told["names"]) == ("success", True, ["photo"]), told
    assert "This layer was dreamed in place, so DeepDream dreamed what it shows now." in layers.stderr


def test_a_script_may_change_arguments_of_the_recipe(layers: Session) -> None:
    told = layers["again_with_other_arguments"]
    assert told["status"] == "success", told
    changed = {name: told["arguments"][name] for name in ("preset", "seed", "iterations", "layer")}
    assert changed == {"preset": "fur", "seed": 7, "iterations": 1, "layer": "preset"}


def test_a_dream_that_has_lost_its_source_gets_a_message(layers: Session) -> None:
    told = layers["again_moved"]
    assert "no longer covers the layer that it was dreamed from" in told["moved"]["text"]
    assert told["gone"]["text"].startswith("The layer 'photo', which was dreamed, no longer exists.")
    assert told["same"]


def test_a_dream_in_another_image_finds_no_wrong_source(layers: Session) -> None:
    told = layers["again_elsewhere"]
    assert told["tattoo"], "the other image has a layer with the source's tattoo"
    assert told["text"].startswith("The layer 'photo', which was dreamed, no longer exists.")
    assert told["below"].startswith("This layer carries no recipe of a dream.")
    assert (told["same"], told["loaded"], told["duplicated"]) == (True, "success", "success")


def test_a_dream_takes_the_size_and_the_pixels_of_its_source(layers: Session) -> None:
    told = layers["again_grown"]
    assert (told["status"], told["grown"], told["as_fresh"]) == ("success", [9, 5, -4, -2], True), told
    assert (told["with_alpha"], told["as_before"]) == ("success", True)


def test_a_locked_source_is_dreamed_again(layers: Session) -> None:
    told = layers["again_locked"]
    assert (told["status"], told["names"]) == ("success", ["DeepDream – classic, seed 8", "photo"])


def test_the_guide_is_found_again(layers: Session) -> None:
    told = layers["again_with_a_guide"]
    assert (told["status"], told["same"]) == ("success", True), told
    assert (told["loaded"]["status"], told["loaded_same"]) == ("success", True), told
    assert told["gone"]["text"].startswith("The layer to dream toward, 'guide', is not open.")


def test_a_layer_without_a_recipe_gets_a_message(layers: Session) -> None:
    told = layers["again_without"]
    assert told["text"] == "This layer carries no recipe of a dream. Choose a dreamed layer, or DeepDream…"
    assert told["two"]["text"] == "DeepDream dreams one layer again. Select one layer."


def test_a_damaged_recipe_gets_a_message_and_stays(layers: Session) -> None:
    told = layers["damaged"]
    texts: dict[str, Any] = told["texts"]
    assert texts.pop("newer") == "A newer DeepDream, 9.9, dreamed this layer. Update DeepDream to dream it again."
    assert len(texts) == 22
    assert set(texts.values()) == {"The recipe of this layer is damaged. Dream it with DeepDream… instead."}
    assert (told["kept"], told["same"]) == (True, True)
    assert (told["status"], told["mended"]) == ("success", "success")
    assert set(told["odd"].values()) == {"success"}, told["odd"]


def saved(place: Place, again: str) -> dict[str, Any]:
    with place.start("restarted", again) as gimp:
        return Session(gimp.wait(60))["restarted"]


@pytest.mark.slow("GIMP's layers")
def test_a_restarted_gimp_dreams_a_saved_image_again(place: Place) -> None:
    first, second = (saved(place, again) for again in ("False", "True"))
    assert (first["status"], second["status"]) == ("success", "success"), (first, second)
    assert second["names"] == first["names"] == ["DeepDream – classic, seed 5", "photo"]
    assert first["before"] == first["after"] == second["before"] == second["after"]


# --- strength as opacity ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["straight", "straight gray", "straight 16 bit linear", "straight, a rectangle"])
def test_the_opacity_is_the_strength_where_that_shows_the_same(layers: Session, name: str) -> None:
    told = layers[f"strength {name}"]
    assert (told["new-layer"], told["replace"]) == ("success", "success"), told
    assert (told["opacity"], told["recipe"], told["at"]) == (40, True, 0.4)
    assert told["changed"] > 500
    assert told["apart"] <= 1, "of 255"


@pytest.mark.parametrize("name", ["straight", "straight gray"])
def test_dreaming_again_takes_the_opacity_for_the_strength(layers: Session, name: str) -> None:
    told = layers[f"strength {name}"]
    assert (told["again"], told["again_at"]) == ("success", [25, 0.25])
    assert (told["again_whole"], told["whole"]) == ("success", [100, False]), "where it is no longer the same"


def test_dreaming_again_leaves_the_opacity_that_a_dream_has_in_another_mode(layers: Session) -> None:
    told = layers["strength straight"]
    assert (told["overlaid"], told["overlaid_whole"]) == (["success", 35, False], ["success", 35]), told


@pytest.mark.parametrize(
    "name",
    ["soft", "smaller", "feathered", "transparent", "multiply", "colours kept", "a seamless pattern", "floats"],
)
def test_the_strength_is_dreamed_where_an_opacity_would_show_something_else(layers: Session, name: str) -> None:
    told = layers[f"strength {name}"]
    assert (told["new-layer"], told["opacity"], told["recipe"], told["at"]) == ("success", 100, False, 0.4), told


def test_no_undo_group_stays_open_and_nothing_crashes(layers: Session) -> None:
    assert BROKEN.findall(layers.stderr) == []


# --- ends ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def killed(place: Place) -> Session:
    """Kill the plug-in, as GIMP's Cancel does: in the second of three layers, and while it dreams again."""
    helper = place.helper

    def running(label: str) -> list[dict[str, Any]]:
        jobs = helper.status()["jobs"]
        return [job for job in jobs if job["state"] == "running" and job["progress"] and job["label"].startswith(label)]

    with place.start("killed_layers") as gimp:
        for label in ("second", "again"):
            until(lambda: running(label), 60)  # noqa: B023 - called at once
            (plug_in,) = gimp.processes("plug-ins/deepdream/deepdream.py")
            plug_in.kill()
            until(lambda: not running(label), 30)  # noqa: B023
        return Session(gimp.wait(60))


@pytest.mark.slow("GIMP's layers")
@pytest.mark.parametrize("name", ["several", "again"])
def test_a_killed_plug_in_leaves_all_layers_as_they_were(killed: Session, name: str) -> None:
    told = killed[name]
    assert told["status"] != "success", told
    assert (told["same"], told["dirty"], told["works"]) == (True, False, "success")
    assert BROKEN.findall(killed.stderr.replace("crashed", "", 2)) == [], "GIMP itself says that a plug-in was killed"


def test_what_was_finished_before_the_kill_comes_as_last_result(killed: Session) -> None:
    assert killed["several"]["last"] == "success"
    assert killed["several"]["last_name"] == "DeepDream – first"


# --- in the window ------------------------------------------------------------------------------------------------

LOOK = """
import hashlib


def dig(one):
    where = Gegl.Rectangle.new(0, 0, one.get_width(), one.get_height())
    return hashlib.sha256(one.get_buffer().get(where, 1.0, "R'G'B'A u8", Gegl.AbyssPolicy.NONE)).hexdigest()[:8]


def live(one):
    return one.is_text_layer() and not getattr(one, "is_rasterized", lambda: False)()


def tell():
    report(told=[[one.get_name(), dig(one), live(one)] for one in image.get_layers()])
"""


def told(person: Person) -> list[list[Any]]:
    """Names, pixels in short, and whether it is a living text, of all layers."""
    person.orders("tell()")
    found: list[list[Any]] = [one["told"] for one in person.gimp.reports() if "told" in one][-1]
    return found


@pytest.mark.slow("GIMP's dialog")
def test_a_person_is_asked_what_becomes_of_a_text(root: GimpRoot, tmp_path: Path) -> None:
    with somebody(root, tmp_path) as (person, _helper):
        person.orders(LOOK)
        person.orders(
            "text = Gimp.TextLayer.new(image, 'Dream', Gimp.context_get_font(), 40, Gimp.Unit.pixel()); "
            "image.insert_layer(text, None, 0); text.set_color(Gegl.Color.new('#c08040')); "
            "image.set_selected_layers([text])"
        )
        before = told(person)
        dialog = person.opens_the_dialog()
        person.types(dialog, "alt+i", "1")
        assert person.gets_it(dialog)["output"] == '"new-layer"'
        until(lambda: len(told(person)) == 3, 20)
        above, *others = told(person)
        assert others == before, "the text below is as it was"
        assert (above[0].startswith("DeepDream – classic, seed"), above[2]) == (True, False)
        person.press(person.image_window(), "ctrl+z")
        until(lambda: told(person) == before, 10)

        person.orders("image.set_selected_layers([text])")
        dialog = person.opens_the_dialog()
        person.press(dialog, "alt+u", "Down")
        person.shown.picture(tmp_path / f"text-{root.series}.png")
        assert person.gets_it(dialog)["output"] == '"rasterize"'
        until(lambda: told(person)[0][2] is False, 20)
        assert (told(person)[0][1] != before[0][1], told(person)[1:]) == (True, before[1:])
        person.press(person.image_window(), "ctrl+z")
        until(lambda: told(person) == before, 10)
        person.complains_of_nothing()


@pytest.mark.slow("GIMP's dialog")
def test_a_person_dreams_several_layers_and_one_of_them_again(root: GimpRoot, tmp_path: Path) -> None:
    with somebody(root, tmp_path) as (person, _helper):
        person.orders(LOOK)
        person.orders("second = layer.copy(); image.insert_layer(second, None, 0); second.set_name('second')")
        person.orders("image.set_selected_layers([layer, second])")
        before = told(person)
        dialog = person.opens_the_dialog()
        person.types(dialog, "alt+i", "1")
        person.gets_it(dialog)
        until(lambda: all(now[1] != old[1] for now, old in zip(told(person), before, strict=True)), 20)
        person.press(person.image_window(), "ctrl+z")
        until(lambda: told(person) == before, 10)

        person.orders("image.set_selected_layers([second])")
        dialog = person.opens_the_dialog()
        person.types(dialog, "alt+e", "77")
        person.press(dialog, "alt+u", "Down")  # New layer above
        assert person.gets_it(dialog)["seed"] == "77"
        until(lambda: len(told(person)) == 3, 20)
        dreamed = told(person)
        assert dreamed[0][0] == "DeepDream – classic, seed 77"

        person.orders("image.set_selected_layers([image.get_layers()[0]])")
        dialog = person.opens_the_dialog("n")
        person.shown.picture(tmp_path / f"again-{root.series}.png")
        person.types(dialog, "alt+e", "78")
        got = person.gets_it(dialog, "plug-in-deepdream-again")
        assert (got["seed"], got["iterations"], got["preset"]) == ("78", "1", '"classic"'), "all else as in the recipe"
        until(lambda: told(person)[0][1] != dreamed[0][1], 20)
        assert told(person)[0][0] == "DeepDream – classic, seed 78", "the name says how it was dreamed"
        assert told(person)[1:] == dreamed[1:]
        person.press(person.image_window(), "ctrl+z")
        until(lambda: told(person) == dreamed, 10)
        person.complains_of_nothing()


# --- link layers --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def linking(place: Place) -> Session:
    """Dreams in files; the plug-in is killed while one of them grows."""

    def running() -> list[dict[str, Any]]:
        return [job for job in place.helper.status()["jobs"] if job["state"] == "running" and job["progress"]]

    with place.start("linking") as gimp:
        if place.root.series != "3.0":
            until(lambda: {"began": "killed"} in gimp.reports() or gimp.process.poll() is not None, 90)
            folder = place.scripts / "killed"
            sizes: set[int] = set()

            def grown() -> bool:
                sizes.update(file.stat().st_mtime_ns for file in folder.glob("image dream*.png"))
                return len(sizes) > 2

            until(grown, 60)
            for plug_in in gimp.processes("plug-ins/deepdream/deepdream.py"):
                plug_in.kill()
            until(lambda: not running(), 30)
        return Session(gimp.wait(120))


def in_3_2(root: GimpRoot) -> None:
    if root.series == "3.0":
        pytest.skip("link layers came with GIMP 3.2")


@pytest.mark.slow("GIMP's layers")
def test_without_link_layers_a_message_says_so(linking: Session, root: GimpRoot) -> None:
    told = linking["refused"]
    assert told["text"] == "Linked layers need GIMP 3.2, and a layer to dream. Choose the output new-layer."
    if root.series != "3.0":
        assert "has no channel 5000" in told["failed"]["text"]
        assert (told["files"], told["layers"]) == (["image.xcf"], 1), "a failure leaves nothing"
        assert (told["linked"], told["again_failed"], told["again_same"]) == ("success", "execution-error", True)
        assert told["again_works"] == "success", "the recipe is still the one of the picture"


@pytest.mark.parametrize(
    ("name", "file"),
    [("linked", "png"), ("linked U16_NON_LINEAR", "png"), ("linked U8_LINEAR", "png"), ("linked FLOAT_LINEAR", "xcf")],
)
def test_a_linked_dream_lies_beside_the_image(linking: Session, root: GimpRoot, name: str, file: str) -> None:
    in_3_2(root)
    told = linking[name]
    assert told["status"] == "success", told
    assert told["names"] == ["DeepDream – classic, seed 7", "photo"]
    assert told["files"] == [f"image dream 1.{file}", "image.xcf"]
    assert (told["kind"], told["same"], told["place"]) == ("LinkLayer", True, [2, 1])
    assert told["off"] <= 2 < told["changed"], "in steps of 1/255, from the same dream in place"
    assert told["loaded"][0] == "LinkLayer"
    assert told["loaded"][1] <= 2
    assert told["loaded"][2], "the recipe"


def test_a_linked_dream_of_an_unsaved_image_lies_in_the_data_folder(linking: Session, root: GimpRoot) -> None:
    in_3_2(root)
    assert linking["unsaved"]["status"] == "success"
    assert linking["unsaved"]["file"].endswith("/.local/share/deepdream/linked/image dream 1.png")


def test_a_linked_dream_respects_the_selection(linking: Session, root: GimpRoot) -> None:
    in_3_2(root)
    assert (linking["selected"]["status"], linking["selected"]["off"]) == ("success", 0)
    assert (linking["strength_0"]["status"], linking["strength_0"]["off"]) == ("success", 0)


def test_dreaming_again_writes_the_same_file(linking: Session, root: GimpRoot) -> None:
    in_3_2(root)
    told = linking["again"]
    assert (told["status"], told["another"], told["back"], told["back_same"]) == ("success", True, "success", True), (
        told
    )
    assert (told["files"], told["kind"]) == (["image dream 1.png", "image.xcf"], "LinkLayer")
    status, changed, files = told["moved"]
    assert (status["status"], changed, files) == ("success", True, told["files"]), "after the folder was moved"


def test_a_linked_dream_again_takes_the_place_and_the_size_of_its_source(linking: Session, root: GimpRoot) -> None:
    in_3_2(root)
    told = linking["again_moved"]
    assert "no longer covers the layer that it was dreamed from" in told["moved"]
    assert told["same"], "the file"
    assert told["status"] == "success", told
    assert told["place"] == [[57, 41, 1, 3, True], [57, 41, 1, 3, False]]
    assert told["off"] <= 2


def test_the_lock_of_a_linked_dream_counts_and_not_that_of_its_source(linking: Session, root: GimpRoot) -> None:
    in_3_2(root)
    told = linking["again_locked"]
    assert (told["status"], told["locked"]) == (
        "success",
        "The pixels of “DeepDream – classic, seed 0” are locked. Unlock them in the Layers dialog.",
    )


def test_a_linked_dream_of_a_hidden_layer_is_hidden(linking: Session, root: GimpRoot) -> None:
    in_3_2(root)
    told = linking["hidden"]
    assert (told["status"], told["as_source"]) == ("success", [False, True, 50]), told


def test_another_file_is_never_written(linking: Session, root: GimpRoot) -> None:
    in_3_2(root)
    told = linking["foreign"]
    assert told["text"].startswith("The layer shows another file than that of its dream.")
    assert told["namesake"] == told["text"]
    assert (told["same"], told["namesake_same"]) == (True, True)


def test_several_linked_dreams_and_a_file_that_is_gone(linking: Session, root: GimpRoot) -> None:
    in_3_2(root)
    told = linking["several"]
    both = ["image dream 1.png", "image dream 2.png", "image.xcf"]
    assert (told["status"], told["files"]) == ("success", both)
    assert [len(channels) for channels in told["channels"]] == [2, 2], "those that were picked"
    assert all(weight == 1 for channels in told["channels"] for weight in channels.values())
    assert (told["failed"], len(told["files_then"])) == ("execution-error", 2), "no empty file in its place"
    assert (told["again"], told["files_now"]) == ("success", both)


def test_a_file_that_cannot_be_written_gets_a_message(linking: Session, root: GimpRoot) -> None:
    in_3_2(root)
    told = linking["unwritable"]
    assert (told["status"], told["layers"]) == ("execution-error", 1)
    assert "cannot be written: " in told["text"]


def test_a_folder_that_is_read_only_gets_a_message(linking: Session, root: GimpRoot) -> None:
    in_3_2(root)
    told = linking["read_only"]
    assert (told["status"], told["layers"], told["files"]) == ("execution-error", 1, ["image.xcf"])
    assert told["text"].endswith("cannot be written: Read-only file system. Choose another output.")


def test_an_image_that_was_moved_without_the_file_shows_the_dream(linking: Session, root: GimpRoot) -> None:
    in_3_2(root)
    told = linking["moved_alone"]
    assert (told["shown"], told["status"], told["changed"]) == (True, "success", True), told
    assert told["files"] == [["image dream 1.png"], ["image dream 1.png", "image.xcf"]], (
        "dreaming again writes the file beside the image"
    )


def test_a_linked_dream_grows_and_survives_a_kill(linking: Session, root: GimpRoot) -> None:
    in_3_2(root)
    told = linking["killed"]
    assert told["status"] != "success"
    assert (told["kind"], told["readable"]) == ("LinkLayer", True)
    assert (told["again"], told["off"] <= 1) == ("success", True), told
