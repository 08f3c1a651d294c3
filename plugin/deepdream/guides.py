"""The guides' pixels, from layers of open images and from files."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import gi
import pixels
import what
from plugin_errors import PluginError
from words import _

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp, Gio, GLib  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping

    import jobs

    from deepdream_core.link import wire
else:  # the copy beside this file
    from link import wire

_read_files: dict[str, jobs.Guide] = {}
"""What files held: while the dialog is open, each preview needs them."""


def read(arguments: Mapping[str, Any], settings: Mapping[str, Any]) -> list[jobs.Guide]:
    """Return the guides that the settings name: those of the arguments, else the preset's files.

    Raises `PluginError` for a layer that was deleted, and for a file that GIMP cannot open.
    """
    if not settings["guides"]:
        return []
    chosen = [arguments[name] for name in what.GUIDES if arguments[name] is not None]
    files = (Gio.File.new_for_path(os.path.expanduser(guide["file"])) for guide in settings["guides"])
    return [_of_file(each) if isinstance(each, Gio.File) else _of_drawable(each) for each in chosen or files]


def _of_drawable(drawable: Gimp.Drawable) -> jobs.Guide:
    if not drawable.is_valid():
        raise PluginError(_("The layer to dream toward no longer exists"), _("choose another one"), "guide")
    samples, width, height = pixels.read_guide(drawable, wire.GUIDE_PIXELS)
    return samples, "uint16", (height, width, 3)


def _of_file(file: Gio.File) -> jobs.Guide:
    uri = file.get_uri()
    if uri not in _read_files:
        image = _loaded(file)
        try:
            merged = image.merge_visible_layers(Gimp.MergeType.CLIP_TO_IMAGE)
            if merged is None:
                raise _unusable(file, _("it has no visible layer"))
            _read_files[uri] = _of_drawable(merged)
        finally:
            image.delete()
    return _read_files[uri]


def _loaded(file: Gio.File) -> Gimp.Image:
    image, why = None, ""
    try:
        if file.query_exists():
            image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, file)
        else:
            why = os.strerror(errno.ENOENT)
    except GLib.Error as error:
        why = error.message
    if image is None:  # some of its loaders fail without an error
        raise _unusable(file, why or Gimp.get_pdb().get_last_error())
    return image


def _unusable(file: Gio.File, why: str) -> PluginError:
    what = _("GIMP cannot open the guide {file}: {why}").format(file=file.get_parse_name(), why=why)
    return PluginError(what, _("choose another picture"), "guide")
