"""Quiet hours: by the clock on the wall, past midnight, and on the days when that clock is put forward or back."""

from __future__ import annotations

import datetime as dt
import time
from itertools import pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deepdream_core.hotfolder.quiet_hours import quiet, quiet_until

if TYPE_CHECKING:
    from collections.abc import Iterator

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [None, dt.UTC, BERLIN, ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Pacific/Apia"), ZoneInfo("America/New_York")]
MINUTE = dt.timedelta(minutes=1)

minutes = st.integers(0, 24 * 60 - 1)
hours = st.tuples(minutes, minutes).filter(lambda ends: ends[0] != ends[1])


def clock(minute: int) -> str:
    return f"{minute // 60}:{minute % 60:02}"


def at(text: str, zone: dt.tzinfo | None = None, fold: int = 0) -> dt.datetime:
    return dt.datetime.fromisoformat(f"2026-{text}").replace(tzinfo=zone, fold=fold)


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine's own clock goes as in Berlin."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("given_hours", "moment", "expected"),
    [
        ("9:00-17:30", "06-01 08:59:59", False),
        ("9:00-17:30", "06-01 09:00", True),
        ("9:00-17:30", "06-01 17:29:59", True),
        ("9:00-17:30", "06-01 17:30", False),
        ("22:00-07:00", "06-01 21:59", False),
        ("22:00-07:00", "06-01 22:00", True),
        ("22:00-07:00", "06-01 00:00", True),
        ("22:00-07:00", "06-01 06:59:59.9", True),
        ("22:00-07:00", "06-01 07:00", False),
        ("00:00-07:00", "06-01 23:59", False),
        ("22:00-00:00", "06-01 23:59", True),
        ("22:00-00:00", "06-01 00:00", False),
        ("22:00-24:00", "06-01 23:59", True),
        ("22:00 - 24:00", "06-01 00:00", False),
        (None, "06-01 00:00", False),
    ],
)
def test_within_the_hours_it_is_quiet(given_hours: str | None, moment: str, expected: bool) -> None:
    assert quiet(given_hours, at(moment)) is expected


@pytest.mark.parametrize("text", ["", "22:00", "22:00-24:30", "22-07", "a:b-c:d", "22:00-07:00-08:00"])
def test_hours_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        quiet(text, at("06-01 12:00"))


def test_outside_the_hours_there_is_no_wait() -> None:
    noon = at("06-01 12:00:17.5")
    assert quiet_until("22:00-07:00", noon) == noon
    assert quiet_until(None, noon) == noon


def test_past_midnight_quiet_ends_in_the_morning() -> None:
    assert quiet_until("22:00-07:00", at("06-30 23:10:17.5")) == at("07-01 07:00")
    assert quiet_until("22:00-07:00", at("07-01 06:59:59.9")) == at("07-01 07:00")


# In 2026 clocks in Berlin go from 2:00 to 3:00 on 29 March, and from 3:00 back to 2:00 on 25 October.


@pytest.mark.parametrize("zone", [BERLIN, None])
@pytest.mark.usefixtures("in_berlin")
def test_an_end_that_the_clock_leaves_out_is_when_it_has_passed_it(zone: dt.tzinfo | None) -> None:
    assert quiet_until("22:00-02:30", at("03-29 01:59", zone)) == at("03-29 03:00", zone)


@pytest.mark.parametrize("zone", [BERLIN, None])
@pytest.mark.usefixtures("in_berlin")
def test_a_quiet_time_is_not_an_hour_late_when_clocks_change(zone: dt.tzinfo | None) -> None:
    assert quiet_until("22:00-07:00", at("03-28 23:00", zone)) == at("03-29 07:00", zone)
    assert quiet_until("22:00-07:00", at("10-24 23:00", zone)) == at("10-25 07:00", zone)


@pytest.mark.parametrize("zone", [BERLIN, None])
@pytest.mark.usefixtures("in_berlin")
def test_in_the_hour_that_comes_twice_the_end_is_not_in_the_past(zone: dt.tzinfo | None) -> None:
    second = at("10-25 02:10", zone, fold=1)
    end = quiet_until("22:00-02:30", second)
    assert end.timestamp() - second.timestamp() == 20 * 60
    assert (end.hour, end.minute, end.fold) == (2, 30, 1)


def test_when_the_only_loud_hour_of_a_day_is_left_out_the_next_days_counts() -> None:
    assert quiet_until("03:00-02:00", at("03-28 12:00", BERLIN)) == at("03-30 02:00", BERLIN)


def test_a_day_that_a_zone_leaves_out() -> None:
    apia = ZoneInfo("Pacific/Apia")  # went from 29 to 31 December 2011
    before = dt.datetime(2011, 12, 29, 23, 0, tzinfo=apia)
    assert quiet_until("22:00-07:00", before) == dt.datetime(2011, 12, 31, 7, 0, tzinfo=apia)


@given(
    hours,
    st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2040, 1, 1)),
    st.sampled_from(ZONES),
    st.sampled_from([0, 1]),
)
@example((180, 120), dt.datetime(2026, 3, 28, 12), BERLIN, 0)
@example((1320, 150), dt.datetime(2026, 10, 25, 2, 10), BERLIN, 1)
def test_until_then_it_is_quiet_and_then_it_is_not(
    ends: tuple[int, int], moment: dt.datetime, zone: dt.tzinfo | None, fold: int
) -> None:
    text = f"{clock(ends[0])}-{clock(ends[1])}"
    moment = moment.replace(tzinfo=zone, fold=fold)
    end = quiet_until(text, moment)
    assert not quiet(text, end)
    assert quiet(text, moment) is (end.timestamp() > moment.timestamp())
    assert end.timestamp() - moment.timestamp() <= 3 * 86_400
    if quiet(text, moment):
        last = dt.datetime.fromtimestamp(end.timestamp() - 1, zone)
        assert quiet(text, last)


@given(hours, st.dates(dt.date(2026, 1, 1), dt.date(2026, 12, 31)))
def test_a_day_is_quiet_for_as_long_as_the_hours_are(ends: tuple[int, int], day: dt.date) -> None:
    text = f"{clock(ends[0])}-{clock(ends[1])}"
    midnight = dt.datetime.combine(day, dt.time())
    shown = [quiet(text, midnight + minute * MINUTE) for minute in range(24 * 60)]
    assert sum(shown) == (ends[1] - ends[0]) % (24 * 60)
    assert sum(one != two for one, two in pairwise([*shown, shown[0]])) == 2
