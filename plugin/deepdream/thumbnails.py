"""The presets' thumbnails: those that DeepDream comes with, and those that were made here at first sight."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cache
import gi
import guides
from plugin_errors import REINSTALL, PluginError
from series import Order
from widgets import THUMBNAIL, pixbuf

gi.require_version("Gtk", "3.0")
from gi.repository import GdkPixbuf, GLib  # noqa: E402

if TYPE_CHECKING:
    from facts import Facts

FOLDER = Path(__file__).resolve().parent / "thumbnails"
PHOTOGRAPH = FOLDER / "photograph.jpg"
KEPT = 500
"""So many thumbnails are kept; the oldest go first."""
_NO_GUIDE = {"guide": None, "guide-file": None}


def load(preset: str, facts: Facts, smaller: int = 1) -> GdkPixbuf.Pixbuf | None:
    """Return a preset's thumbnail, None where it has none yet."""
    about = facts.presets[preset]
    files = [FOLDER / f"{preset}.png"] if about.get("pictured") else []
    for file in (*files, _made(about["settings"], facts)):
        with contextlib.suppress(GLib.Error):  # none yet, damaged or deleted
            return GdkPixbuf.Pixbuf.new_from_file_at_scale(str(file), *(px // smaller for px in THUMBNAIL), True)
    return None


def order(preset: str, facts: Facts) -> Order:
    """Return what to dream for a thumbnail; raises `PluginError`."""
    settings = facts.presets[preset]["settings"]
    try:
        photograph = GdkPixbuf.Pixbuf.new_from_file(str(PHOTOGRAPH))
    except GLib.Error as error:
        raise PluginError(error.message, REINSTALL, "internal") from None
    width, height, row = photograph.get_width(), photograph.get_height(), photograph.get_rowstride()
    samples = photograph.get_pixels()
    packed = b"".join(samples[y * row : y * row + 3 * width] for y in range(height))
    return Order(packed, (height, width, 3), settings, guides.read(_NO_GUIDE, settings))


def keep(made: Order, facts: Facts, samples: bytearray) -> GdkPixbuf.Pixbuf:
    """Return a dreamed photograph as a thumbnail, and keep it for later."""
    height, width, channels = made.shape
    dreamed = pixbuf(bytes(samples), width, height, channels)
    small = dreamed.scale_simple(*THUMBNAIL, GdkPixbuf.InterpType.HYPER)
    written, content = small.save_to_bufferv("png", [], [])
    if written:
        file = _made(made.settings, facts)
        cache.keep(file, content)
        for old in sorted(file.parent.glob("*.png"), key=_age)[:-KEPT]:
            old.unlink(missing_ok=True)
    return small


def _made(settings: dict[str, Any], facts: Facts) -> Path:
    """Return the file of a thumbnail that was made here: its name changes with all that it depends on."""
    pictures = [_age(Path(guide["file"]).expanduser()) for guide in settings["guides"]]
    parts = json.dumps([facts.version, settings, pictures], sort_keys=True)
    return cache.folder() / "thumbnails" / f"{hashlib.sha256(parts.encode()).hexdigest()[:32]}.png"


def _age(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
