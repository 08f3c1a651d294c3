"""Parsing pip's output: its progress, and the cause of a failure.

pip has no machine-readable progress and no exit code for each cause, so its lines must do. The patterns match pip 23.2
(bundled with Python 3.11) to 26.3, and the tests contain real output of both.
"""

import platform
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from errors import Exit, InstallError, disk_full, without_addresses

_COLLECTING = re.compile(r"^(?:Collecting|Requirement already satisfied:) ([A-Za-z0-9._-]+)")
_PROCESSING = re.compile(r"^Processing .*?([A-Za-z0-9._]+)-\d[^/\\]*\.whl")
_DOWNLOADING = re.compile(r"^\s*Downloading (?:.*/)?([A-Za-z0-9._]+)-(\d[^-]*)-\S+\.whl \(([\d.]+) (bytes|[kMG]B)\)")
_INSTALLING = re.compile(r"^Installing collected packages: (.+)")
_UNITS = {"bytes": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3}
# The steps of building the project itself, in order, with the words to show for each.
_STEPS = (
    ("Installing build dependencies", "getting the build tool"),
    ("Preparing editable metadata", "reading the project"),
    ("Preparing metadata", "reading the project"),
    ("Building editable", "building the project"),
    ("Building wheel for deepdream", "building the project"),
)
# Downloading takes about this share of an install, unpacking the rest.
DOWNLOAD_SHARE = 0.6
LEFT_AFTER_S = 5.0
"""Before that, the rate is too uncertain."""


def plain_name(name: str) -> str:
    """Return a package's name as indexes compare it: `Foo_bar` is `foo-bar`."""
    return re.sub(r"[-_.]+", "-", name).lower()


class PipProgress:
    """The progress of one `pip install`: `feed` it each line, then ask for `fraction` and `text`.

    `expected` is a guess at the number of packages, until pip starts to unpack and names them. `download` is the
    approximate number of bytes to download, 0 if unknown.
    """

    def __init__(self, expected: int, download: int = 0) -> None:
        self.expected = max(expected, 1)
        self.download = download
        self.fetched = 0
        """Bytes of the files downloaded before the current one."""
        self.seen: set[str] = set()
        self.to_unpack: frozenset[str] = frozenset()
        self.current = ""
        self.current_bytes = 0

    def feed(self, line: str) -> None:
        """Parse one line of pip's output."""
        if found := _COLLECTING.match(line) or _PROCESSING.match(line):
            self.seen.add(plain_name(found[1]))
            self._next(found[1])
        elif found := _DOWNLOADING.match(line):
            self._next(f"{found[1]} {found[2]}", float(found[3]) * _UNITS[found[4]])
        elif found := _INSTALLING.match(line):
            self.to_unpack = frozenset(plain_name(name.strip()) for name in found[1].split(","))
            self.current_bytes = 0
        elif "Retrying (Retry(" in line:
            self.current, self.current_bytes = "the package index does not answer, trying again", 0
        else:
            self.current = next((words for start, words in _STEPS if line.lstrip().startswith(start)), self.current)

    def _next(self, name: str, size: float = 0) -> None:
        self.fetched += self.current_bytes
        self.current, self.current_bytes = name, int(size)

    def fraction(self, downloaded: int, unpacked: int) -> float:
        """Return the finished share, 0 to 1: `downloaded` bytes of the current file, `unpacked` packages so far."""
        if self.to_unpack:
            return DOWNLOAD_SHARE + (1 - DOWNLOAD_SHARE) * min(unpacked / len(self.to_unpack), 1.0)
        within = min(downloaded / self.current_bytes, 1.0) if self.current_bytes else 0.0
        done = max(len(self.seen) - 1, 0) + within
        return DOWNLOAD_SHARE * min(done / max(self.expected, len(self.seen)), 1.0)

    def text(self, downloaded: int, unpacked: int, elapsed_s: float = 0.0) -> str:
        """Return the current step, for the bar and the log, `elapsed_s` seconds after pip began."""
        if self.to_unpack:
            return f"unpacking, {min(unpacked, len(self.to_unpack))} of {len(self.to_unpack)} packages"
        count = f"{len(self.seen)} packages found, " if self.seen else ""
        if self.current_bytes > 1_000_000:
            done, size = (round(part / 1_000_000) for part in (min(downloaded, self.current_bytes), self.current_bytes))
            return f"{count}{self.current}: {done} of {size} MB{self._left(downloaded, elapsed_s)}"
        return count + (self.current or "starting pip")

    def _left(self, downloaded: int, elapsed_s: float) -> str:
        """Return how long the rest of the download will take, in words, once the rate is known."""
        done = self.fetched + min(downloaded, self.current_bytes)
        if elapsed_s < LEFT_AFTER_S or done < self.download / 50 or done >= self.download:
            return ""
        left_s = (self.download - done) * elapsed_s / done
        return (
            f", about {left_s / 60:.0f} min left"
            if left_s >= 90
            else f", about {max(10, round(left_s, -1)):.0f} s left"
        )


