"""Dream eight photographs as a user would, keep them as PNG, and put them on one sheet. Arguments: device, folder."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from skimage import data

NAMES = ("astronaut", "chelsea", "coffee", "rocket", "retina", "hubble_deep_field", "immunohistochemistry")
PRESETS = ("classic", "architecture", "eyes", "fur", "engraving", "cosmic", "monster", "classic")
CELL = 480


def photographs() -> list[Image.Image]:
    """Seven photographs as large as they are, and one enlarged to 12 megapixels."""
    found = [Image.fromarray(getattr(data, name)()).convert("RGB") for name in NAMES]
    return [*found, found[2].resize((4242, 2828), Image.Resampling.LANCZOS)]


def main(device: str, folder: Path, *, quick: bool) -> int:
    """Run the command once for each picture; return the number of failures."""
    folder.mkdir(parents=True, exist_ok=True)
    few = ["--finest", "48", "--octaves", "1", "--iterations", "1"] if quick else []
    failed = 0
    sheet = Image.new("RGB", (4 * CELL, 2 * CELL), "white")
    with tempfile.TemporaryDirectory() as temporary:
        for number, (photo, preset) in enumerate(zip(photographs(), PRESETS, strict=True)):
            if quick:
                photo.thumbnail((96, 96))
            source, result = Path(temporary) / "photo.png", folder / f"{number + 1}-{preset}.png"
            photo.save(source)
            command = [sys.executable, "-m", "deepdream_core", "dream", str(source), "-o", str(result), "--overwrite",
                       "--json", "--device", device, "--via-helper", "no", "--preset", preset, *few]  # fmt: skip
            started = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            took = time.perf_counter() - started
            if done.returncode:
                failed += 1
                print(f"{preset}: exit code {done.returncode}: {done.stderr.strip()}")
                continue
            event = next(event for event in map(json.loads, done.stdout.splitlines()) if event["event"] == "done")
            print(
                f"{preset}, {photo.width}×{photo.height}: {event['seconds']:.2f} s with reading and writing, {took:.2f} s "
                f"with the program's start, {event['device']}, {event['precision']}"
            )
            with Image.open(result) as dreamed:
                dreamed.thumbnail((CELL, CELL))
                sheet.paste(dreamed, (number % 4 * CELL, number // 4 * CELL))
            if photo.width > 2000:
                result.unlink()  # 40 MB; its place on the sheet and its time are what is wanted
    sheet.save(folder / "sheet.png")
    return failed


sys.exit(main(sys.argv[1], Path(sys.argv[2]), quick="--quick" in sys.argv))
