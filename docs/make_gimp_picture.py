"""Makes docs/gimp-dialog.png: the dialog in a real GIMP with a finished preview, its presets open beside it.

`python docs/make_gimp_picture.py [3.0|3.2]`, as root on Linux, where it builds the GIMP that the tests use.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image
from skimage import data

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "tests"))

from gimp_root import root_for  # noqa: E402
from helper_process import until  # noqa: E402
from test_gimp_dialog import Person, somebody  # noqa: E402


def taken(person: Person, window: str, file: Path) -> Image.Image:
    """Return what is on the screen where a window is, its frame not included."""
    place = person.place(window)
    with Image.open(person.shown.picture(file)) as picture:
        return picture.convert("RGB").crop(place)


def main(series: str = "3.2") -> None:
    """Open the dialog on scikit-image's astronaut, wait for the preview, then open the presets."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Image.fromarray(data.astronaut()).save(folder / "photo.png")
        with somebody(root_for(series), folder, photo=folder / "photo.png") as (person, helper):
            dialog = person.opens_the_dialog()
            until(lambda: any(job["priority"] == "preview" for job in helper.status()["jobs"]), 60)
            until(lambda: not helper.status()["jobs"], 600, 1)
            person.sees_something(dialog)
            plain = taken(person, dialog, folder / "plain.png")
            person.press(dialog, "alt+p")
            until(lambda: taken(person, dialog, folder / "open.png") != plain, 10)
            person.rests()
            presets = taken(person, dialog, folder / "open.png")
    page = Image.new("RGB", (plain.width + presets.width + 12, max(plain.height, presets.height)), "white")
    page.paste(plain, (0, 0))
    page.paste(presets, (plain.width + 12, 0))
    page.save(DOCS / "gimp-dialog.png", optimize=True)
    print(DOCS / "gimp-dialog.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
