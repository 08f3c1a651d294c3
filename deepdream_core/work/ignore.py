"""Names to ignore: other programs' trash, thumbnails, catalogues and unfinished files.

Drop folders and `deepdream dream FOLDER` share this list. Names alone decide: patterns of `fnmatch`, for
files and folders alike, regardless of case and of how an accent is written.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fnmatch import fnmatchcase, translate
from functools import cached_property

_OURS = ".deepdream-"
UNFINISHED = {
    "is an unfinished download of Chrome": (".crdownload",),
    "is an unfinished download of Opera": (".opdownload",),
    "is an unfinished download of Safari": (".download",),
    "is an unfinished download of GNOME Web": (".wkdownload",),
    "is an unfinished download of DuckDuckGo": (".duckload",),
    "is an unfinished download of Free Download Manager": (".fdmdownload",),
    "is an unfinished download of a torrent": (".!ut", ".!qb", ".bc!"),
    "is an unfinished copy of WinSCP": (".filepart",),
    "is an unfinished download or copy": (".part", ".partial", ".unfinished", ".incomplete"),
    "is a temporary file": (".tmp", ".temp"),
}
"""Endings of a file's name while it arrives, in lower case."""
NOTES = (".aria2", ".lftp-pget-status")
"""Endings of the notes of aria2 and lftp, which are beside a file until it is complete."""
_BUILT_IN = (
    ("is a temporary file of Syncthing", (".syncthing.*", "~syncthing~*")),
    ("is where Syncthing keeps old versions", (".stversions",)),
    ("is Syncthing's own", (".stfolder*", ".stignore")),
    ("is Resilio Sync's own", (".sync", "*.!sync")),
    ("is Dropbox's own", (".dropbox*",)),
    ("is Google Drive's own", (".tmp.driveupload", ".tmp.drivedownload")),
    ("is Nextcloud's or ownCloud's own", (".sync_*.db*", "._sync_*.db*", "appdata_oc*")),
    ("is the trash of Nextcloud or ownCloud", ("files_trashbin",)),
    ("is where Nextcloud and ownCloud keep old versions", ("files_versions",)),
    ("is the placeholder of a file that is still in the cloud", (".*.icloud", "*.nextcloud", "*.owncloud")),
    ("is where GoodSync keeps old versions", ("_gsdata_",)),
    ("is a temporary file of FreeFileSync", ("*.ffs_tmp",)),
    ("is where rsync keeps unfinished copies", (".~tmp~", ".rsync-partial")),
    ("is a lock file of LibreOffice", (".~lock*",)),
    ("is a temporary file of Microsoft Office", ("~$*",)),
    ("is a backup copy of an editor", ("*~",)),
    ("is what macOS stores about another file", ("._*", ".AppleDouble", "__MACOSX")),
    ("is macOS' own",
     (".DS_Store", ".apdisk", ".fseventsd", ".Spotlight-V100", ".DocumentRevisions-V100", ".TemporaryItems",
      "Temporary Items", "TheVolumeSettingsFolder", "*.sb-????????-??????")),
    ("is the trash of macOS", (".Trash", ".Trashes", "Network Trash Folder")),
    ("is a backup of Time Machine", ("Backups.backupdb", "*.backupbundle", "*.sparsebundle", ".MobileBackups*")),
    ("is a library of Apple Photos, iPhoto, Aperture or Photo Booth",
     ("*.photoslibrary", "*.photolibrary", "*.migratedphotolibrary", "*.aplibrary", "*.migratedaperturelibrary",
      "*.apvault", "iPhoto Library", "Photo Booth Library")),
    ("is a library of films or music",
     ("*.imovielibrary", "*.theater", "*.fcpbundle", "*.tvlibrary", "*.musiclibrary", "*.band", "*.logicx")),
    ("is a document or a program that looks like a file on a Mac",
     ("*.app", "*.bundle", "*.framework", "*.pages", "*.numbers", "*.key", "*.rtfd")),
    ("is the trash of Linux desktops", (".Trash-*", "Trash")),
    ("is where thumbnails are kept", (".thumbnails", ".thumbs", ".sh_thumbnails", ".xvpics", ".wdmc")),
    ("is what a file system check has recovered", ("lost+found", "found.[0-9][0-9][0-9]")),
    ("is a deleted file that is still open", (".nfs*", ".fuse_hidden*", ".smbdelete*")),
    ("is where Synology keeps thumbnails and metadata", ("@eaDir", "*@SynoEAStream", "*@SynoResource")),
    ("is the recycle bin of a NAS or a Samba share",
     ("#recycle", ".recycle", "@Recycle", "Network Recycle Bin*", "Recycle Bin - *", "trashbox")),
    ("is where a NAS keeps snapshots",
     ("#snapshot", "@sharesnap", "@Recently-Snapshot", ".zfs", ".snapshot", "~snapshot", ".snapshots", "@GMT-*")),
    ("is Synology's own",
     ("@tmp", "@database", "@sharebin", "@synologydrive", "@img_bkp_cache", ".SynologyWorkingDirectory")),
    ("is where QNAP keeps thumbnails and metadata",
     (".@__thumb", "@__thumb", ".@*", "@transcode", ".streams", ".qsync", ".qsync_sn")),
    ("is the recycle bin of Windows", ("$RECYCLE.BIN", "RECYCLER", "RECYCLED")),
    ("is Windows' own",
     ("System Volume Information", "desktop.ini", "$Windows.~*", "$WinREAgent", "WindowsImageBackup", "FileHistory",
      "DfsrPrivate")),
    ("is where Windows keeps its thumbnails", ("Thumbs.db", "ehthumbs*.db")),
    ("is a catalogue of Lightroom or its previews", ("*.lrdata", "*.lrlibrary", "*.lrcat*")),
    ("is Adobe Bridge's own", (".BridgeCache*", ".BridgeSort", ".BridgeLabelsAndRatings", "Adobe Bridge Cache*")),
    ("is Capture One's own", ("CaptureOne", "*.cocatalog", "*.cocatalogdb", "*.cosessiondb")),
    ("is digiKam's own", (".dtrash", "digikam4.db*", "thumbnails-digikam.db*", "similarity.db*", "recognition.db*")),
    ("is darktable's own", ("mipmaps-*.d",)),
    ("is Picasa's own", (".picasa.ini", "Picasa.ini", ".picasaoriginals")),
    ("is where ACDSee keeps originals", ("[[]Originals]",)),
    ("is ZoomBrowser's own", ("ZbThumbnail.info",)),
    ("is Nikon's own", ("NKSC_PARAM",)),
    ("is where Sony cameras keep thumbnails of films", ("THMBNL",)),
    ("is a picture in the trash of Android", (".trashed-*",)),
    ("is an unfinished picture of Android", (".pending-*",)),
    ("is a sheet that `deepdream looks` made",
     tuple(f"*.looks{more}{ending}" for more in ("", "-*") for ending in (".jpg", ".html"))),
    ("is hidden", (".*",)),
    *((why, tuple(f"*{ending}" for ending in endings)) for why, endings in UNFINISHED.items()),
    ("is a note about an unfinished download", tuple(f"*{ending}" for ending in NOTES)),
)  # fmt: skip


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


