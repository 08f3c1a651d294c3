"""The plug-in without deepdream.json from the beginning."""

# mypy: ignore-errors
from __future__ import annotations

from gimp_common import call, check, new_image, new_layer


def main():
    for name in ("plug-in-deepdream", "plug-in-deepdream-again", "plug-in-deepdream-last", "plug-in-deepdream-check"):
        with check(name) as facts:
            image = new_image()
            facts.update(call(name, image, [new_layer(image)]))
