"""Hours of the day in which DeepDream does not dream, by the wall clock."""

from __future__ import annotations

import datetime

from deepdream_core.setting_values import ends_of

_MINUTE_S = 60
# An hour that the clock skips can join two quiet times to one of nearly two days; a zone has skipped a full day.
_LONGEST_MIN = 4 * 24 * 60


def quiet(hours: str | None, at: datetime.datetime) -> bool:
    """Return whether the wall clock's time `at` is within `hours` such as `22:00-07:00`; never within None.

    The first minute belongs to the hours, the last does not. Raises `ValueError` for a text that is not hours.
    """
    if hours is None:
        return False
    begin, end = ends_of(hours)
    now = at.time()
    return begin <= now < end if begin < end else now >= begin or now < end


def quiet_until(hours: str | None, at: datetime.datetime) -> datetime.datetime:
    """Return the first moment from `at` on that is not within `hours`; `at` itself if it is not within them.

    A time without a zone is in this machine's zone, as everywhere in Python; when clocks are put forward or back, the time
    that they show decides. Raises `ValueError` for a text that is not hours.
    """
    if not quiet(hours, at):
        return at
    begin_s = int(at.replace(second=0, microsecond=0).timestamp())
    # Minute by minute through real time: a day's hours can be missing or come twice.
    for minute in range(1, _LONGEST_MIN):
        moment = datetime.datetime.fromtimestamp(begin_s + minute * _MINUTE_S, at.tzinfo)
        if not quiet(hours, moment):
            break
    return moment
