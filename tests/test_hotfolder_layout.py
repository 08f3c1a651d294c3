"""Layout in a drop folder: what is taken, which preset it gets, where it goes, and which folders are refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deepdream_core.errors import SettingsError
from deepdream_core.hotfolder.layout import LONGEST_NAME, Layout, check, root_of
from deepdream_core.machine_settings import FolderSettings
from deepdream_core.photo import ENDINGS, RAW_ENDINGS, sidecar_of

ROOT = Path("/data/drop")
PRESETS = {"subtle", "eyes", "träume"}


def layout(root: Path = ROOT, **settings: Any) -> Layout:
    return Layout.of(FolderSettings(path=str(root), **settings), PRESETS, ("old-*",))


def size(path: Path) -> int:
    return len(os.fsencode(path.name))


def names(longest: int) -> st.SearchStrategy[str]:
    """File names of any bytes that a file system takes, readable ones among them."""
    texts = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)
    raw = st.binary(min_size=1, max_size=longest) | texts.map(str.encode)
    stems = raw.map(lambda name: os.fsdecode(name.translate(None, b"/\0").strip(b".") or b"x"))
    tails = st.sampled_from(["", ".jpg", ".JPEG", ".heic", ".\udcff"])
    long = st.tuples(stems, st.integers(1, longest), tails).map(lambda parts: (parts[0] * parts[1], parts[2]))
    # A longer one is made to fit as its bytes are: anywhere, also within a character.
    return long.map(lambda parts: os.fsdecode(os.fsencode(parts[0])[: longest - len(os.fsencode(parts[1]))]) + parts[1])


def test_the_folders_own_places() -> None:
    here = layout()
    assert (here.out, here.done, here.failed) == (ROOT / "out", ROOT / "done", ROOT / "failed")


def test_the_home_folder_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert Layout.of(FolderSettings(path="~/Drop/"), PRESETS).root == Path("/home/somebody/Drop")


def test_without_a_home_folder_the_message_says_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    with pytest.raises(SettingsError, match=r"~/Drop: your home folder cannot be found — set HOME, or write"):
        root_of(FolderSettings(path="~/Drop"))


@pytest.mark.parametrize("path", ["/data", "/data/dropped/a.jpg", "/etc/passwd", "/data/drop/../b.jpg"])
def test_what_is_not_in_the_folder_has_no_place(path: str) -> None:
    for ask in (layout().relative, layout().done_for, layout().failed_for, layout().why_for, layout().why_passed_over):
        with pytest.raises(ValueError, match=r"."):
            ask(Path(path))


@pytest.mark.parametrize(
    ("path", "preset"),
    [
        ("a.jpg", None),
        ("subtle/a.jpg", "subtle"),
        ("subtle/holiday/a.jpg", "subtle"),
        ("holiday/subtle/a.jpg", "subtle"),
        ("eyes/subtle/a.jpg", "eyes"),
        ("holiday/a.jpg", None),
        ("Subtle/a.jpg", None),
        ("subtle2/a.jpg", None),
        ("subtle", None),
        ("träume/a.jpg", "träume"),
        (unicodedata.normalize("NFD", "träume") + "/a.jpg", "träume"),
    ],
)
def test_a_folder_named_like_a_preset_applies_it(path: str, preset: str | None) -> None:
    assert layout().preset_of(ROOT / path) == preset
    assert layout(preset="eyes").preset_of(ROOT / path) == (preset or "eyes")


def test_a_root_named_like_a_preset_does_not_apply_it() -> None:
    assert layout(Path("/data/subtle")).preset_of(Path("/data/subtle/a.jpg")) is None


@pytest.mark.parametrize(
    ("path", "ending", "result"),
    [
        ("a.jpg", ".jpg", "a.jpg"),
        ("eyes/b/a.JPG", ".jpg", "eyes/b/a.JPG"),
        ("a.jpe", ".jpg", "a.jpe"),
        ("a.TIFF", ".tif", "a.TIFF"),
        ("a.jpg", ".png", "a.png"),
        ("a.b.HEIC", ".jpg", "a.b.jpg"),
        ("a.nef", ".tif", "a.tif"),
        ("a", ".png", "a.png"),
        ("a.xyz", ".XYZ", "a.xyz"),
        ("a.xyz", ".zyx", "a.zyx"),
    ],
)
def test_a_result_keeps_its_name_and_its_ending_while_the_format_stays(path: str, ending: str, result: str) -> None:
    assert layout().result_for(ROOT / path, ending) == ROOT / "out" / result


def test_a_longer_ending_never_makes_a_name_too_long() -> None:
    result = layout().result_for(ROOT / ("é" * 125 + "ab.jpg"), ".webp")
    assert result.name == "é" * 125 + ".webp"
    assert size(result) == LONGEST_NAME


def test_originals_go_where_they_lay() -> None:
    path = ROOT / "eyes" / "2026" / "a.JPG"
    assert layout().done_for(path) == ROOT / "done" / "eyes" / "2026" / "a.JPG"
    assert layout().failed_for(path) == ROOT / "failed" / "eyes" / "2026" / "a.JPG"


def test_the_first_number_is_none() -> None:
    long = ROOT / ("x" * 300 + ".jpg")
    assert Layout.numbered(long, 1) == long


@pytest.mark.parametrize(
    ("name", "n", "numbered"),
    [
        ("a.jpg", 2, "a (2).jpg"),
        ("a (2).jpg", 3, "a (2) (3).jpg"),
        ("a.b.JPG", 10, "a.b (10).JPG"),
        ("a", 2, "a (2)"),
        ("x" * 251 + ".jpg", 2, "x" * 247 + " (2).jpg"),
        ("é" * 125 + "x.jpg", 2, "é" * 123 + " (2).jpg"),
        ("é" * 125 + "x.jpg", 10, "é" * 123 + " (10).jpg"),
        ("é" * 125 + "x.jpg", 100, "é" * 122 + " (100).jpg"),
        ("🐕" * 62 + ".jpg", 2, "🐕" * 61 + " (2).jpg"),
        ("\udcff" * 251 + ".jpg", 2, "\udcff" * 247 + " (2).jpg"),
        ("a." + "x" * 253, 2, "a." + "x" * 249 + " (2)"),
    ],
)
def test_a_name_that_is_taken_gets_a_number(name: str, n: int, numbered: str) -> None:
    assert Layout.numbered(ROOT / "b" / name, n) == ROOT / "b" / numbered


@given(names(LONGEST_NAME), st.integers(2, 10**9))
@example("é" * 127 + "x", 2)
@example("a." + "é" * 126, 2)
def test_a_numbered_name_fits_and_is_cut_between_characters(name: str, n: int) -> None:
    path = ROOT / name
    numbered = Layout.numbered(path, n)
    assert size(numbered) <= LONGEST_NAME
    assert numbered.parent == path.parent
    assert os.fsdecode(os.fsencode(numbered.name)) == numbered.name
    stem, mark, ending = numbered.name.rpartition(f" ({n})")
    assert mark
    assert name.startswith(stem)
    assert name.endswith(ending)
    if len(stem + ending) < len(name):  # cut no shorter than it must be
        one_more = name[: len(stem) + 1]
        assert len(os.fsencode(one_more + mark + ending)) > LONGEST_NAME
    assert Layout.numbered(path, n + 1) != numbered


def test_the_reason_is_beside_the_failed_original() -> None:
    here = layout()
    assert here.why_for(ROOT / "eyes" / "a.jpg") == ROOT / "failed" / "eyes" / "a.jpg.why.txt"
    assert here.why_for(ROOT / "failed" / "eyes" / "a (2).jpg") == ROOT / "failed" / "eyes" / "a (2).jpg.why.txt"


@given(names(LONGEST_NAME))
@example("é" * 126 + ".jp")
@example("x" * (LONGEST_NAME - len(".why.txt")))
def test_a_text_that_says_why_has_a_name_that_fits(name: str) -> None:
    why = layout().why_for(ROOT / name)
    assert size(why) <= LONGEST_NAME
    assert why.parent == ROOT / "failed"
    assert why.name.endswith(".why.txt")
    assert os.fsdecode(os.fsencode(why.name)) == why.name
    if len(os.fsencode(name)) <= LONGEST_NAME - len(".why.txt"):
        assert why.name == name + ".why.txt"


def test_long_names_that_differ_at_their_end_have_texts_of_their_own() -> None:
    texts = {layout().why_for(ROOT / ("x" * 250 + letter + ".jpg")) for letter in "abc"}
    assert len(texts) == 3


@pytest.mark.parametrize("ending", [*ENDINGS, *sorted(RAW_ENDINGS)])
def test_pictures_are_taken_and_so_is_camera_raw(ending: str) -> None:
    for path in (f"a{ending}", f"subtle/x y/a{ending.upper()}"):
        assert not layout().passed_over(ROOT / path, False)
        assert layout().why_passed_over(ROOT / path) is None


@pytest.mark.parametrize(
    "name", ["a", "outer", "out.jpg", "photos.2026", "x", "holiday/out", "a\nb", "\udcff\udcfe", "done~x"]
)
def test_ordinary_folders_are_looked_into(name: str) -> None:
    assert not layout().passed_over(ROOT / name, True)


def test_the_root_itself_is_looked_into() -> None:
    assert not layout().passed_over(ROOT, True)
    assert layout().why_passed_over(ROOT) is None


OVER = [
    ("out", "is one of this folder's own folders: out"),
    ("done", "is one of this folder's own folders: done"),
    (".hidden", "is hidden (ignored: '.*')"),
    ("@eaDir", "is where Synology keeps thumbnails and metadata (ignored: '@eaDir')"),
    ("Mine.LRDATA", "is a catalogue of Lightroom or its previews (ignored: '*.lrdata')"),
    ("a\nb.tmp", "is a temporary file (ignored: '*.tmp')"),
    ("old-2026.jpg", "is ignored: 'old-*' in config.yaml"),
]


@pytest.mark.parametrize(("name", "why"), OVER)
def test_what_belongs_to_others_is_passed_over(name: str, why: str) -> None:
    for is_folder in (False, True):
        assert layout().passed_over(ROOT / name, is_folder)
        assert layout().why_passed_over(ROOT / name, is_folder) == why


def test_a_folder_called_nearly_so_is_ours_only_where_the_disk_takes_both_for_one(tmp_path: Path) -> None:
    made = Layout.of(FolderSettings(path=str(tmp_path)), ())
    (tmp_path / "OUT").mkdir()
    assert not made.passed_over(tmp_path / "OUT" / "a.jpg", False)
    (tmp_path / "out").symlink_to("OUT")
    assert made.why_passed_over(tmp_path / "OUT") == "is one of this folder's own folders: OUT"


@pytest.mark.parametrize(("name", "why"), OVER)
def test_and_so_are_pictures_in_a_folder_of_that_name(name: str, why: str) -> None:
    path = ROOT / name / "deeper" / "a.jpg"
    assert layout().passed_over(path, False)
    told = f"is in {name!r}, which {why}" if "own folders" not in why else why.replace("is ", "is in ", 1)
    assert layout().why_passed_over(path) == told


@pytest.mark.parametrize(("name", "why"), [(name, why) for name, why in OVER if "own folders" not in why])
def test_also_below_the_top(name: str, why: str) -> None:
    assert layout().why_passed_over(ROOT / "holiday" / name) == why


def test_the_names_of_own_folders_are_free_below_the_top() -> None:
    for name in ("out", "done", "failed"):
        assert layout().why_passed_over(ROOT / "holiday" / name / "a.jpg") is None


def test_recipes_and_other_files_are_passed_over() -> None:
    here = layout()
    assert here.why_passed_over(sidecar_of(ROOT / "a.bmp")) == "is the recipe of the picture beside it"
    for name in ("a.txt", "a", "a.jpg.txt", "jpg", "a.mp4", "a.jpg ", "a.\udcff"):
        assert here.passed_over(ROOT / name, False), name
        told = here.why_passed_over(ROOT / name) or ""
        assert told.startswith("does not have a picture's name: known endings are .jpg, .jpeg, "), name


def test_only_what_is_below_the_root_makes_hidden() -> None:
    root = Path("/home/x/.cache/a.tmp/out")
    assert layout(root).why_passed_over(root / "subtle" / "a.jpg") is None


@given(st.lists(names(60), min_size=1, max_size=4), st.booleans())
def test_any_name_can_be_asked_about(parts: list[str], is_folder: bool) -> None:
    path = ROOT.joinpath(*parts)
    why = layout().why_passed_over(path, is_folder)
    assert (why is not None) is layout().passed_over(path, is_folder)
    assert why is None or why.startswith(("is ", "does not have "))
    assert why is None or "\n" not in why


# Which folders are refused


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for drop folders, the home folder beside it."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "drops").mkdir()
    return tmp_path / "drops"


def checked(*paths: Path | str) -> None:
    check([FolderSettings(path=str(path)) for path in paths])


def refused(*paths: Path | str) -> str:
    with pytest.raises(SettingsError) as caught:
        checked(*paths)
    return str(caught.value)


def test_folders_beside_each_other_are_fine_there_or_not(top: Path) -> None:
    (top / "a").mkdir()
    for name in ("out", "done", "failed"):
        (top / "a" / name).mkdir()
    checked(top / "a", top / "ab", top / ".hidden", "~/DeepDream")
    checked()


def test_the_same_folder_twice(top: Path) -> None:
    (top / "a").mkdir()
    (top / "link").symlink_to(top / "a")
    (top / "home").symlink_to(top)
    a = top / "a"
    for other in (f"{a}", f"{a}/", f"{top}/b/../a", f"{top}/./a", top / "link", top / "home" / "a"):
        assert refused(a, other) == f"{other}: is the same folder as {a} — give each folder once"
    (Path.home() / "drop").mkdir()
    assert f"~/drop: is the same folder as {Path.home()}/drop" in refused(Path.home() / "drop", "~/drop")


def test_one_folder_within_another(top: Path) -> None:
    (top / "a" / "b").mkdir(parents=True)
    (top / "link").symlink_to(top / "a" / "b")
    a = top / "a"
    for inner in (a / "b", a / "not" / "yet", a / "out", a / "done" / "x", top / "link", top / "link" / "c"):
        for pair in ((a, inner), (inner, a)):
            assert refused(*pair) == f"{inner}: is in the drop folder {a} — use a folder outside it"


def test_the_root_of_the_disk_and_folders_that_contain_the_home_folder(top: Path) -> None:
    assert refused("/").startswith("/: is the root of the disk — ")
    (top / "link").symlink_to(Path.home())
    for path in ("~", "~/", Path.home(), Path.home().parent, top / "link"):
        step = "make a folder for pictures, for example ~/DeepDream"
        assert refused(path) == f"{path}: is or contains your home folder {Path.home()} — {step}"


def test_a_file_cannot_be_a_drop_folder(top: Path) -> None:
    (top / "a").write_text("")
    (top / "link").symlink_to(top / "a")
    for path in (top / "a", top / "link"):
        assert refused(path).startswith(f"{path}: is a file, not a folder — ")


@pytest.mark.parametrize("name", ["out", "done", "failed"])
def test_an_own_folder_that_leads_back_to_where_pictures_are_dropped(top: Path, name: str) -> None:
    own = top / "a" / name
    own.parent.mkdir()
    for target in (
        top / "a",
        top,
        top / "a" / "deeper",
        top / "b",
        top / "b" / "c",
        top / "a" / "out" / ".." / "done2",
    ):
        own.symlink_to(target)
        told = refused(top / "a", top / "b")
        assert f"{top / 'a'}: its folder {name} is " in told
        assert f"the drop folder {top / ('b' if 'b' in target.parts else 'a')}" in told
        assert f"point the link {name} to another folder" in told
        own.unlink()


@pytest.mark.parametrize("order", [1, -1])
def test_an_own_folder_that_holds_another_drop_folder(top: Path, order: int) -> None:
    (top / "a").mkdir()
    (top / "big" / "b").mkdir(parents=True)
    (top / "a" / "out").symlink_to(top / "big")
    told = refused(*[top / "a", top / "big" / "b"][::order])
    assert (
        f"{top / 'a'}: its folder out is {top / 'big'}, which is, contains or is in the drop folder {top / 'big' / 'b'}"
        in told
    )


def test_an_own_folder_may_lead_elsewhere(top: Path) -> None:
    for name in ("a", "b"):
        (top / name).mkdir()
        (top / name / "out").symlink_to(top / "results")
    checked(top / "a", top / "b")


def test_circular_links_do_no_harm(top: Path) -> None:
    (top / "a").mkdir()
    (top / "a" / "out").symlink_to("out")
    checked(top / "a", top / "b")


def test_a_folder_mounted_twice_is_one(top: Path) -> None:
    unshare = shutil.which("unshare")
    alone = [str(unshare), "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    one, two = top / "one", top / "two"
    one.mkdir()
    two.mkdir()
    mounting = f'mount --bind "{one}" "{two}" && exec "$@"'
    if unshare is None or subprocess.run([*alone, "sh", "-c", mounting, "sh", "true"], check=False).returncode:
        pytest.skip("this system lets no one mount here")
    program = (
        "import sys\n"
        "from deepdream_core.hotfolder.layout import check\n"
        "from deepdream_core.settings import FolderSettings\n"
        "check([FolderSettings(path=path) for path in sys.argv[1:]])"
    )
    for second in (two, two / "inner"):
        command = [*alone, "sh", "-c", mounting, "sh", sys.executable, "-c", program, str(one), str(second)]
        answer = subprocess.run(command, check=False, capture_output=True, text=True)
        words = "is the same folder as" if second == two else "is in the drop folder"
        assert f"SettingsError: {second}: {words} {one}" in answer.stderr
