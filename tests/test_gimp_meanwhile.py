"""What a person does in GIMP while the plug-in dreams, in real GIMP without a window: nothing is lost by it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from gimp_root import SERIES, GimpRoot, root_or_skip
from helper_process import running_helper
from test_gimp import BROKEN, Place, Session
from test_gimp_layers import in_3_2

if TYPE_CHECKING:
    from collections.abc import Iterator

HOOK = """

def _meanwhile(self, job, seen=None, _follow=Progress.follow):
    import os
    order = os.path.join(os.path.dirname(os.environ["DEEPDREAM_REPORTS"]), "meanwhile")
    if os.path.exists(order):
        with open(order) as file:
            exec(file.read(), globals())
        os.remove(order)
    return _follow(self, job, seen)


Progress.follow = _meanwhile
"""
"""Added to the module that waits for dreams: it does once what the script asks, as a person would at that moment."""
GONE = "The layer no longer exists. Choose DeepDream: last result to get the dream."


@pytest.fixture(scope="module", params=SERIES)
def root(request: pytest.FixtureRequest) -> GimpRoot:
    return root_or_skip(request.param)


@pytest.fixture(scope="module")
def told(root: GimpRoot) -> Iterator[Session]:
    with root.folder() as folder, pytest.MonkeyPatch.context() as patch, ExitStack() as ending:
        patch.setenv("OMP_NUM_THREADS", "1")
        helper = ending.enter_context(running_helper(folder / "helper"))
        helper.client().warm()
        place = Place(root, folder, helper)
        with (place.plug_in / "progress.py").open("a", encoding="utf-8") as module:
            module.write(HOOK)
        yield place.run("meanwhile")


@pytest.mark.slow("GIMP's layers")
def test_a_layer_that_is_deleted_while_another_is_dreamed_gets_a_message(told: Session) -> None:
    deleted = told["deleted"]
    assert (deleted["status"], deleted["text"]) == ("execution-error", GONE)
    assert (deleted["same"], deleted["layers"]) == (True, ["photo"])
    assert BROKEN.findall(told.stderr) == []


@pytest.mark.slow("GIMP's layers")
def test_a_linked_dream_stays_when_the_next_layer_is_deleted(told: Session, root: GimpRoot) -> None:
    in_3_2(root)
    deleted = told["deleted_linked"]
    assert (deleted["status"], deleted["text"]) == ("execution-error", GONE)
    assert (deleted["files"], deleted["layers"]) == (
        ["image dream 1.png", "image.xcf"],
        ["DeepDream – classic, seed 0", "photo"],
    )


@pytest.mark.slow("GIMP's layers")
def test_a_linked_dream_shows_what_was_selected_at_its_beginning(told: Session, root: GimpRoot) -> None:
    in_3_2(root)
    selected = told["selected"]
    assert (selected["status"], selected["off"]) == ("success", 0), selected
    assert selected["selection"] == [1, 2, 4, 6], "the person's own"


@pytest.mark.slow("GIMP's layers")
@pytest.mark.parametrize(
    ("name", "text"),
    [("resized", GONE.replace("no longer exists", "changed during the dream")), ("source_deleted", GONE)],
)
def test_a_linked_dream_of_a_layer_that_changes_is_kept_for_last_result(
    told: Session, root: GimpRoot, name: str, text: str
) -> None:
    in_3_2(root)
    changed = told[name]
    assert (changed["status"], changed["text"]) == ("execution-error", text)
    assert (changed["files"], changed["last"]) == (["image.xcf"], "success")
