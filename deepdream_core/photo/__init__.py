"""Photographs: files ↔ float planes, with everything that must survive, and a receipt for what cannot.

::

    reading, writing    files
    formats             one row for each format; its codec and container are imported when a file needs them
    codecs              a module for each format: decode, encode, read back
    container           a module for each format: metadata in the file's structure
    decoded, facts      what codecs return
    convert, profile    fitting a photograph into a format
    receipt, receipt_check, recipe_storage    what became of its parts; where a dream's recipe is kept
    frame, animation, stacks, scale    samples; frames as a viewer shows them; slices of a TIFF; white in floating point
    icc, colour, colour_tags    profiles, conversions, and colours described elsewhere than in a profile
    ifd, exif, exif_values, tiff_edit, xml, xmp    metadata blocks, bytes in and bytes out

Importing this package loads the formats alone: `--help` and completion must not wait for NumPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from deepdream_core.photo.formats import ENDINGS, FORMATS, RAW_ENDINGS, format_named

if TYPE_CHECKING:
    from deepdream_core.photo.frame import Frame
    from deepdream_core.photo.reading import Photo, read_photo, recipe_text
    from deepdream_core.photo.receipt import Entry, Receipt
    from deepdream_core.photo.recipe_storage import sidecar_of
    from deepdream_core.photo.writing import WriteOptions, check_target, write_photo

__all__ = [
    "ENDINGS", "FORMATS", "RAW_ENDINGS", "Entry", "Frame", "Photo", "Receipt", "WriteOptions", "check_target",
    "format_named", "read_photo", "recipe_text", "sidecar_of", "write_photo",
]  # fmt: skip

_MODULES = {
    "Frame": "frame", "Photo": "reading", "read_photo": "reading", "recipe_text": "reading", "Entry": "receipt",
    "Receipt": "receipt", "sidecar_of": "recipe_storage", "WriteOptions": "writing", "check_target": "writing",
    "write_photo": "writing",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
