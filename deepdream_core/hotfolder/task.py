"""What a thread of the hot folder gets, a picture to dream, and what it returns: how the attempt ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from deepdream_core.hotfolder.journal import Entry
    from deepdream_core.hotfolder.layout import Layout
    from deepdream_core.hotfolder.scanning import Found
    from deepdream_core.settings import DreamSettings

Ended = Literal["done", "known", "failed", "alone", "dream", "wait", "gone", "changed", "world", "guide", "stopped"]


class Stopped(Exception):  # noqa: N818 - somebody asked for it, it is no error
    """The program is ending."""


@dataclass(frozen=True)
class Task:
    """A picture to dream: the file as it was when it was taken, and the settings."""

    layout: Layout
    found: Found
    settings: DreamSettings
    preset: str | None
    max_megapixels: float
    patient: bool
    """Whether a file that cannot be decoded gets more time, since a program may still write it."""
    shared: bool = False
    """Whether other machines may write the file, which this machine's kernel cannot see."""
    preset_changed: bool = False
    """Whether the settings are others than the preset's, as they are where a folder `guide` is."""
    elsewhere: bool = False
    """Whether a cluster dreams it."""


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended, why in a sentence, and the journal's entry.

    | ended | |
    |---|---|
    | `done` `known` `failed` | the original has been put away |
    | `alone` | the picture failed, and its original cannot be put away either |
    | `dream` | the picture is already a dream, and stays where it is |
    | `wait` | it is to be tried again later |
    | `gone` `changed` | the file is gone, or has changed |
    | `world` | the disk, the helper or the device has a problem, not the picture |
    | `guide` | a guide cannot be used: the pictures that follow it wait |
    | `stopped` | the program is ending |
    """

    task: Task
    ended: Ended
    why: str = ""
    entry: Entry | None = None
    everywhere: bool = False
    """Whether this machine's helper or device has the problem, which concerns all folders."""
