"""Names that the hot folder gives to what it makes in a drop folder."""

OWN = ("out", "done", "failed")
"""The folders at the top of a drop folder that are never scanned."""
MARK = ".deepdream-folder"
"""A hidden file whose content the journal knows; it is on the same disk as the pictures."""
CANARY = ".deepdream-canary-"
"""Prefix of the daemon's own trial files, which it ignores."""
