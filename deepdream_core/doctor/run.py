"""Runs the checks one after the other, repairs if asked to, and reports each finding at once."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from deepdream_core import __version__
from deepdream_core.doctor.check import outcome
from deepdream_core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deepdream_core.doctor.check import Check, Finding

MOST_FAILED = 100
"""The largest exit code, which is the number of ✗: codes above 125 have other meanings."""
NAME_WIDTH = 15
_SIGNS = {True: ("✓", "32"), False: ("✗", "31;1"), None: ("–", "2")}
_PLAIN_SIGNS = {"✓": "+", "✗": "x", "–": "-"}


class Report(Protocol):
    """Reports the checks."""

    def begins(self, check: Check) -> None:
        """Report that a check starts."""

    def found(self, check: Check, finding: Finding) -> None:
        """Report a check's finding."""

    def repaired(self, check: Check, name: str, problem: str) -> None:
        """Report a repair, or the `problem` that prevented it; the check then runs again."""

    def ends(self, failed: int, repairable: int) -> None:
        """Report that all checks ran, how many failed, and how many of those `--fix` can repair."""


def examine(checks: Iterable[Check], report: Report, *, repair: bool) -> int:
    """Run each check, with `repair` make its safe repairs and run it again; return how many failed, at most 100."""
    failed = repairable = 0
    for check in checks:
        report.begins(check)
        finding = outcome(check)
        done: set[str] = set()  # one repair may reveal another problem with another repair
        while repair and finding.ok is False and finding.repair is not None and finding.repair.name not in done:
            report.found(check, finding)
            try:
                finding.repair.do()
                problem = ""
            except Exception as error:
                problem = str(error) or type(error).__name__
            report.repaired(check, finding.repair.name, problem)
            done.add(finding.repair.name)
            finding = outcome(check)
        report.found(check, finding)
        failed += finding.ok is False
        repairable += finding.ok is False and finding.repair is not None
    report.ends(failed, repairable)
    return min(failed, MOST_FAILED)


@dataclass
class TextReport:
    """A line for each check; in a terminal coloured and wrapped at its width, elsewhere plain and one line each."""

    out: TextIO

    def __post_init__(self) -> None:
        """Find out what the output can show."""
        self._live = self.out.isatty()
        self._width = shutil.get_terminal_size().columns if self._live else 0
        self._colours = self._live and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        try:
            "✓✗–—→…".encode(self.out.encoding or "utf-8")
            self._ascii = False
        except (UnicodeEncodeError, LookupError):
            self._ascii = True

    def begins(self, check: Check) -> None:
        """Show the check's name while it runs."""
        if self._colours:
            self._write(self._coloured(f"  {check.name} …", "2"), end="")

    def found(self, check: Check, finding: Finding) -> None:
        """Print the finding, and its fix."""
        self._clear()
        sign, colour = _SIGNS[finding.ok]
        sign = self._coloured(_PLAIN_SIGNS[sign] if self._ascii else sign, colour)
        what = printable(finding.what)
        fix = printable(finding.fix) if finding.ok is False else ""
        if not self._live:
            self._write(f"{sign} {check.name}: {what}{f' — {fix}' if fix else ''}")
            return
        head = f"{check.name:<{NAME_WIDTH}} "
        lines = self._wrapped(what, len(head) + 2)
        self._write(f"{sign} {head}" + (self._coloured(lines[0], "2") if finding.ok is None else lines[0]))
        for line in lines[1:]:
            self._write(" " * (len(head) + 2) + (self._coloured(line, "2") if finding.ok is None else line))
        for number, line in enumerate(self._wrapped(fix, len(head) + 4) if fix else ()):
            self._write(" " * (len(head) + 2) + ("  " if number else self._coloured("→ ", "33")) + line)

    def repaired(self, check: Check, name: str, problem: str) -> None:
        """Print the repair."""
        self._write(f"  {'fixing' if not problem else 'could not fix'} {check.name}: {printable(name)}"
                    f"{f': {printable(problem)}' if problem else ''}")  # fmt: skip

    def ends(self, failed: int, repairable: int) -> None:
        """Print the summary."""
        self._clear()
        if not failed:
            self._write("all checks passed")
            return
        can = f"; `deepdream doctor --fix` can fix {repairable} of them" if repairable else ""
        self._write(f"{failed} {'check' if failed == 1 else 'checks'} failed{can}")

    def _wrapped(self, text: str, indent: int) -> list[str]:
        """Return the text in lines; keeps a command in backticks on one line, so that it can be copied."""
        parts = text.split("`")
        parts[1::2] = [part.replace(" ", "\0") for part in parts[1::2]]
        width = max(20, self._width - 1 - indent)
        lines = textwrap.wrap("`".join(parts), width, break_long_words=False, break_on_hyphens=False) or [""]
        return [line.replace("\0", " ") for line in lines]

    def _coloured(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours else text

    def _clear(self) -> None:
        if self._colours:
            self._write("\r\x1b[K", end="")

    def _write(self, text: str, end: str = "\n") -> None:
        if self._ascii:
            text = text.translate({ord("—"): "-", ord("→"): ">", ord("…"): "..."})
            text = text.encode(self.out.encoding or "utf-8", "backslashreplace").decode(self.out.encoding or "utf-8")
        self.out.write(text + end)
        self.out.flush()


@dataclass
class JsonReport:
    """One object at the end: what each check found last, and what `--fix` did."""

    out: TextIO

    def __post_init__(self) -> None:
        """Begin with empty lists."""
        self._found: list[dict[str, Any]] = []
        self._repaired: list[dict[str, Any]] = []

    def begins(self, check: Check) -> None:
        """Add a place for the check's finding."""
        self._found.append({})

    def found(self, check: Check, finding: Finding) -> None:
        """Keep the finding; the one after a repair replaces it."""
        self._found[-1] = {
            "check": check.name, "ok": finding.ok, "what": finding.what, "fix": finding.fix if finding.ok is False else "",
        }  # fmt: skip

    def repaired(self, check: Check, name: str, problem: str) -> None:
        """Keep the repair."""
        self._repaired.append({"check": check.name, "did": name, "trouble": problem})

    def ends(self, failed: int, repairable: int) -> None:
        """Print the object."""
        summary = {
            "version": __version__, "failed": failed, "mendable": repairable,
            "checks": self._found, "mended": self._repaired,
        }  # fmt: skip
        self.out.write(json.dumps(summary) + "\n")
        self.out.flush()


def report_for(as_json: bool) -> Report:
    """Return a report on stdout."""
    return JsonReport(sys.stdout) if as_json else TextReport(sys.stdout)
