"""Dreams in files that link layers show: GIMP 3.2, and what 3.0 says."""

# mypy: ignore-errors
from __future__ import annotations

import json
import subprocess
import threading
import time
from pathlib import Path

from gimp_common import (
    HERE,
    Gimp,
    Gio,
    call,
    check,
    dream,
    ellipse,
    new_image,
    new_layer,
    report,
    samples,
)

RECIPE = "deepdream-recipe"


def main():
    if Gimp.MINOR_VERSION < 2:
        with check("refused") as facts:
            image = new_image()
            layer = new_layer(image)
            facts.update(dream(image, layer, output="linked-layer"))
        return
    for one in (
        linked,
        unsaved,
        selected,
        again,
        again_moved,
        again_locked,
        hidden,
        strength_0,
        refused,
        foreign,
        several,
        unwritable,
        read_only,
        moved_alone,
        killed,
    ):
        with check(one.__name__) as facts:
            one(facts)
    for precision in ("U16_NON_LINEAR", "U8_LINEAR", "FLOAT_LINEAR"):
        with check(f"linked {precision}") as facts:
            linked(facts, precision)


def saved(name, **how):
    """An image beside which its links lie, in a folder of its own."""
    folder = HERE / name
    folder.mkdir()
    image = new_image(**how)
    layer = new_layer(image, alpha=False, name="photo", at=(2, 1))
    file = Gio.File.new_for_path(str(folder / "image.xcf"))
    assert Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, file, None)
    return image, layer, folder


def files(folder):
    return sorted(one.name for one in folder.iterdir())


def off(one, other):
    """In 8 bits: the largest difference."""
    name = "R'G'B' u8"
    return max(abs(a - b) for a, b in zip(samples(one, name), samples(other, name)))  # noqa: B905 - Python 3.9


def shown_off(linked, other):
    """The same of a link layer: GIMP may be busy and load its file later than the plug-in waits for."""
    end = time.monotonic() + 60
    while (found := off(linked, other)) > 2 and time.monotonic() < end:
        time.sleep(0.2)
    return found


def linked(facts, precision="U8_NON_LINEAR"):
    image, layer, folder = saved(f"linked-{precision}", precision=precision)
    before = samples(layer)
    facts.update(dream(image, layer, output="linked-layer", seed=7, jitter=4))
    new = image.get_layers()[0]
    facts["names"], facts["files"] = [one.get_name() for one in image.get_layers()], files(folder)
    facts["kind"], facts["same"] = type(new).__name__, samples(layer) == before
    facts["place"] = list(new.get_offsets())[1:]
    fresh = new_layer(image, alpha=False)
    dream(image, fresh, seed=7, jitter=4)
    facts["off"], facts["changed"] = shown_off(new, fresh), off(new, layer)
    image.remove_layer(fresh)
    file = Gio.File.new_for_path(str(folder / "image.xcf"))
    assert Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, file, None)
    loaded = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, file).get_layers()[0]
    facts["loaded"] = type(loaded).__name__, off(loaded, new), RECIPE in loaded.get_parasite_list()


def unsaved(facts):
    image = new_image()
    facts.update(dream(image, new_layer(image), output="linked-layer"))
    facts["file"] = image.get_layers()[0].get_file().get_path()


def selected(facts):
    image, layer, _folder = saved("selected")
    ellipse(image, feather=6)
    facts.update(dream(image, layer, output="linked-layer"))
    fresh = new_layer(image, alpha=False, at=(2, 1))
    dream(image, fresh)
    facts["off"] = shown_off(image.get_layers()[1], fresh)


def again(facts):
    image, layer, folder = saved("again")
    dream(image, layer, output="linked-layer", seed=7, jitter=4)
    new = image.get_layers()[0]
    first = samples(new)
    facts.update(call("plug-in-deepdream-again", image, [new], seed=8))
    facts["another"] = samples(new) != first
    facts["back"] = call("plug-in-deepdream-again", image, [layer], seed=7)["status"]
    facts["back_same"] = samples(new) == first
    facts["files"], facts["kind"] = files(folder), type(new).__name__
    file = Gio.File.new_for_path(str(folder / "image.xcf"))
    assert Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, file, None)
    moved = HERE / "moved"
    folder.rename(moved)
    other = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(str(moved / "image.xcf")))
    new = other.get_layers()[0]
    facts["moved"] = call("plug-in-deepdream-again", other, [new], seed=9), samples(new) != first, files(moved)


