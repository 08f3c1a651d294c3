"""Which of the pictures that wait comes next: small and fresh drops before a backlog, and the backlog never starves."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepdream_core.hotfolder.arrivals import Arrival

OLDEST_EVERY = 4
"""Every so many pictures, one of the oldest drop is taken, whatever has come since."""


def chosen(due: Sequence[Arrival], turn: int) -> Arrival:
    """Return the one of these that comes next; `turn` counts the pictures chosen so far.

    Files that came together are a drop. The smallest drop comes first, of equal ones the newest, and within a drop they
    come by their names, as a camera has numbered them.
    """
    left = Counter(one.batch for one in due)
    oldest_turn = turn % OLDEST_EVERY == OLDEST_EVERY - 1
    batch = min(left) if oldest_turn else min(left, key=lambda one: (left[one], -one))
    return min((one for one in due if one.batch == batch), key=lambda one: str(one.path))
