"""A dream in a file that a link layer of GIMP 3.2 shows: written again and again, it grows on the canvas.

GIMP looks at the file's folder and loads a file that takes the place of the one before; it misses what is written into the
same file (seen in 3.2.6). So each picture is written under another name first.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import re
import struct
import time
import zlib
from pathlib import Path

import canvas
import gi
import kinds
import pixels
from plugin_errors import PluginError
from words import _

gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
from gi.repository import Gegl, Gimp, Gio, GLib  # noqa: E402

SHOWN_WITHIN_S = 10.0
"""GIMP shows a new file after 0.1 to 1 s; scripts that read the layer afterwards rely on it."""
ABANDONED_S = 600.0
"""A part that was not written for so long will never be complete."""
MARK = "deepdream-dream"
"""In the files that are ours: as the name of a PNG's text, and of a parasite of an XCF's image."""
_NEAR = 3
"""In 8 bits: how far what GIMP loads from a file may be from what was saved."""


class LinkedDream:
    """The file of a target's dream, and the link layer that shows it: a new one, or the target's earlier dream.

    The file of that, which `check_own` has seen, is written again. What is selected now is dreamed, whatever is selected
    while it grows. Raises `PluginError` when no file can be made.
    """

    def __init__(self, target: canvas.Target, name: str) -> None:
        self.target = target
        self._mask = pixels.mask_of(target.drawable)
        self._took_s, self._wrote_at = 0.0, -math.inf
        self.path = _free_path(target) if target.onto is None else file_of(target.onto)
        self._before = _content(self.path)
        self.layer = self._inserted(name) if target.onto is None else target.onto

    def _inserted(self, name: str) -> Gimp.Layer:
        image, below = self.target.image, self.target.drawable
        self.write(None)
        layer = Gimp.LinkLayer.new(image, Gio.File.new_for_path(str(self.path)))
        image.insert_layer(layer, below.get_parent(), image.get_item_position(below))
        canvas.look_like(layer, below)
        layer.set_name(name)
        canvas.copy_mask(below, layer)
        Gimp.displays_flush()
        return layer

    def grow(self, dreamed: bytes) -> None:
        """Write a picture so far, unless writing would take more than a fifth of the time; raises as `wait`."""
        self._check("")
        try:
            self.target.check()
        except PluginError:
            return  # the end says so, when "last result" can bring the dream
        if time.monotonic() - self._wrote_at > 5 * self._took_s:
            began = time.monotonic()
            self.write(dreamed)
            self._wrote_at = time.monotonic()
            self._took_s = self._wrote_at - began

    def write(self, dreamed: bytes | bytearray | None) -> bytes:
        """Write the file, with the dream in the selected part; return some of its pixels, for `wait`."""
        picture = self._picture(dreamed)
        part = self._part
        try:
            saved = Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, picture, Gio.File.new_for_path(str(part)), None)
            if not saved:
                raise PluginError(self._unwritten(Gimp.get_pdb().get_last_error()), _("choose another output"), "link")
            if part.suffix == ".png":
                _mark_png(part)
            part.replace(self.path)
            return self._some_pixels(picture.get_layers()[0])
        except (OSError, GLib.Error) as error:
            raise PluginError(self._unwritten(str(error)), _("choose another output"), "link") from None
        finally:
            picture.delete()
            with contextlib.suppress(OSError):
                part.unlink()

    def wait(self, written: bytes) -> None:
        """Wait until GIMP shows what was written last; raises `PluginError` when the layer was deleted."""
        end = time.monotonic() + SHOWN_WITHIN_S
        while time.monotonic() < end:
            self._check(canvas.STILL)
            if _alike(self._some_pixels(self.layer), written):
                return
            time.sleep(0.1)

    def _check(self, advice: str) -> None:
        if not canvas.exists(self.target.image, self.layer):
            raise PluginError(_("The layer no longer exists"), advice, "gone")

    def give_up(self) -> None:
        """Take everything back after a failure: remove a new layer and its file, or write the file as it was.

        GIMP's undo brings the layer back as a plain one, as it would show nothing without its file.
        """
        if self.target.onto is None and canvas.exists(self.target.image, self.layer):
            with canvas.no_step(self.target.image):
                self.layer.rasterize()
            self.target.image.remove_layer(self.layer)
        with contextlib.suppress(OSError):
            if self._before is None:
                self.path.unlink()
            else:
                self._part.write_bytes(self._before)
                self._part.replace(self.path)

    @property
    def _part(self) -> Path:
        return _part_of(self.path)

    def _unwritten(self, why: str) -> str:
        return _("{file} cannot be written: {why}").format(file=str(self.path), why=why)

    def _some_pixels(self, layer: Gimp.Layer) -> bytes:
        inner = self.target.part.inner
        rows = min(inner.height, max(1, 20000 // inner.width))
        where = Gegl.Rectangle.new(inner.x, inner.y + (inner.height - rows) // 2, inner.width, rows)
        return bytes(layer.get_buffer().get(where, 1.0, "Y'A u8", Gegl.AbyssPolicy.NONE))

    def _picture(self, dreamed: bytes | bytearray | None) -> Gimp.Image:
        """Return an image with the layer's pixels and the dream in the selected part of them."""
        image, layer = self.target.image, self.target.drawable
        width, height = layer.get_width(), layer.get_height()
        picture = Gimp.Image.new_with_precision(width, height, image.get_base_type(), image.get_precision())
        picture.undo_disable()
        picture.attach_parasite(Gimp.Parasite.new(MARK, Gimp.PARASITE_PERSISTENT, b"1"))
        if image.get_color_profile():
            picture.set_color_profile(image.get_color_profile())
        copy = Gimp.Layer.new(picture, "dream", width, height, layer.type(), 100.0, Gimp.LayerMode.NORMAL)
        picture.insert_layer(copy, None, 0)
        canvas.copy_pixels(layer, copy)
        if dreamed is None:
            return picture
        if self._mask is not None:
            pixels.select(picture, self._mask)
        pixels.write(picture, copy, self.target.part, bytearray(dreamed), self.target.shape[2])
        Gimp.Selection.none(picture)
        return picture


