"""Whether a picture has been dreamed before with the same settings: by this daemon, or by another machine."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from deepdream_core.errors import DeepDreamError
from deepdream_core.photo import ENDINGS, FORMATS
from deepdream_core.settings import EARLIER
from deepdream_core.work.recipe import recipe_of

if TYPE_CHECKING:
    from pathlib import Path

    from deepdream_core.hotfolder.journal import Entry, Journal
    from deepdream_core.hotfolder.task import Task
    from deepdream_core.photo import Photo
    from deepdream_core.settings import DreamSettings


_FIRST = {"pooling", "natural", "keep_colours", "soft_limit"}
"""Settings in `EARLIER` that the first journals know."""


def dream_key(settings: DreamSettings, weights_sha256: str, white: float | None) -> str:
    """Return a hash of what decides how a picture is dreamed: settings, weights, and which brightness is white.

    A guide counts by its content, wherever it is. A setting that the first journals do not know counts only where it is
    used, so that no picture is dreamed again after an update.
    """
    guides = [{key: value for key, value in guide.items() if key != "file"} for guide in settings.guides]
    unused = {key for key in EARLIER.keys() - _FIRST if getattr(settings, key) == EARLIER[key]}
    known = settings.model_copy(update={"guides": guides}).model_dump_json(exclude=unused)
    suffix = "" if white is None else f" {white}"
    return hashlib.sha256(f"{known} {weights_sha256}{suffix}".encode()).hexdigest()


def dreamed_before(journal: Journal, task: Task, entry: Entry, key: str, photo: Photo) -> Path | None:
    """Return the existing result of the same picture with the same key, None if there is none."""
    for known in journal.dreamed(entry.folder, entry.sha256, key):
        if known.id != entry.id and known.result is not None and known.result.is_file():
            return known.result
    return _dreamed_elsewhere(journal, task, key, photo)


def _dreamed_elsewhere(journal: Journal, task: Task, key: str, photo: Photo) -> Path | None:
    """Return the file in the result's place, unknown to the journal, if its recipe says that it is the same dream.

    Another machine made it, or this one before its journal was lost.
    """
    wanted = task.layout.result_for(photo.path, ending_of(photo))
    if not wanted.is_file() or journal.of_place(task.layout.root, wanted) is not None:
        return None
    try:
        recipe = recipe_of(wanted, max_megapixels=task.max_megapixels)
    except DeepDreamError:
        return None
    same = recipe.source.sha256 == photo.sha256 and recipe.mask is None
    same = same and dream_key(recipe.as_asked, recipe.weights.sha256, recipe.source.white) == key
    return wanted if same else None


def ending_of(photo: Photo) -> str:
    """Return the file's own ending, or its format's usual one if the file's does not belong to the format."""
    suffix = photo.path.suffix
    return suffix if ENDINGS.get(suffix.lower()) == photo.format else FORMATS[photo.format].endings[0]
