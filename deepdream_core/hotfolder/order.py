"""Which picture comes next: small and fresh drops before a backlog, and the backlog never starves."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepdream_core.hotfolder.arrivals import Arrival

OLDEST_EVERY = 4
"""One picture in so many comes from the oldest batch, whatever has arrived since."""


def chosen(due: Sequence[Arrival], turn: int) -> Arrival:
    """Return the file that comes next; `turn` counts the files chosen so far.

    The smallest batch comes first, among equals the newest. Within a batch files come by name, as a camera numbers them.
    """
    left = Counter(arrival.batch for arrival in due)
    oldest_turn = turn % OLDEST_EVERY == OLDEST_EVERY - 1
    batch = min(left) if oldest_turn else min(left, key=lambda number: (left[number], -number))
    return min((arrival for arrival in due if arrival.batch == batch), key=lambda arrival: str(arrival.path))
