"""Photographs: files ↔ float planes, with everything that must survive the trip, and a receipt for what cannot.

::

    formats, receipt    what there is to know about formats, and the words for what became of a photograph's parts
    ifd, exif, exif_values, xmp, container, tiff_edit    metadata, bytes in and bytes out
    frame, icc, colour  samples, profiles, and conversions between them
    described, profile  what else tells colours; the one profile that they are in
    animation, stacks   frames as a viewer shows them; slices as the texts of programs tell them
    decoded             what every decoder returns
    with_pillow, tiff_pages, with_tifffile, with_heif, with_jxl    one border to one library each
    convert, bearing    fitting into a format; where a recipe stands
    written, check, file    what a finished file says; the receipt compared with it; reading and writing
"""

from deepdream_core.photo.file import (
    Photo,
    WriteOptions,
    check_target,
    read_photo,
    recipe_text,
    write_photo,
)
from deepdream_core.photo.formats import ENDINGS, FORMATS, RAW_ENDINGS, format_named
from deepdream_core.photo.frame import Frame
from deepdream_core.photo.receipt import Entry, Receipt
from deepdream_core.photo.recipe_storage import sidecar_of

__all__ = [
    "ENDINGS", "FORMATS", "RAW_ENDINGS", "Entry", "Frame", "Photo", "Receipt", "WriteOptions", "check_target",
    "format_named", "read_photo", "recipe_text", "sidecar_of", "write_photo",
]  # fmt: skip