def _alike(shown: bytes, written: bytes) -> bool:
    """Return whether gray pixels with alpha look the same; files need not keep what lies below alpha 0."""
    return len(shown) == len(written) and all(
        abs(shown[i + 1] - written[i + 1]) <= _NEAR and (not written[i + 1] or abs(shown[i] - written[i]) <= _NEAR)
        for i in range(0, len(written), 2)
    )


def check_own(layer: Gimp.Layer, name: str) -> None:
    """Raise `PluginError` unless a link layer shows the file of its dream: it is perhaps somebody's photograph."""
    path = file_of(layer)
    content = _content(path)
    if path.name != name or (content is not None and MARK.encode() not in content):
        raise PluginError(
            _("The layer shows another file than that of its dream"), _("dream it with DeepDream… instead"), "link"
        )


def _content(path: Path) -> bytes | None:
    """Return what is in a file, None if there is none; raises `PluginError` for one that cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        what = _("{file} cannot be read: {why}").format(file=str(path), why=error.strerror)
        raise PluginError(what, _("choose another output"), "link") from None


def _mark_png(path: Path) -> None:
    """Put our mark into a PNG, before its last chunk."""
    with path.open("r+b") as file:
        file.seek(-12, os.SEEK_END)
        end = file.read()
        chunk = b"tEXt" + MARK.encode() + b"\0" + b"1"
        file.seek(-12, os.SEEK_END)
        file.write(struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + end)


def _part_of(path: Path) -> Path:
    """Return what a file is called until it is complete."""
    return path.with_name(f".{path.stem}.part{path.suffix}")


def _free_path(target: canvas.Target) -> Path:
    """Return a new file beside the XCF, or in the user's data folder for an image that has none: its part exists."""
    file = target.image.get_file()
    beside = Path(file.get_path()) if file and file.get_path() else None
    if beside is None or ".xcf" not in beside.suffixes:
        beside = Path(GLib.get_user_data_dir(), "deepdream", "linked", "image")
    suffix = ".png" if pixels.sample_of(target.drawable) in ("u8", "u16") else ".xcf"
    stem = beside.name.partition(".xcf")[0]
    try:
        beside.parent.mkdir(parents=True, exist_ok=True)
        _sweep(beside.parent, stem)
        for number in itertools.count(1):
            path = beside.with_name(f"{stem} dream {number}{suffix}")
            with contextlib.suppress(FileExistsError):
                os.close(os.open(_part_of(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
                if not path.exists():
                    break
                _part_of(path).unlink()
    except OSError as error:
        what = _("{file} cannot be written: {why}").format(file=error.filename, why=error.strerror)
        raise PluginError(what, _("choose another output"), "link") from None
    return path


def _sweep(folder: Path, stem: str) -> None:
    """Remove parts of this image's dreams that nobody writes any more: GIMP was killed meanwhile."""
    for part in folder.iterdir():
        if re.fullmatch(rf"\.{re.escape(stem)} dream \d+\.part\.\w+", part.name):
            with contextlib.suppress(OSError):
                if time.time() - part.stat().st_mtime > ABANDONED_S:
                    part.unlink()


def file_of(layer: Gimp.Layer) -> Path:
    """Return the file that a link layer shows."""
    file = layer.get_file()
    return Path((file.get_path() if file else None) or "")


def is_linked(layer: Gimp.Drawable) -> bool:
    """Return whether a layer shows a file."""
    return hasattr(layer, "is_link_layer") and bool(layer.is_link_layer()) and kinds.is_live(layer)