def again_moved(facts):
    """The layer below was moved, and then it grew."""
    image, layer, _folder = saved("again-moved")
    dream(image, layer, output="linked-layer", seed=7, jitter=4)
    new = image.get_layers()[0]
    content = Path(new.get_file().get_path()).read_bytes()
    layer.set_offsets(5, 5)
    facts["moved"] = call("plug-in-deepdream-again", image, [new])["text"]
    facts["same"] = Path(new.get_file().get_path()).read_bytes() == content
    layer.resize(layer.get_width() + 9, layer.get_height() + 5, 4, 2)
    facts.update(call("plug-in-deepdream-again", image, [new]))
    facts["place"] = [
        [one.get_width(), one.get_height(), *list(one.get_offsets())[1:], one.is_link_layer()] for one in (new, layer)
    ]
    fresh = layer.copy()
    image.insert_layer(fresh, None, 0)
    dream(image, fresh, seed=7, jitter=4)
    facts["off"] = shown_off(new, fresh)


def again_locked(facts):
    """The layer below is locked, and does not change; then the dream."""
    image, layer, _folder = saved("again-locked")
    dream(image, layer, output="linked-layer")
    new = image.get_layers()[0]
    layer.set_lock_content(True)
    facts.update(call("plug-in-deepdream-again", image, [layer]))
    layer.set_lock_content(False)
    new.set_lock_content(True)
    facts["locked"] = call("plug-in-deepdream-again", image, [new])["text"]


def hidden(facts):
    """The dream of a hidden layer is hidden too, in its mode, as a plain new layer is."""
    image, layer, _folder = saved("hidden")
    layer.set_visible(False)
    layer.set_mode(Gimp.LayerMode.MULTIPLY)
    layer.set_opacity(50)
    facts.update(dream(image, layer, output="linked-layer"))
    new = image.get_layers()[0]
    facts["as_source"] = new.get_visible(), new.get_mode() == Gimp.LayerMode.MULTIPLY, new.get_opacity()


def strength_0(facts):
    image, layer, _folder = saved("strength")
    facts.update(dream(image, layer, output="linked-layer", strength=0.0))
    facts["off"] = shown_off(image.get_layers()[0], layer)


def refused(facts):
    """A mask, and a dream that fails: nothing is left."""
    image, layer, folder = saved("refused")
    layer.add_mask(layer.create_mask(Gimp.AddMaskType.COPY))
    facts.update(dream(image, layer.get_mask(), output="linked-layer"))
    facts["failed"] = dream(image, layer, output="linked-layer", channels="relu2_1:5000")
    facts["files"], facts["layers"] = files(folder), len(image.get_layers())
    facts["linked"] = dream(image, layer, output="linked-layer")["status"]
    new = image.get_layers()[0]
    before = samples(new)
    facts["again_failed"] = call("plug-in-deepdream-again", image, [new], channels="relu2_1:5000")["status"]
    time.sleep(1)
    facts["again_same"] = samples(new) == before
    facts["again_works"] = call("plug-in-deepdream-again", image, [new])["status"]


def foreign(facts):
    """Somebody lets the layer show another file: it is not written."""
    image, layer, folder = saved("foreign")
    dream(image, layer, output="linked-layer")
    new = image.get_layers()[0]
    photo = folder / "photo.png"
    photo.write_bytes(Path(new.get_file().get_path()).read_bytes())
    new.set_file(Gio.File.new_for_path(str(photo)))
    before = photo.read_bytes()
    facts.update(call("plug-in-deepdream-again", image, [new], seed=8))
    facts["same"] = photo.read_bytes() == before
    mine = folder / "mine" / "image dream 1.png"
    mine.parent.mkdir()
    picture = new_image()
    new_layer(picture, alpha=False)
    assert Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, picture, Gio.File.new_for_path(str(mine)), None)
    before = mine.read_bytes()
    new.set_file(Gio.File.new_for_path(str(mine)))
    facts["namesake"] = call("plug-in-deepdream-again", image, [new], seed=8)["text"]
    facts["namesake_same"] = mine.read_bytes() == before


