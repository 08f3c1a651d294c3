"""The words of the protocol between the helper and its clients.

Standard library only and Python 3.9, because the GIMP plug-in carries a copy of this folder.
"""

from __future__ import annotations

PROTOCOL = 1
LOOPBACK = ("127.0.0.1", "::1")
PRIORITIES = ("interactive", "preview", "batch", "background")
EVENTS = ("queued", "running", "paused", "progress", "octave", "note")
ENDINGS = ("done", "failed", "cancelled")
GUIDE_PIXELS = 2_000_000
"""The most pixels that a guide has on the wire: a client reduces larger ones."""
ATTACH_WITHIN_S = 10.0
"""How long a job waits for a client to follow its events, from its creation or the end of its last upload."""
REATTACH_WITHIN_S = 2.0
"""How long a job lives on after the connection breaks that followed its events."""


class WireError(ValueError):
    """Data, received or to be sent, does not follow the protocol; the text is one sentence for people."""