def _matching(lines: Sequence[str], *patterns: str) -> re.Match[str] | None:
    """Return the last match of any of `patterns`, the closest to the cause of pip's failure."""
    joined = re.compile("|".join(patterns))
    return next((found for line in reversed(lines) if (found := joined.search(line))), None)


_DISK_FULL = (r"\[?Errno 28\]?", "No space left on device", r"WinError 112\b", "Disk quota exceeded")
_UNREACHABLE = (
    r"Retrying \(Retry\(",
    "Could not fetch URL .*connection error",
    "(?:NewConnection|ConnectTimeout|ReadTimeout|NameResolution|Proxy|Protocol|MaxRetry|IncompleteRead)Error",
    "(?:Connection|ConnectTimeout|ReadTimeout|Network\\w*)Error: ",
    r"Connection (?:refused|reset|broken|aborted|timed out)",
    "Read timed out",
)
_REFUSED = (
    "CERTIFICATE_VERIFY_FAILED",
    "SSLError",
    r"\b(?:40[137]|5\d\d) (?:Client|Server) Error",
    "WARNING: 401 Error",
)
"""The index answers, but refuses: pip's own words say why."""


def diagnose(
    lines: Sequence[str], code: int, *, folder: Path, needed: int, log: Path, torch_index: bool = False
) -> InstallError:
    """Return the error for a failed pip: its output and verbose log as `lines`, its exit `code`.

    `folder` is the environment's, `needed` the bytes it takes, `log` the file with pip's full output, `torch_index` whether
    this pip used the index of `--torch-index`. A full disk, an unreachable index and a package without a matching version
    have our own messages; for all else the message quotes pip.
    """
    if _matching(lines, *_DISK_FULL):
        return disk_full(folder, needed)
    # pip uses the same words for a missing version and an unreachable index. If it lists versions, it reached the index.
    missing = _matching(lines, r"satisfies the requirement (\S+?)[,;]? .*\(from versions: (.+)\)")
    if not (missing and missing[2] != "none"):
        setting = (
            "the URL of --torch-index (`--torch cuda` selects the default index)" if torch_index else "PIP_INDEX_URL"
        )
        if refused := _matching(lines, *_REFUSED):
            return _in_its_words(
                refused.string, Exit.INDEX_UNREACHABLE, f"check {setting}, its login and PIP_CERT", log
            )
        if not _matching(lines, "DO NOT MATCH THE HASHES") and _matching(lines, *_UNREACHABLE):
            whose = "the index for torch" if torch_index else "the package index"
            return InstallError(
                f"cannot reach {whose}",
                f"check the network, the proxy (HTTPS_PROXY) and {setting}, then run the same command again",
                Exit.INDEX_UNREACHABLE,
            )
    if missing:
        return _no_version(missing[1], torch_index)
    errors = [line for line in lines if line.startswith("ERROR: ") and line != "ERROR: Exception:"]
    last = (errors or [line for line in lines if line.strip()] or [f"exit code {code}"])[-1]
    denied = _matching(lines, r"\[Errno 13\] Permission denied", r"\[WinError 5\]")
    return _in_its_words(last, Exit.NOT_WRITABLE if denied else Exit.PIP_FAILED, "fix that, then run this again", log)


def _in_its_words(line: str, code: Exit, todo: str, log: Path) -> InstallError:
    """Return the error that quotes a line of pip's output."""
    words = without_addresses(line.removeprefix("ERROR: ").strip())
    return InstallError(f"pip failed: {words}", f"{todo}; pip's full output is in {log}", code)


def _no_version(requirement: str, torch_index: bool) -> InstallError:
    """Return the error for a package that has no version for this computer."""
    here = f"Python {sys.version_info[0]}.{sys.version_info[1]} on {platform.system() or 'this system'}"
    here = f"{here} {platform.machine()}".rstrip()
    name = plain_name(re.split(r"[<>=!~\[; ]", requirement)[0])
    is_torch = name in ("torch", "torchvision")
    if torch_index:
        todo = "check that the index of --torch-index offers this version for this system, or use `--torch cuda`"
    elif is_torch and sys.platform == "darwin" and platform.machine() == "x86_64":
        todo = "torch has no current version for Intel Macs; use a Mac with Apple silicon, Linux or Windows"
    elif sys.maxsize < 2**32:
        todo = "this is a 32-bit Python; install a 64-bit Python"
    elif sys.version_info >= (3, 15):
        todo = "this Python may be too new; use Python 3.13 for this command"
    else:
        todo = "if PIP_INDEX_URL or a pip.conf names a mirror, check that the mirror has it; else try Python 3.13"
    return InstallError(f"{requirement} has no version for {here}", todo, Exit.NO_MATCHING_VERSION)
