"""Damaged, cut, spliced and crafted files end in a picture or in one line: no traceback, no crash, no hang, no gigabyte.

Each file goes through the real decoders, and when it is read through the real encoders, in a process of its own that may
die. What failed is kept, by its name, in the folder that the failure names.
"""

from __future__ import annotations

import ast
import io
import json
import os
import re
import selectors
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from hostile_pictures import Hostile, crafted, foreign, interlaced_png, mutations, parts_of, photograph, samples
from PIL import Image

from deepdream_core import photo
from deepdream_core.errors import PictureError
from deepdream_core.photo import ENDINGS, read_photo, write_photo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

pytestmark = pytest.mark.slow("hostile pictures")

SEED = int(os.environ.get("DEEPDREAM_HOSTILE_SEED", "1"))
CUTS = int(os.environ.get("DEEPDREAM_HOSTILE_CUTS", "10"))
OTHERS = int(os.environ.get("DEEPDREAM_HOSTILE_OTHERS", "27"))
"""How many files are made of each sample; set them higher, and another seed, for a search of an hour."""

LONGEST_S = 10.0
LONGEST_WRITING_S = 60.0
MOST_MB = 1000.0
WORKER = Path(__file__).with_name("hostile_worker.py")


@dataclass
class Outcomes:
    """What became of many files; `failures` in words, each with the file's name."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0, "")
    largest: tuple[float, str] = (0, "")

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.counts.items()))
        slowest, largest = f"{self.slowest[0]:.1f} s, {self.slowest[1]}", f"{self.largest[0]:.0f} MB, {self.largest[1]}"
        return f"{counts}; slowest {slowest}; most {largest}"


class Worker:
    """The process that reads and writes; started again when it dies or has to be ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.errors: IO[bytes] = (folder / "stderr").open("w+b")
        self.process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        self.errors.seek(0)
        self.errors.truncate()
        command = [sys.executable, str(WORKER)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self.errors.close()

    def _end(self) -> int:
        self.process.kill()
        code = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
        return code

    def ask(self, path: Path | None, limit_s: float) -> dict[str, Any]:
        """Return what became of reading a file, or of writing what was read; `crashed` and `hung` are outcomes too."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(str(path or "")).encode() + b"\n")
        self.process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            line = self.process.stdout.readline() if selector.select(limit_s) else None
        if line:
            answer: dict[str, Any] = json.loads(line)
        else:
            code = self._end()
            outcome, message = ("hung", "") if line is None else ("crashed", f"with {code}")
            answer = {"outcome": outcome, "message": message, "seconds": limit_s, "peak_mb": 0.0, "strange": []}
            self.process = self._started()
        self.errors.seek(0)
        answer["stderr"] = self.errors.read().decode("utf-8", "replace")
        self.errors.seek(0)
        self.errors.truncate()
        return answer


@cache
def own_words() -> re.Pattern[str]:
    """Return what matches each text that the package's sources hold, with anything where a value stands in it."""
    texts: set[str] = set()
    for source in Path(photo.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(re.escape(node.value))
            elif isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else None for part in node.values)
                texts.add("".join(r"[^(]+" if part is None else re.escape(str(part)) for part in parts))
    return re.compile("|".join(text for text in sorted(texts) if len(text.replace(r"[^(]+", "")) >= 8))


def is_own(message: str) -> bool:
    """Say whether a message is this program's own: what happened, perhaps a reason in brackets, and what to do next."""
    what, _, step = message.partition(" — ")
    damage = re.fullmatch(r"(?:truncated or damaged|cannot be encoded) \((.+)\)", what)
    parts = (damage[1] if damage else what, step)
    return all(own_words().fullmatch(part) for part in parts) and not re.search(r"0x[0-9a-f]{6}|[<>]", message)


def complaints(path: Path, answer: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with what became of a file."""
    outcome, message = answer["outcome"], answer["message"]
    if outcome not in ("done", "PictureError", "OutputError"):
        yield f"{outcome} {message}"
    elif message and not (message.startswith(str(path.parent)) and message.isprintable()):
        yield f"its message is not one line that begins with its name: {message!r}"
    elif message and not is_own(message.partition(": ")[2]):
        yield f"its message holds words that are not this program's: {message!r}"
    if answer["strange"]:
        yield f"was shown to decoders of {answer['strange']}"
    if answer["stderr"]:
        yield f"made noise: {answer['stderr'][-500:]}"


def complaints_about_reading(hostile: Hostile, path: Path, answer: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with reading a file, whose cost is for the file's maker to choose."""
    yield from complaints(path, answer)
    if hostile.must_fail and answer["outcome"] == "done":
        yield "was read, although its picture is not whole"
    if answer["outcome"] == "PictureError" and not answer["message"].startswith(str(path)):
        yield f"its message does not name it: {answer['message']!r}"
    if answer["seconds"] >= LONGEST_S:
        yield f"took {answer['seconds']:.1f} s"
    if answer["peak_mb"] > MOST_MB:
        yield f"took {answer['peak_mb']:.0f} MB"


def outcomes_of(hostiles: Iterable[Hostile], folder: Path) -> Outcomes:
    """Read and write all files, one after the other."""
    outcomes = Outcomes()
    kept = Path(tempfile.gettempdir()) / "deepdream-hostile"
    with Worker(folder) as worker:
        for hostile in hostiles:
            path = folder / f"{hostile.name}{hostile.ending}"
            path.write_bytes(hostile.file)
            answer = worker.ask(path, LONGEST_S)
            outcomes.counts["read" if answer["outcome"] == "done" else "refused"] += 1
            outcomes.slowest = max(outcomes.slowest, (answer["seconds"], hostile.name))
            outcomes.largest = max(outcomes.largest, (answer["peak_mb"], hostile.name))
            wrong = list(complaints_about_reading(hostile, path, answer))
            if answer["outcome"] == "done":
                answer = worker.ask(None, LONGEST_WRITING_S)
                outcomes.counts["written" if answer["outcome"] == "done" else "not written"] += 1
                wrong += complaints(path, answer)
            for complaint in wrong:
                kept.mkdir(exist_ok=True)
                shutil.copy(path, kept)
                outcomes.failures.append(f"{kept / path.name}: {complaint}")
            path.unlink()
    return outcomes


ALL = (".jpg", ".png", ".tif", ".webp", ".avif", ".heic", ".jxl", ".gif", ".bmp")


@cache
def files() -> list[Hostile]:
    return [*mutations(SEED, CUTS, OTHERS), *crafted(), *foreign()]


def test_there_are_enough_files_of_every_format() -> None:
    assert {ENDINGS[ending] for ending in ALL} == set(ENDINGS.values())
    assert {hostile.ending for hostile in files()} == set(ALL)
    assert len(files()) >= 2000
    assert len({hostile.name + hostile.ending for hostile in files()}) == len(files())
    assert sum(hostile.must_fail for hostile in files()) > 1000


@pytest.mark.parametrize("ending", ALL)
def test_every_file_ends_in_a_picture_or_in_one_line(ending: str, tmp_path: Path) -> None:
    outcomes = outcomes_of([hostile for hostile in files() if hostile.ending == ending], tmp_path)
    print(f"\n{ending}: {outcomes}")
    assert not outcomes.failures, "\n".join(outcomes.failures[:20])


def test_the_same_seed_makes_the_same_files() -> None:
    some = [sample for sample in samples() if sample.name in ("png-rgb", "tiff-none")]
    assert list(mutations(5, 6, 9, some)) == list(mutations(5, 6, 9, some))
    assert list(mutations(5, 6, 9, some)) != list(mutations(6, 6, 9, some))


def test_the_samples_themselves_are_read(tmp_path: Path) -> None:
    for sample in samples():
        path = tmp_path / f"{sample.name}{sample.ending}"
        path.write_bytes(sample.file)
        assert sorted(read_photo(path, max_megapixels=200).size) == [40, 48], sample.name
        assert parts_of(sample).numbers, sample.name


# --- what is no file


def refused(path: Path) -> str:
    with pytest.raises(PictureError) as caught:
        read_photo(path, max_megapixels=200)
    message = str(caught.value)
    assert message.isprintable()
    return message


def test_a_path_that_is_not_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "one.jpg").symlink_to(tmp_path / "other.jpg")
    (tmp_path / "other.jpg").symlink_to(tmp_path / "one.jpg")
    (tmp_path / "nowhere.jpg").symlink_to(tmp_path / "missing.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "empty.jpg").touch()
    assert "cannot be read" in refused(tmp_path / "one.jpg")
    assert "no such file" in refused(tmp_path / "nowhere.jpg")
    assert "not a regular file" in refused(tmp_path / "pipe.jpg")
    assert "is a folder" in refused(tmp_path / "folder.jpg")
    assert "is empty" in refused(tmp_path / "empty.jpg")
    assert "not a regular file" in refused(Path("/dev/zero"))
    assert "cannot be read" in refused(tmp_path / ("x" * 5000 + ".jpg"))
    assert "cannot be read" in refused(tmp_path / "empty.jpg" / "below.jpg")
    with pytest.raises(PictureError, match="null byte"):
        read_photo(tmp_path / "a\0b.jpg", max_megapixels=200)


def test_a_name_full_of_control_characters_stays_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a\nb\x1b[31m\u202e.jpg"
    path.write_bytes(b"nothing")
    assert "\\n" in refused(path)


# --- what decoders would let pass, and what must still be read


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (16, 16), (48, 40), (17, 33), (48, 1)])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("interval", [0, 1, 4])
def test_a_complete_jpeg_of_any_kind_is_read(
    size: tuple[int, int], progressive: bool, interval: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.jpg"
    image = Image.fromarray(photograph()).crop((0, 0, *size))
    for subsampling in (0, 1, 2):
        for quality in (1, 60, 100):
            image.save(
                path, quality=quality, subsampling=subsampling, progressive=progressive, restart_marker_blocks=interval
            )
            with Image.open(path) as expected:
                assert np.array_equal(read_photo(path, max_megapixels=1).frames[0].samples, np.array(expected))


def test_a_gif_frame_beyond_the_canvas_is_cut_off_as_viewers_do(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    frames = [Image.fromarray(photograph(1, shift=shift)) for shift in (0, 40)]
    frames[0].save(path, save_all=True, append_images=frames[1:], disposal=2)
    file = bytearray(path.read_bytes())
    second = file.index(b"\x2c", file.index(b"\x21\xf9", file.index(b"\x21\xf9") + 1))
    file[second + 1 : second + 3] = (30).to_bytes(2, "little")
    path.write_bytes(file)
    assert {frame.size for frame in read_photo(path, max_megapixels=1).frames} == {(48, 40)}


def test_nan_samples_cause_no_warning(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.frombuffer(b"\x01\x7d" * 1920, np.float16).reshape(40, 48))
    frame = read_photo(path, max_megapixels=1).frames[0]
    assert np.isnan(frame.floats()).all()


def test_an_orientation_in_a_broken_exif_does_not_turn_a_written_heic(tmp_path: Path) -> None:
    image = Image.fromarray(photograph())
    broken = b"II*\0\x08\0\0\0\x01\0\x12\x01\xee\0\x01\0\0\0\x06\0\0\0\0\0\0\0"  # orientation 6, of a kind that is none
    image.save(tmp_path / "a.webp", exif=broken, lossless=True)
    photo = read_photo(tmp_path / "a.webp", max_megapixels=1)
    write_photo(photo, tmp_path / "b.heic", overwrite=False)
    assert photo.size == read_photo(tmp_path / "b.heic", max_megapixels=1).size == (48, 40)


@pytest.mark.parametrize("bits", [8, 16])
def test_an_interlaced_png_is_read_to_the_bit(bits: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pixels = photograph(3, bits)
    for height, width in ((40, 48), (1, 1), (2, 3), (5, 1), (1, 9)):
        path = tmp_path / "a.png"
        path.write_bytes(interlaced_png(pixels[:height, :width]))
        assert np.array_equal(read_photo(path, max_megapixels=1).frames[0].samples, pixels[:height, :width])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("compression", ["packbits", "lzw", "adobe_deflate", "zstd"])
def test_a_blank_page_is_not_taken_for_a_bomb(compression: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((5000, 4000), np.uint8), compression=compression, rowsperstrip=5000)
    assert read_photo(path, max_megapixels=200).size == (4000, 5000)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
@pytest.mark.parametrize("mode", ["L", "RGB", "1"])
def test_a_blank_picture_is_not_taken_for_a_bomb(format: str, mode: str, tmp_path: Path) -> None:
    stream = io.BytesIO()
    options = {"lossless": True} if format == "WEBP" else {"optimize": True, "progressive": True, "quality": 1}
    blank = Image.new("L" if mode == "1" and format in ("JPEG", "WEBP") else mode, (4000, 5000))
    blank.save(stream, format, **(options if format in ("JPEG", "WEBP") else {}))
    path = tmp_path / f"a.{format.lower()}"
    path.write_bytes(stream.getvalue())
    assert read_photo(path, max_megapixels=200).size == (4000, 5000)


def test_fax_in_tiff_is_refused_because_its_decoder_fills_gaps_with_white(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(photograph(1)).convert("1").save(path, compression="group4")
    assert "CCITTFAX4" in refused(path)
