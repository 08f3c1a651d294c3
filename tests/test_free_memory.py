"""How much memory this process may still take, in a container or service with a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdream_core.engine.free_memory import cgroup_free_bytes

if TYPE_CHECKING:
    from pathlib import Path

MB = 1 << 20


def group(folder: Path, limit: str, used_mb: int, pages_mb: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used_mb * MB}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {pages_mb * MB}\nactive_file 7\n")


def test_files_that_were_read_count_as_free(tmp_path: Path) -> None:
    (tmp_path / "membership").write_text("0::/\n")
    group(tmp_path, str(1000 * MB), 990, 700)
    assert cgroup_free_bytes(tmp_path / "membership", tmp_path) == 710 * MB


def test_the_tightest_group_counts(tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    (tmp_path / "membership").write_text("0::/studio.slice/deepdream.service\n")
    group(mounted / "studio.slice", str(500 * MB), 480, 10)
    group(mounted / "studio.slice" / "deepdream.service", "max", 100)
    assert cgroup_free_bytes(tmp_path / "membership", mounted) == 30 * MB
    group(mounted / "studio.slice" / "deepdream.service", str(110 * MB), 105)
    assert cgroup_free_bytes(tmp_path / "membership", mounted) == 5 * MB


def test_a_full_group_leaves_nothing_and_no_group_no_limit(tmp_path: Path) -> None:
    (tmp_path / "membership").write_text("0::/a\n")
    assert cgroup_free_bytes(tmp_path / "membership", tmp_path) > 1 << 50
    assert cgroup_free_bytes(tmp_path / "missing", tmp_path) > 1 << 50
    group(tmp_path / "a", str(MB), 2)
    assert cgroup_free_bytes(tmp_path / "membership", tmp_path) == 0
