"""Print the results of run.sh as Markdown. Argument: its folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def _json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found


def _text(path: Path) -> list[str]:
    return path.read_text().strip().splitlines() if path.exists() else []


def lines_of(folder: Path) -> list[str]:
    """Return the summary's lines; a stage that failed is named and its numbers are left out."""
    machine = _json(folder / "machine.txt")
    where = machine.get("gpu") or f"{machine.get('processors')} processors, no GPU"
    versions = ", ".join(f"{name} {version}" for name, version in machine.get("versions", {}).items())
    lines = [f"# DeepDream on {where}", "", f"Python {machine.get('python')}, {versions}; {machine.get('system')}", ""]
    lines += ["| stage | exit code | seconds |", "|---|---|---|"]
    stages = [line.split("\t") for line in (folder / "stages.tsv").read_text().splitlines()]
    lines += [f"| {name} | {code} | {seconds} |" for name, code, seconds in stages]
    lines += ["", f"Tests: {(_text(folder / 'tests.txt') or ['none'])[-1].strip('= ')}", ""]
    lines += ["| gradient through pool4 | ours | bare convolutions | plain loop | speed-up | one step | as `neon` |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for path in sorted(folder.glob("bench-*.txt")):
        found = _json(path)
        for row in found.get("measured", []):
            times = [1000 * row[key] for key in ("gradient_s", "convolutions_s", "plain_s")]
            lines += [
                f"| {row['side_px']}², {found['precision']} | {times[0]:.2f} ms | {times[1]:.2f} ms | {times[2]:.2f} ms "
                f"| {times[2] / times[0]:.1f}× | {1000 * row['step_s']:.2f} ms "
                f"| {1000 * row['plain_step_s']:.2f} ms |"
            ]
    lines += ["", *(f"- {' '.join(path.read_text().split())}" for path in sorted(folder.glob("memory-*.txt")))]
    lines += ["", "```", *_text(folder / "helper.txt"), "```"]
    profile = _json(folder / "profile.json")
    if profile:
        wall, busy = profile["wall_ms"], profile["kernels_ms"]
        lines += [
            "",
            f"One step at {profile['side_px']}², {profile['precision']}: {wall} ms, {busy} ms in kernels.",
            "",
        ]
        lines += ["| ms | calls | kernel |", "|---|---|---|"]
        lines += [f"| {row['ms']} | {row['calls']} | `{row['name']}` |" for row in profile["rows"][:12]]
    lines += ["", *(f"- {line}" for line in _text(folder / "pictures.txt"))]
    return lines


print("\n".join(lines_of(Path(sys.argv[1]))))
