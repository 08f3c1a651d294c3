"""Whether this process or the helper computes a dream of the command line: `--via-helper auto|yes|no`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from deepdream_core.errors import HelperError, SettingsError
from deepdream_core.work import remote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deepdream_core.work.backend import Backend

UseHelper = Literal["auto", "yes", "no"]


def use_helper(text: str) -> UseHelper:
    """Return the value of --via-helper; raises `SettingsError` for another word."""
    if text in ("auto", "yes", "no"):
        return text  # type: ignore[return-value]
    raise SettingsError(f"--via-helper {text}: not allowed", "allowed: auto, yes, no")


def remote_opener(
    use: UseHelper, computing: Mapping[str, Any], note: Callable[[str], None], local: Callable[[], Backend]
) -> Callable[[], Backend] | None:
    """Return a function that opens the helper as a backend, or None when this process computes the dream.

    `computing` holds the options that say how to compute: device, precision, weights, tile, a recipe to replay, or a
    configuration with other engine settings. The helper has its own settings for these, so `auto` uses it only without such
    options and when a helper of this version runs; pictures that the helper has no room for go to the engine that `local`
    opens. Raises `SettingsError` for `yes` together with such options, `HelperError` when `yes` is impossible.
    """
    if use == "no" or (use == "auto" and computing):
        return None
    if computing:
        given = ", ".join(f"--{key}" for key in computing)
        raise SettingsError(
            f"--via-helper yes and {given}: the helper has its own settings for that",
            "leave one out, or use --via-helper no",
        )
    try:
        remote.connect(start=use == "yes")
    except HelperError:
        if use == "yes":
            raise
        return None
    return lambda: remote.RemoteEngine(
        lambda: remote.connect(start=use == "yes"), note, local if use == "auto" else None
    )
