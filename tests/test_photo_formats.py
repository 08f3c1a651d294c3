"""A format is one row: its modules fit, its files are recognised, and a new row is all that a new format needs."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from deepdream_core.errors import DamagedPictureError, PictureError
from deepdream_core.photo import container, formats, read_photo, write_photo
from deepdream_core.photo.codecs import Codec, codec_of, pillow
from deepdream_core.photo.container import Blocks
from deepdream_core.photo.decoded import Coding, Decoded
from deepdream_core.photo.formats import ENDINGS, FORMATS, HEAD, Format, may_begin, recognised
from deepdream_core.photo.frame import Frame

if TYPE_CHECKING:
    from pathlib import Path

PICTURE = Image.fromarray(getattr(data, "astronaut")()[:48, :64])  # noqa: B009


@pytest.mark.parametrize("name", FORMATS)
def test_the_modules_of_a_row_offer_what_is_called(name: str) -> None:
    row = FORMATS[name]
    for function in ("decode", "encode", "facts_of"):
        wanted = len(inspect.signature(getattr(Codec, function)).parameters) - 1
        assert len(inspect.signature(getattr(codec_of(name), function)).parameters) == wanted
    if row.container:
        module = container._container(name)
        offered = {function for function in dir(module) if callable(getattr(module, function))}
        needed = {"blocks_of", "with_xmp"}
        needed |= set() if row.encoder_writes_blocks else {"with_blocks"}
        assert offered >= (needed | {"resolution_block"} if row.resolution == "block" else needed)


@pytest.mark.parametrize("name", FORMATS)
def test_a_written_file_is_recognised_from_its_first_byte_on(name: str, tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "a.png")
    photo = replace(read_photo(tmp_path / "a.png", max_megapixels=10), untouched=False)
    path = tmp_path / f"b{FORMATS[name].endings[0]}"
    write_photo(photo, path, overwrite=False)
    head = path.read_bytes()[:HEAD]
    assert recognised(head) == name
    assert all(may_begin(head[:length]) for length in range(1, HEAD))


def test_a_new_row_and_its_codec_are_a_new_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("deepdream_core.photo.codecs.ppm")

    def decode(file: bytes, max_megapixels: float, white: float | None = None) -> Decoded:
        with pillow.opened(file, "PPM") as image:
            return Decoded((Frame(pillow.samples_of(image), 255.0),), Blocks(), Coding())

    module.decode = decode
    module.encode = lambda frames, *_: pillow.saved(pillow.image_of(frames[0]), "PPM")
    module.facts_of = lambda file: pillow.facts_of(file, "PPM", Blocks())
    monkeypatch.setitem(sys.modules, module.__name__, module)
    row = Format(
        name="PPM", title="PPM", endings=(".ppm",), codec="ppm", starts=(b"P6",), icc=False, exif=False, xmp=False
    )
    monkeypatch.setitem(FORMATS, "PPM", row)
    monkeypatch.setitem(ENDINGS, ".ppm", "PPM")
    PICTURE.save(tmp_path / "a.ppm")
    photo = read_photo(tmp_path / "a.ppm", max_megapixels=10)
    assert photo.format == "PPM"
    changed = photo.with_frames([replace(photo.frames[0], samples=255 - photo.frames[0].samples)])
    write_photo(changed, tmp_path / "b.ppm", recipe="seed: 1\n", overwrite=False)
    again = read_photo(tmp_path / "b.ppm", max_megapixels=10)
    assert np.array_equal(again.frames[0].samples, 255 - np.array(PICTURE))
    assert again.recipe == "seed: 1\n"
    assert formats.format_named("ppm") == "PPM"


def test_no_library_of_another_format_is_imported(tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "a.png")
    script = (
        "import sys; from deepdream_core.photo import ENDINGS\n"
        "assert not {'numpy', 'PIL'} & set(sys.modules), 'the names alone load no library'\n"
        "from pathlib import Path; from deepdream_core.photo import read_photo\n"
        "read_photo(Path(sys.argv[1]), max_megapixels=1)\n"
        "assert not {'tifffile', 'imagecodecs', 'pillow_heif', 'pillow_jxl'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.png")], check=True)


def test_a_library_that_is_missing_is_not_a_damaged_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PICTURE.save(tmp_path / "a.png")
    write_photo(read_photo(tmp_path / "a.png", max_megapixels=10), tmp_path / "a.jxl", overwrite=False)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(
        PictureError, match=r"a\.jxl: a library for its format cannot be loaded \(imagecodecs\)"
    ) as caught:
        read_photo(tmp_path / "a.jxl", max_megapixels=10)
    assert not isinstance(caught.value, DamagedPictureError)