def several(facts):
    """Two layers are one undo step; a picked channel is in the recipe; a file that is gone comes back, or stays away."""
    image, layer, folder = saved("several")
    other = new_layer(image, alpha=True, name="other")
    other.edit_clear()
    both = [layer, other]
    facts.update(dream(image, both, output="linked-layer", channels="strongest:2"))
    new = [one for one in image.get_layers() if one not in both]
    facts["channels"] = [json.loads(bytes(one.get_parasite(RECIPE).get_data()))["settings"]["channels"] for one in new]
    facts["files"] = files(folder)
    Path(new[0].get_file().get_path()).unlink()
    facts["failed"] = call("plug-in-deepdream-again", image, [new[0]], channels="relu2_1:5000")["status"]
    facts["files_then"] = files(folder)
    facts["again"] = call("plug-in-deepdream-again", image, [new[0]])["status"]
    facts["files_now"] = files(folder)


def unwritable(facts):
    image, layer, folder = saved("unwritable")
    (folder / "image.xcf").unlink()
    folder.rmdir()
    folder.write_text("no folder")
    facts.update(dream(image, layer, output="linked-layer"))
    facts["layers"] = len(image.get_layers())


def read_only(facts):
    """The image lies where nothing can be written."""
    folder = HERE / "read-only"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(folder)], check=True)  # in GIMP's own namespace
    image = new_image()
    layer = new_layer(image, alpha=False)
    assert Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, Gio.File.new_for_path(str(folder / "image.xcf")), None)
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    facts.update(dream(image, layer, output="linked-layer"))
    facts["files"], facts["layers"] = files(folder), len(image.get_layers())


def moved_alone(facts):
    """The image was moved, and the dream's file was not."""
    image, layer, folder = saved("moved-alone")
    dream(image, layer, output="linked-layer", seed=7, jitter=4)
    first = samples(image.get_layers()[0], "R'G'B' u8")
    file = Gio.File.new_for_path(str(folder / "image.xcf"))
    assert Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, file, None)
    other = HERE / "moved-alone-2"
    other.mkdir()
    (folder / "image.xcf").rename(other / "image.xcf")
    image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(str(other / "image.xcf")))
    new = image.get_layers()[0]
    facts["shown"] = samples(new, "R'G'B' u8") == first
    facts.update(call("plug-in-deepdream-again", image, [new], seed=9))
    facts["changed"], facts["file"] = samples(new, "R'G'B' u8") != first, new.get_file().get_path()
    facts["files"] = files(folder), files(other)


def killed(facts):
    """Grows while it is dreamed; the test kills the plug-in in the middle."""
    image, layer, folder = saved("killed", width=256, height=256)
    layer = new_layer(image, alpha=False, width=256, height=256, name="growing")
    shown, stop = set(), threading.Event()

    def look():
        while not stop.wait(0.2):
            for one in folder.glob("*.png"):
                if not one.name.startswith("."):
                    shown.add(hash(one.read_bytes()))

    looking = threading.Thread(target=look)
    looking.start()
    report(began="killed")
    facts.update(dream(image, layer, output="linked-layer", layer="relu5_4", iterations=1000, octaves=1))
    stop.set()
    looking.join()
    facts["pictures"], facts["files"] = len(shown), files(folder)
    new = image.get_layers()[0]
    facts["kind"], facts["readable"] = type(new).__name__, Path(new.get_file().get_path()).stat().st_size > 0
    facts["again"] = call("plug-in-deepdream-again", image, [new], iterations=1)["status"]
    fresh = new_layer(image, alpha=False, width=256, height=256)
    dream(image, fresh, layer="relu5_4", iterations=1, octaves=1)
    facts["off"] = shown_off(new, fresh)