_RULES = tuple((_plain(pattern), pattern, why) for why, patterns in _BUILT_IN for pattern in patterns)
# One match instead of two hundred for ordinary names, of which a scan meets thousands.
_ANY = re.compile("|".join(translate(pattern) for pattern, _, _ in _RULES))


@dataclass(frozen=True)
class Ignore:
    """The names to ignore: the built-in ones, and the patterns `more` from config.yaml.

    As in a .gitignore, the last pattern in `more` that matches a name decides, before the built-in ones. A pattern that
    begins with `!` takes names off the list: `!@eaDir` one built-in name, `!*` all of them.
    """

    more: tuple[str, ...] = ()

    @cached_property
    def _more(self) -> list[tuple[str, str]]:
        return [(_plain(pattern.removeprefix("!")), pattern) for pattern in reversed(self.more)]

    def why(self, name: str) -> str | None:
        """Return why a file or folder of this name is ignored, with the pattern; None for all other names."""
        plain = _plain(name)
        if plain.startswith(_OURS):  # our unfinished files must never be taken, whatever config.yaml says
            return "is DeepDream's own"
        for matches, pattern in self._more:
            if fnmatchcase(plain, matches):
                return None if pattern.startswith("!") else f"is ignored: {pattern!r} in config.yaml"
        if _ANY.match(plain) is None:
            return None
        return next(f"{why} (ignored: {pattern!r})" for matches, pattern, why in _RULES if fnmatchcase(plain, matches))
