"""The preview of every kind of layer in a real GIMP's dialog: it shows what OK then puts on the canvas, dreamed once."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from gimp_root import SERIES, GimpRoot, root_or_skip, screen, start_gimp
from helper_process import running_helper, until
from plugin_folder import sight
from test_gimp import Place
from test_gimp_dialog import DIALOG, Person, complaints
from test_gimp_preview import dreams, finished, focuses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

CASES = (
    "gray", "hole", "mask", "channel", "one pixel", "wide", "ellipse", "partly outside", "16 bit", "float", "opacity",
    "opacity, 16 bit",
)  # fmt: skip
ROOM = (384, 288)
"""The preview's size in a window that nobody has made larger."""
CHECKS = (0x66, 0x99)
_SRGB = np.arange(256) / 255
LINEAR = np.rint(np.where(_SRGB <= 0.04045, _SRGB / 12.92, ((_SRGB + 0.055) / 1.055) ** 2.4) * 255).astype(np.int16)
"""sRGB's values as light, in which GIMP holds a mask."""


@pytest.fixture(scope="module", params=SERIES)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    root: GimpRoot = root_or_skip(request.param)
    with root.folder() as folder, pytest.MonkeyPatch.context() as patch, ExitStack() as ending:
        patch.setenv("OMP_NUM_THREADS", "1")
        helper = ending.enter_context(running_helper(folder / "helper"))
        helper.client().warm()
        yield Place(root, folder, helper)


def told(person: Person, key: str, name: str) -> dict[str, Any]:
    """Wait for what the script reports of a case."""

    def found() -> list[dict[str, Any]]:
        assert person.gimp.process.poll() is None, person.gimp.result()
        return [one for one in person.gimp.reports() if one.get(key) == name]

    answer: dict[str, Any] = until(found, 60)[0]
    return answer


def apart(one: NDArray[np.int16], other: NDArray[np.int16]) -> NDArray[np.int16]:
    """How far pixels are apart in 8 bits, of values or of light, whose steps are larger in dark places."""
    differences = [np.abs(one - other), np.abs(LINEAR[one] - LINEAR[other])]
    nearer: NDArray[np.int16] = np.minimum(*differences).max(axis=-1)
    return nearer


def mismatch(picture: NDArray[np.int16], wanted: NDArray[np.int16], counts: NDArray[np.bool_], zoom: int) -> int:
    """Return the largest difference, of pixels that count, where on the picture the wanted one fits best."""
    rows, columns = np.nonzero(counts)
    some = np.random.default_rng(0).permutation(len(rows))[:60]
    height, width = (side * zoom for side in counts.shape)
    down, across = picture.shape[0] - height + 1, picture.shape[1] - width + 1
    worst = np.zeros((down, across), np.int16)
    for row, column in zip(rows[some], columns[some], strict=True):
        y, x = row * zoom + zoom // 2, column * zoom + zoom // 2
        there = picture[y : y + down, x : x + across]
        np.maximum(worst, np.abs(there - wanted[row, column]).max(axis=2), out=worst)
    top, left = np.unravel_index(int(worst.argmin()), worst.shape)
    there = picture[top + zoom // 2 : top + height : zoom, left + zoom // 2 : left + width : zoom]
    return int(apart(there, wanted)[counts].max())


def looked_for(name: str, pixels: NDArray[np.uint8], inner: list[int]) -> tuple[NDArray[np.uint8], int]:
    """What of the result is seen, and at which zoom."""
    x, y, width, height = inner
    seen = pixels[y : y + height, x : x + width]
    if name == "wide":
        return seen[50:250, 1900:2100], 1
    return seen, int(sight.Sight(width, height, *ROOM).fitting)


@pytest.fixture(scope="module")
def person(place: Place, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Person]:
    folder = place.root.inside(place.scripts)
    own = [item for item in request.session.items if item.path == request.path and isinstance(item, pytest.Function)]
    asked = {item.callspec.params["name"] for item in own}
    names = [name for name in CASES if name in asked]
    script = f"import sys; sys.path.insert(0, {folder!r}); import previewed; previewed.main(*{names})"
    with (
        screen(place.root) as shown,
        start_gimp(place.root, script, display=shown.display, plug_in_folder=place.plug_in, quit_after=False) as gimp,
    ):
        shown.xdotool("mousemove", 1279, 899)  # where no tooltip covers the preview
        yield Person(shown, gimp, tmp_path_factory.mktemp("seen"))


@pytest.mark.slow("GIMP's dialog")
@pytest.mark.parametrize("name", CASES)
def test_the_preview_shows_what_ok_puts_on_the_canvas(place: Place, person: Person, name: str) -> None:
    (place.scripts / f"{name}.begin").touch()
    begins = told(person, "begins", name)
    assert begins["result"]["status"] == "success", begins
    width, height = begins["size"]

    def pixels(kind: str) -> NDArray[np.uint8]:
        return np.frombuffer((place.scripts / f"{name}.{kind}").read_bytes(), np.uint8).reshape(height, width, 4)

    until(
        lambda: any(
            job["priority"] in ("preview", "background") and job["state"] != "cancelled"
            for job in place.helper.status()["jobs"]
        ),
        30,
    )
    person.press(until(lambda: person.shown.windows(DIALOG))[-1], "Escape")
    cancelled = told(person, "cancelled", name)
    assert (cancelled["status"], cancelled["same"]) == ("cancel", True)
    until(lambda: {job["state"] for job in place.helper.status()["jobs"]} <= {"cancelled"}, 10)
    (place.scripts / f"{name}.go").touch()

    dialog = until(lambda: person.shown.windows(DIALOG))[-1]
    before = len(dreams(place.helper))
    if name == "channel":
        person.press(dialog, "alt+u", "Tab", "space")
    if name == "wide":
        focuses(person, dialog)
        person.shown.xdotool("key", "1")
    wanted, zoom = looked_for(name, pixels("wanted"), begins["inner"])
    opaque = wanted[..., 3] == 255
    counts = opaque.copy()
    if name == "ellipse":
        selection = np.frombuffer((place.scripts / f"{name}.selection").read_bytes(), np.uint8)
        x, y, across, down = begins["inner"]
        half = selection.reshape(height, width)[y : y + down, x : x + across]
        counts &= (half == 0) | (half == 255)  # GIMP blends what is half selected in another space

    def off() -> int:
        seen = np.asarray(person.looks("--window", dialog), np.int16)
        return mismatch(seen, wanted[..., :3].astype(np.int16), counts, zoom)

    try:
        until(lambda: off() <= 1, 30, 0.2)
    finally:
        person.shown.picture(person.folder / f"{name}.png")

    if name == "hole":
        seen = np.asarray(person.looks("--window", dialog), np.int16)
        checks = np.where(opaque[..., None], wanted[..., :3], CHECKS[0]).astype(np.int16)
        assert mismatch(seen, checks, np.ones_like(opaque), zoom) <= CHECKS[1] - CHECKS[0]

    finished(place.helper)  # a small layer's quick preview looks the same already
    person.press(dialog, "alt+o")
    done = told(person, "done", name)
    assert done["result"]["status"] == "success", done
    assert (pixels("got") == pixels("wanted")).all(), "the very same as without the dialog"
    own = [one for one in dreams(place.helper)[before:] if one[1] == "float32"]
    assert own == [("background", "float32", "done")], "nothing is dreamed twice"
    if name.startswith("opacity"):
        assert done["layers"] == [pytest.approx(40), 100]
    assert complaints(person.gimp.result().stderr) == []
