"""Whether a dream of the command line is computed here or by the helper: `--via-helper auto|yes|no`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from deepdream_core.errors import HelperError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deepdream_core.dreamer import Dreamer

Wish = Literal["auto", "yes", "no"]


def wish(text: str) -> Wish:
    """Return the option's value; raises `SettingsError` for another word."""
    if text in ("auto", "yes", "no"):
        return text  # type: ignore[return-value]
    raise SettingsError(f"--via-helper {text}: not allowed", "allowed: auto, yes, no")


def remote_opener(
    wanted: Wish, computing: Mapping[str, Any], note: Callable[[str], None], here: Callable[[], Dreamer]
) -> Callable[[], Dreamer] | None:
    """Return what opens the helper in the engine's place, or None where the dream is computed in this process.

    `computing` names options that say how this machine's engine computes: device, precision, weights, tile, a recipe to
    replay, or a configuration of another engine than the usual one. The helper settles all of that for itself, so `auto`
    takes a helper that runs, of this version, only without them, and the engine that `here` opens for pictures that the
    helper has no room for. Raises `SettingsError` for `yes` together with those;
    `HelperError` when `yes` cannot be.
    """
    if wanted == "no" or (wanted == "auto" and computing):
        return None
    if computing:
        given = ", ".join(f"--{key}" for key in computing)
        raise SettingsError(
            f"--via-helper yes and {given}: the helper computes in its own way", "leave one out, or use --via-helper no"
        )
    from deepdream_core import remote

    try:
        remote.connect(start=wanted == "yes")
    except HelperError:
        if wanted == "yes":
            raise
        return None
    return lambda: remote.RemoteEngine(
        lambda: remote.connect(start=wanted == "yes"), note, here if wanted == "auto" else None
    )
