"""Names that are nobody's picture: one list for drop folders and for folders named to `dream`, and more in config.yaml."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import pytest

from deepdream_core.config import load_config
from deepdream_core.errors import SettingsError
from deepdream_core.hotfolder.layout import Layout
from deepdream_core.machine_settings import FolderSettings
from deepdream_core.work import jobs
from deepdream_core.work.ignore import Ignore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

OTHERS = """
@eaDir|#recycle|#snapshot|@tmp|@sharesnap|a.jpg@SynoEAStream|.SynologyWorkingDirectory
@Recycle|@Recently-Snapshot|.@__thumb|.@upload_cache|.Qsync|.streams|Network Recycle Bin 1
~snapshot|.snapshot|.snapshots|.zfs|@GMT-2026.01.02-03.04.05|.recycle|trashbox|.wdmc|lost+found
$RECYCLE.BIN|RECYCLER|System Volume Information|Thumbs.db|ehthumbs_vista.db|desktop.ini|FOUND.000|WindowsImageBackup
.DS_Store|._a.jpg|.AppleDouble|__MACOSX|.Trashes|.Spotlight-V100|.fseventsd|Network Trash Folder|Temporary Items
DfsrPrivate|a.jpg.sb-1a2b3c4d-Xy12zA|Backups.backupdb|a.sparsebundle
Photos Library.photoslibrary|iPhoto Library.photolibrary|iPhoto Library.migratedphotolibrary|Aperture Library.aplibrary
iPhoto Library|Photo Booth Library|Vault.apvault|GIMP.app|a.rtfd|a.pages|a.imovielibrary
Previews.lrdata|Smart Previews.lrdata|Lightroom Library.lrlibrary|a.lrcat|a.lrcat-data|.BridgeCache
CaptureOne|a.cocatalog|a.cosessiondb|.dtrash|mipmaps-1a2b.d|.picasaoriginals|[Originals]|NKSC_PARAM|THMBNL
.Trash-1000|.Trash|Trash|.thumbnails|.trashed-1700000000-a.jpg|.pending-1700000000-a.jpg|.hidden.jpg
.stversions|.stfolder|.syncthing.a.jpg.tmp|~syncthing~a.jpg.tmp|.sync|a.jpg.!sync|.dropbox.cache|.tmp.drivedownload
.sync_1a2b.db|.a.jpg.~1a2b|files_trashbin|files_versions|appdata_ocabc123|.a.jpg.icloud|a.jpg.nextcloud|a.jpg.ffs_tmp|_gsdata_
a.jpg.part|a.jpg.crdownload|Unconfirmed 123456.crdownload|a.jpg.opdownload|a.jpg.download|a.jpg.wkdownload|a.jpg.filepart
a.looks.jpg|a.looks-layers.jpg|a.looks-step-tv.jpg|a.looks.html|a.jpg.aria2|a.jpg.!ut|a.jpg.!qB|a.jpg.partial|a.jpg.tmp|~$a.jpg|~a.tmp|.~lock.a.jpg#|a.jpg~|.~tmp~|.nfs0001
"""
NAMES = [name for line in OTHERS.strip().splitlines() for name in line.split("|")]
ORDINARY = ["a.jpg", "Photos", "trash.jpg", "recycle", "snapshot", "Snapshots 2026", "@home", "#1.jpg", "$5.png", "~a.jpg",
            "originals", "looks.jpg", "a.looks.png", "my-looks.jpg", "a.sync-conflict-20260102-030405-ABCDEFG.jpg",
            "part.jpg", "app", "a (1).jpg", "\udcff", "Capture"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_what_other_programs_make_is_left_alone_in_any_case(name: str) -> None:
    for written in (name, name.upper(), name.lower()):
        why = Ignore().why(written) or ""
        assert why.startswith("is "), written
        assert why.count("(ignored: '") == 1, "the pattern is named"


@pytest.mark.parametrize("name", ORDINARY)
def test_and_nothing_else_is(name: str) -> None:
    assert Ignore().why(name) is None


@pytest.mark.parametrize(
    ("more", "ignored", "taken"),
    [
        (["*-small.jpg", "Kontaktabzüge"], ["a-SMALL.jpg", "kontaktabzüge", "@eaDir"], ["a.jpg"]),
        (["!@eaDir"], ["@tmp"], ["@eaDir", "@EADIR"]),
        (["*.jpg", "!best.jpg"], ["a.jpg", ".x"], ["best.jpg", "a.png"]),
        (["!best.jpg", "*.jpg"], ["best.jpg"], []),
        (["!*", "#*"], ["#1.jpg"], [".hidden.jpg", "@eaDir", "a.part"]),
        (["!*"], [".deepdream-folder", ".deepdream-7f.tmp", ".DeepDream-12"], []),
    ],
)
def test_config_adds_names_and_takes_them_back(more: list[str], ignored: list[str], taken: list[str]) -> None:
    ignore = Ignore(tuple(more))
    assert [name for name in ignored if ignore.why(name) is None] == []
    assert [name for name in taken if ignore.why(name) is not None] == []
    assert ignore.why(unicodedata.normalize("NFD", ignored[-1])) is not None


def test_the_pattern_of_config_yaml_is_named() -> None:
    assert Ignore(("*-small.*",)).why("a-small.jpg") == "is ignored: '*-small.*' in config.yaml"


def taken(root: Path, ignore: Sequence[str] = ()) -> tuple[set[str], set[str]]:
    """The pictures in a folder that `watch` takes and those that `dream FOLDER` takes."""
    layout = Layout.of(FolderSettings(path=str(root)), (), ignore)
    files = [path for path in root.rglob("*") if path.is_file()]
    planned = jobs.plan([root], None, ignore=ignore)
    return (
        {str(path.relative_to(root)) for path in files if not layout.passed_over(path, False)},
        {str(job.source.relative_to(root)) for job in planned if isinstance(job, jobs.Job)},
    )


def test_a_watched_folder_and_a_folder_to_dream_go_by_the_same_list(tmp_path: Path) -> None:
    for name in [*NAMES, "day", "old"]:
        (tmp_path / "holiday" / name / "deeper").mkdir(parents=True)
        (tmp_path / "holiday" / name / "deeper" / "a.jpg").touch()
    assert taken(tmp_path) == ({"holiday/day/deeper/a.jpg", "holiday/old/deeper/a.jpg"},) * 2
    assert taken(tmp_path, ["old", "!#snapshot"]) == (
        {"holiday/day/deeper/a.jpg", "holiday/#snapshot/deeper/a.jpg"},
    ) * 2  # fmt: skip


def test_what_is_named_is_dreamed_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "@eaDir").mkdir()
    (tmp_path / "@eaDir" / "a.jpg").touch()
    (tmp_path / ".b.jpg").touch()
    planned = jobs.plan([tmp_path / "@eaDir", tmp_path / ".b.jpg"], None)
    assert [job.source.name for job in planned if isinstance(job, jobs.Job)] == ["a.jpg", ".b.jpg"]


def test_a_folder_with_nothing_else_says_what_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "Photos Library.photoslibrary").mkdir()
    (tmp_path / "Photos Library.photoslibrary" / "a.jpg").touch()
    (refused,) = jobs.plan([tmp_path], None)
    assert not isinstance(refused, jobs.Job)
    assert "no pictures in this folder (ignored in it: Photos Library.photoslibrary)" in str(refused[1])


def configured(folder: Path, text: str) -> tuple[str, ...]:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(path).ignore


def test_a_config_may_say_more_or_nothing(tmp_path: Path) -> None:
    assert configured(tmp_path, "dream: {seed: 1}") == ()
    assert configured(tmp_path, "ignore:") == ()
    assert configured(tmp_path, 'ignore: "*-small.jpg"') == ("*-small.jpg",)
    assert configured(tmp_path, 'ignore:\n- "#*"\n- old\n- "!@eaDir"\n') == ("#*", "old", "!@eaDir")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ignore:\n- #recycle", r'ignore\[0\]: None is not a name — write each name in quotes, as "#recycle"'),
        ("ignore: [a, 2024]", r"ignore\[1\]: 2024 is not a name — write each name in quotes"),
        ("ignore: {a: b}", r"ignore: \{'a': 'b'\} is not a name"),
        ('ignore: ["old/"]', r"ignore\[0\]: 'old/' is not the name of a file or folder — give a name alone"),
        ('ignore: ["!"]', r"ignore\[0\]: '!' is not the name of a file or folder"),
        (
            "ignore: [*.jpg]",
            r"line 1, column 11: .*— correct that line; text that begins with \* ! @ or & needs quotes",
        ),
    ],
)
def test_patterns_that_cannot_be_meant_are_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        configured(tmp_path, text)
