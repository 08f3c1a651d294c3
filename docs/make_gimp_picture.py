"""Makes docs/gimp-dialog.png: the dialog in a real GIMP with a finished preview, and the same with the presets open.

`python docs/make_gimp_picture.py`, on Linux as root: it builds and uses the GIMP that the tests use.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from skimage import data

if TYPE_CHECKING:
    from collections.abc import Callable

    from helper_process import Helper

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "tests"))

from gimp_root import SERIES, root_for  # noqa: E402
from helper_process import until  # noqa: E402
from test_gimp_dialog import somebody  # noqa: E402

GAP = 12


def main() -> None:
    """Open the dialog on scikit-image's astronaut, wait for its preview, then open the presets."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Image.fromarray(data.astronaut()).save(folder / "photo.png")
        with somebody(root_for(SERIES[-1]), folder, folder / "photo.png") as (person, helper):
            window = person.opens_the_dialog()
            person.shown.xdotool("mousemove", 0, 0)  # else a tooltip covers a part
            until(lambda: [job["state"] for job in jobs_of(helper, "background")] == ["done"], 600, 1)
            dialog = at_rest(lambda: person.looks("--window", window))
            person.press(window, "alt+p")
            presets = at_rest(lambda: person.looks("--window", window), dialog)
    page = Image.new("RGB", (2 * dialog.width + GAP, dialog.height), "white")
    page.paste(dialog, (0, 0))
    page.paste(presets, (dialog.width + GAP, 0))
    page.save(DOCS / "gimp-dialog.png", optimize=True)
    print(DOCS / "gimp-dialog.png")


def jobs_of(helper: Helper, priority: str) -> list[dict[str, Any]]:
    """Return the helper's jobs with a priority."""
    return [job for job in helper.status()["jobs"] if job["priority"] == priority]


def at_rest(look: Callable[[], Image.Image], but: Image.Image | None = None) -> Image.Image:
    """Return what is seen once it stays the same for a second, and is not `but`."""
    seen = [look()]

    def rests() -> bool:
        seen.append(look())
        return seen[-1] == seen[-2] != but

    until(rests, 30, 1)
    return seen[-1]


if __name__ == "__main__":
    main()
