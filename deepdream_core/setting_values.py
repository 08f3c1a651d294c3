"""Values of settings that are more than a number or a word: devices, a folder's path, hours."""

from __future__ import annotations

import datetime
import os
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field


def _each_once(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError(f"{names!r:.80} names a device twice — give each once")
    return names


DeviceName = Annotated[str, Field(pattern=r"^(cpu|mps|cuda:\d+)$")]
Devices = Annotated[
    list[DeviceName],
    Field(min_length=1, json_schema_extra={"allowed": "a list such as [cuda:0, cuda:1], [cpu] or [mps]"}),
    AfterValidator(_each_once),
]


def _absolute(path: str) -> str:
    # ~ is resolved when the folder is used: other commands need no home.
    in_home = path == "~" or path.startswith(("~/", f"~{os.sep}"))
    if "\0" in path or not (in_home or Path(os.path.expanduser(path)).is_absolute()):
        raise ValueError(f"{path!r:.80} is not an absolute path — write it in full, such as ~/DeepDream or /data/drop")
    return path


FolderPath = Annotated[str, Field(min_length=1), AfterValidator(_absolute)]


@cache
def ends_of(hours: str) -> tuple[datetime.time, datetime.time]:
    """Return the begin and end of hours such as `22:00-07:00`; raises `ValueError` for anything but two times of day."""
    begin, end = (part.strip() for part in hours.split("-"))
    end = "00:00" if end == "24:00" else end
    return _time_of(begin), _time_of(end)


def _time_of(text: str) -> datetime.time:
    return datetime.datetime.strptime(text, "%H:%M").time()


def _not_empty(hours: str) -> str:
    begin, end = ends_of(hours)
    if begin == end:
        raise ValueError(f"{hours!r} begins and ends at the same time — give it two different times, or null")
    return hours


_TIME = "([01]?[0-9]|2[0-3]):[0-5][0-9]"
Hours = Annotated[
    str,
    Field(pattern=f"^ *{_TIME} *- *({_TIME}|24:00) *$", description='hours in quotes, as "22:00-07:00"'),
    AfterValidator(_not_empty),
]
