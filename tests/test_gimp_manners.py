"""The rest of a native's manners: words and numbers in the user's language, help, icon, names for screen readers."""

from __future__ import annotations

import copy
import gettext
import json
import locale
import os
import re
import string
import subprocess
import sys
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import helper_sentences
import plugin_folder
import pytest
from gimp_root import SERIES, GimpRoot, root_or_skip, run_gimp, screen, start_gimp
from helper_process import until
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from plugin_folder import FOLDER, ROOT, choices, facts, helper_words, plugin_errors, what, words
from test_gimp_dialog import OPEN, WATCH, Person, installed
from test_plugin_texts import OF_GIMP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

sys.path.insert(0, str(ROOT / "docs"))

import make_gimp_help

LANGUAGES = sorted(folder.name for folder in (FOLDER / "locale").iterdir())


@pytest.fixture
def speak(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the plug-in speak a language, and write numbers as it does."""

    def choose(language: str) -> None:
        for name, domain in (("_catalogue", words.DOMAIN), ("_sentences", "helper")):
            catalogue = gettext.translation(domain, FOLDER / "locale", [language], fallback=language == "en")
            monkeypatch.setattr(words, name, catalogue)
        monkeypatch.setattr(locale, "localeconv", lambda: {"decimal_point": "." if language == "en" else ","})

    return choose


def filled(template: str, meant: str) -> tuple[str, str]:
    """A template and its translation with the same made-up words in their holes."""
    names = sorted({name for _text, name, _spec, _how in string.Formatter().parse(template) if name})
    parts = {name: f"«{number}»" for number, name in enumerate(names)}
    return template.format(**parts), meant.format(**parts)


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_sentence_of_client_and_helper_arrives_in_the_user_s_language(
    speak: Callable[[str], None], language: str
) -> None:
    speak(language)
    for template in helper_sentences.sentences():
        meant = helper_words.IN_GIMP.get(template, words.sentence(template))
        given, wanted = filled(template, meant)
        assert helper_words.translated(given) == wanted


def test_in_english_nothing_but_the_advice_changes(speak: Callable[[str], None]) -> None:
    speak("en")
    for template in set(helper_sentences.sentences()) - set(helper_words.IN_GIMP):
        given, same = filled(template, template)
        assert helper_words.translated(given) == same


BUTTONS = ("_Help", "_Reset", "_Load Saved Settings", "_Save Settings", "_Cancel", "_OK")


@pytest.mark.parametrize("language", ["", *LANGUAGES])
@pytest.mark.parametrize("series", SERIES)
def test_gimp_s_own_buttons_have_the_letters_that_ours_leave(series: str, language: str) -> None:
    folder = root_or_skip(series).path / "usr" / "share" / "locale"
    catalogue = gettext.translation("gimp30-libgimp", folder, [language], fallback=not language)
    letters = [label[label.index("_") + 1].lower() for label in map(catalogue.gettext, BUTTONS)]
    assert sorted(letters) == sorted(OF_GIMP[language])


COMMAND_LINE = re.compile(r" --[a-z]|deepdream (?!helper --stop|weights)|\bsend (?!it again)\b.*@")


def test_advice_that_fits_only_the_command_line_is_replaced() -> None:
    advice = {text for text in helper_sentences.sentences() if COMMAND_LINE.search(text)}
    own = {
        "`deepdream helper --stop`, then try again ({wanted}protocol {protocol} is needed)"
    }  # connection.py says it itself
    pip = {text for text in advice if text.startswith("run: pip")}
    assert advice - set(helper_words.IN_GIMP) - own - pip == set()
    assert set(helper_words.IN_GIMP) <= set(helper_sentences.sentences())


TOLD = {
    "a setting has its label in the dialog, and what is wrong with it is translated": (
        ("HelperRefused", "settings.channels: conv4_3 has no channel 512", "it has 512, from 0 to 511", "invalid", 422),
        "Merkmalskanäle: conv4_3 hat keinen Kanal 512. Es gibt 512, von 0 bis 511.",
        "Kanały cech: conv4_3 nie ma kanału 512. Liczba kanałów to 512, od 0 do 511.",
    ),
    "numbers have a decimal comma": (
        ("HelperRefused", "30000×30000 is 900.5 megapixels, 120 are allowed", "use a smaller one", "too_large", 413),
        "30000×30000 sind 900,5 Megapixel, 120 sind erlaubt. Einen kleineren Teil auswählen oder in config.yaml "
        "helper.max_memory_mb oder engine.max_megapixels erhöhen.",
        "30000×30000 to 900,5 Mpx, dozwolone jest 120 Mpx. Należy zaznaczyć mniejszy fragment albo zwiększyć "
        "helper.max_memory_mb lub engine.max_megapixels w pliku config.yaml.",
    ),
    "advice for the command line becomes advice for GIMP": (
        ("JobFailed", "a guide of 90 px is too small for relu4_1, which sees 92 px at once",
         "raise --guide-size to 92, or name an earlier layer", "picture", 3),
        "Ein Vorbild von 90 px ist zu klein für relu4_1, das 92 px auf einmal sieht. Die Größe des Vorbilds auf "
        "mindestens 92 setzen oder eine frühere Netzschicht wählen.",
        "Wzór 90 px jest za mały dla warstwy relu4_1, która widzi naraz 92 px. Należy ustawić rozmiar wzoru na co "
        "najmniej 92 albo wybrać wcześniejszą warstwę sieci.",
    ),
    "a sentence inside another is translated too": (
        ("HelperLost", "lost the helper: no answer within 2.5 s", "try again; its log is /x/helper.log"),
        "Die Verbindung zum Helfer ist verloren: keine Antwort innerhalb von 2,5 s. Erneut versuchen; sein Protokoll ist "
        "/x/helper.log.",
        "Utracono połączenie z programem pomocniczym: brak odpowiedzi w ciągu 2,5 s. Należy spróbować ponownie; dziennik: "
        "/x/helper.log.",
    ),
    "what the helper asks for is counted": (
        ("HelperBusy", "3 jobs are already waiting", "try again later", 22.0),
        "Der Helfer ist ausgelastet: 3 Aufträge warten schon. In 22 Sekunden erneut versuchen.",
        "Program pomocniczy jest zajęty: liczba zadań, które już czekają: 3. Należy spróbować ponownie za 22 sekundy.",
    ),
    "an unknown sentence stays as it is": (
        ("HelperLost", "the moon is full", "wait"), "The moon is full. Wait.", "The moon is full. Wait.",
    ),
}  # fmt: skip

TELL = """
import json, locale, sys
locale.localeconv = lambda: {"decimal_point": ","}
import connection, facts
known = facts.load()
for kind, *arguments in json.load(sys.stdin):
    print(connection.plugin_error(getattr(connection.client, kind)(*arguments), known))
"""


@pytest.mark.parametrize(("language", "place"), [("de", 1), ("pl", 2)])
def test_an_error_of_the_helper_is_told_in_the_user_s_language(language: str, place: int) -> None:
    told = subprocess.run(
        [sys.executable, "-c", TELL], cwd=FOLDER, env={**os.environ, "LANGUAGE": language, "PYTHONUTF8": "1"},
        input=json.dumps([case[0] for case in TOLD.values()]), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.splitlines() == [case[place] for case in TOLD.values()]


AHEAD = ("Waiting: {count} dream ahead", "Waiting: {count} dreams ahead")
FORMS = {
    "en": {1: "dream", 2: "dreams", 5: "dreams", 22: "dreams"},
    "de": {1: "Traum", 2: "Träume", 5: "Träume", 22: "Träume"},
    "pl": {1: "sen", 2: "sny", 5: "snów", 12: "snów", 22: "sny", 25: "snów", 112: "snów"},
}


@pytest.mark.parametrize("language", FORMS)
def test_counted_things_have_the_language_s_own_forms(speak: Callable[[str], None], language: str) -> None:
    speak(language)
    for count, form in FORMS[language].items():
        assert f"{count} {form}" in words.ngettext(*AHEAD, count).format(count=count)


def test_numbers_have_the_language_s_decimal_separator(speak: Callable[[str], None]) -> None:
    for language, wanted in (("en", ["0.5", "-1", "12"]), ("pl", ["0,5", "-1", "12"])):
        speak(language)
        assert [words.number(value, 2) for value in (0.5, -1, 12.0)] == wanted


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("pool4:9=0,5", {"pool4:9": 0.5}),
        ("pool4:8, pool4:9=-0,25, conv4_3:17", {"pool4:8": 1.0, "pool4:9": -0.25, "conv4_3:17": 1.0}),
        ("pool4:9=0.5,pool4:8=2", {"pool4:9": 0.5, "pool4:8": 2.0}),
        ("pool4:9=1,5,pool4:8", {"pool4:9": 1.5, "pool4:8": 1.0}),
    ],
)
def test_weights_may_have_a_decimal_comma(text: str, weights: dict[str, Any]) -> None:
    assert what.weights("channels", text) == weights


# A damaged deepdream.json


WHOLE = json.loads((FOLDER / "deepdream.json").read_text("utf-8"))
NONSENSE: tuple[Any, ...] = (None, True, -1, 1e300, "x", "", [], {}, [None], {"a": None}, "\ud800", "a\0b", 10**400)


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each value in a tree."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield (*path, key)
        yield from places(value, (*path, key))


PLACES = list(places(WHOLE))


def used(file: Path) -> str:
    """What the plug-in says of a file, or "" after using everything that it makes of it."""
    try:
        known = facts.load(file)
    except plugin_errors.PluginError as error:
        return f"{error.code}: {error}"
    for preset in known.presets:
        arguments = choices.as_preset(known, preset)
        resolved = choices.resolved(arguments, known)
        for each in (arguments, resolved):
            with suppress(plugin_errors.PluginError):  # that nothing is left to dream of, for example
                choices.settings_of(each, known)
    return ""


@given(st.sampled_from(PLACES), st.sampled_from([*NONSENSE, "gone", "twice"]))
@settings(max_examples=300)
def test_a_half_edited_deepdream_json_gets_the_sentence_that_mends_it_or_works(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[Any, ...], instead: Any
) -> None:
    tree = copy.deepcopy(WHOLE)
    *path, last = place
    within = tree
    for key in path:
        within = within[key]
    if instead == "gone":
        del within[last]
    else:
        within[last] = [within[last], within[last]] if instead == "twice" else instead
    file = tmp_path_factory.mktemp("facts") / "deepdream.json"
    file.write_text(json.dumps(tree))
    said = used(file)
    assert (
        not said
        or said
        == f"not_installed: {file} is damaged. Run `python3 install gimp` in DeepDream's folder, then restart GIMP."
    )


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe{", b"{}", json.dumps(WHOLE).encode("utf-16"), b"[" * 100_000],
    ids=["empty", "half", "a list", "null", "not UTF-8", "no keys", "UTF-16", "deep"],
)
def test_a_file_that_is_no_deepdream_json_gets_it_too(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "deepdream.json").write_bytes(content)
    assert "is damaged. Run `python3 install gimp`" in used(tmp_path / "deepdream.json")


def test_a_folder_or_a_closed_file_in_its_place_gets_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "cannot be read: Is a directory. Run `python3 install gimp`" in used(tmp_path)

    def closed(*_arguments: object, **_options: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_text", closed)  # root may read everything
    assert "cannot be read: Permission denied. Run `python3 install gimp`" in used(tmp_path / "deepdream.json")


def test_a_key_of_a_newer_version_does_not_matter_where_nobody_reads_it(tmp_path: Path) -> None:
    (tmp_path / "deepdream.json").write_text(json.dumps({**WHOLE, "new": 1}))
    assert used(tmp_path / "deepdream.json") == ""


# In real GIMPs


@pytest.fixture(scope="module", params=SERIES)
def root(request: pytest.FixtureRequest) -> GimpRoot:
    return root_or_skip(request.param)


HOOK = """

def _watch_for_the_test(self, _wanted=_Dialog.run):
    import json, os
    from gi.repository import Atk
    place = os.path.join(os.path.dirname(os.environ["DEEPDREAM_REPORTS"]), "controls.json")

    def named(widget):
        about = widget.get_accessible()
        if about.get_name() or about.ref_relation_set().contains(Atk.RelationType.LABELLED_BY):
            return True
        return any(label.get_text() for label in widget.list_mnemonic_labels())

    def walk(widget, path, found):
        path = f"{path}/{type(widget).__name__}"
        is_list = isinstance(widget, Gtk.ComboBox)
        if is_list or (widget.get_can_focus() and not isinstance(widget, (Gtk.Label, Gtk.ScrolledWindow, Gtk.Window))):
            found.append([path, widget.get_accessible().get_role().value_nick, named(widget)])
        if isinstance(widget, Gtk.Container) and not is_list:  # the button in a list speaks for the list
            widget.forall(lambda each: walk(each, path, found))

    def look():
        found = []
        for window in Gtk.Window.list_toplevels():
            walk(window, "", found)
        with open(place + ".new", "w") as file:
            json.dump(found, file)
        os.replace(place + ".new", place)
        return True

    GLib.timeout_add(200, look)
    return _wanted(self)


_Dialog.run = _watch_for_the_test
"""
"""Added to the dialog's module: it writes down each control that can have the focus, and whether it has a name."""

BROWSER = '#!/bin/sh\necho "$@" >> "$(dirname "$0")/opened"\n'
PROGRAM = "[Desktop Entry]\nType=Application\nName=Browser\nExec={} %u\nMimeType=text/html;x-scheme-handler/file;\n"
DEFAULTS = "[Default Applications]\ntext/html=browser.desktop\nx-scheme-handler/file=browser.desktop\n"


@contextmanager
def sitting(root: GimpRoot, folder: Path) -> Iterator[tuple[Person, Path]]:
    """Somebody before GIMP, and the folder of a browser that writes down in `opened` which pages it is to show."""
    with installed(root) as (plug_in, environ, _helper), screen(root) as shown, root.folder() as data:
        with (plug_in / "dialog.py").open("a", encoding="utf-8") as module:
            module.write(HOOK)
        (data / "applications").mkdir()
        (data / "browser").write_text(BROWSER)
        (data / "browser").chmod(0o755)
        (data / "applications" / "browser.desktop").write_text(PROGRAM.format(root.inside(data / "browser")))
        (data / "applications" / "mimeapps.list").write_text(DEFAULTS)
        own = {**environ, "XDG_DATA_HOME": root.inside(data)}
        with start_gimp(
            root, WATCH, display=shown.display, plug_in_folder=plug_in, environ=own, quit_after=False
        ) as gimp:
            until(gimp.reports, 60)
            yield Person(shown, gimp, folder), data


@pytest.mark.slow("GIMP's dialog")
def test_help_opens_our_page_and_every_control_has_a_name(root: GimpRoot, tmp_path: Path) -> None:
    with sitting(root, tmp_path) as (person, data):
        window = person.opens_the_dialog()
        opened, found = data / "opened", person.gimp.folder / "controls.json"

        person.sees_something(window)  # a key before that may be lost
        until(found.exists, 20)

        def asked(keys: str) -> bool:  # again: GIMP answers one question at a time
            person.press(window, keys)
            with suppress(AssertionError):
                until(opened.exists, 1)
            return opened.exists()

        for keys in ("F1", "alt+h"):
            until(partial(asked, keys), 60)
            pages = until(lambda: opened.read_text().splitlines(), 20)
            assert {page.rpartition("/plug-ins/")[2] for page in pages} == {"deepdream/help/en/index.html"}
            opened.unlink()

        before = len(json.loads(found.read_text()))
        person.press(window, "alt+p")  # the presets
        until(lambda: len(json.loads(found.read_text())) > before, 20)
        controls = json.loads(found.read_text())
        assert len(controls) > 30
        assert {f"{path} {role}" for path, role, named in controls if not named} == set()
        person.press(window, "Escape", "Escape")
        person.complains_of_nothing()


@pytest.mark.slow("GIMP's dialog")
def test_the_procedures_have_an_icon_and_a_page_in_the_help(root: GimpRoot) -> None:
    with start_gimp(root, "report(up=True)", plug_in_folder=FOLDER) as gimp:
        gimp.wait(60)
        known = (gimp.config / "pluginrc").read_text("utf-8", "replace")
    ours = known[known.index("deepdream.py") :].partition("(plug-in-def")[0]
    names = set(re.findall(r'proc-def "([a-z-]+)"', ours))
    assert len(re.findall(r"\(icon image-file [^)]*deepdream/icon\.svg", ours)) == len(names) >= 4, ours
    assert "deepdream-help" in ours
    pages = (FOLDER / "help" / "en" / "gimp-help.xml").read_text()
    assert {name for name in names if f'id="{name}"' not in pages} == set()


# The page


def test_the_help_page_is_the_one_in_docs() -> None:
    assert make_gimp_help.page() == make_gimp_help.PAGE.read_text("utf-8"), "run python docs/make_gimp_help.py"


def test_the_help_page_is_complete_offline() -> None:
    page = make_gimp_help.page()
    folder = FOLDER / "help" / "en"
    for source in re.findall(r'(?:src|href)="([^"#][^"]*)"', page):
        assert (folder / source).is_file(), source
    anchors = set(re.findall(r' id="([^"]+)"', page))
    of_gimp = re.findall(r'ref="index\.html#?([^"]*)"', (folder / "gimp-help.xml").read_text())
    assert {*re.findall(r'href="#([^"]+)"', page), *filter(None, of_gimp)} <= anchors


def test_the_help_page_has_the_pictures_of_docs() -> None:
    for name in make_gimp_help.pictures():
        with Image.open(make_gimp_help.DOCS / name) as ours, Image.open(FOLDER / "help" / "en" / name) as theirs:
            assert ours.size == theirs.size, "run python docs/make_gimp_help.py"


# Scripts


BY_NAME = (
    OPEN
    + """
procedure = Gimp.get_pdb().lookup_procedure("plug-in-deepdream")
specs = [spec for spec in procedure.get_arguments() if spec.get_name() not in ("run-mode", "image", "drawables")]
own = {"preset": "eyes", "iterations": 1, "octaves": 1, "finest": 100000, "jitter": 0, "seed": 7,
       "guide-size": 224, "guide-figures": 0.5}
guide = Gimp.Layer.new(image, "guide", 400, 400, Gimp.ImageType.RGB_IMAGE, 100, Gimp.LayerMode.NORMAL)
image.insert_layer(guide, None, 1)
guide.fill(Gimp.FillType.FOREGROUND)


def value(spec):
    name = spec.get_name()
    if name == "guide":
        return guide
    return own.get(name, spec.get_default_value() if hasattr(spec, "get_default_value") else spec.default_value)


values = {spec.get_name(): value(spec) for spec in specs}


def scheme(name, given):
    if name == "guide":
        return str(given.get_id())
    return '""' if given is None else f'"{given}"' if isinstance(given, str) else str(given)


def dreamed(call):
    layer = image.get_layers()[0].copy()
    image.insert_layer(layer, None, 0)
    status = call(layer)
    where = Gegl.Rectangle.new(0, 0, layer.get_width(), layer.get_height())
    picture = hashlib.sha256(layer.get_buffer().get(where, 1.0, "R'G'B' u8", Gegl.AbyssPolicy.NONE)).hexdigest()
    image.remove_layer(layer)
    return status, picture


def python_fu(layer):
    config = procedure.create_config()
    config.set_property("image", image)
    config.set_core_object_array("drawables", [layer])
    for name, given in values.items():
        config.set_property(name, given)
    return procedure.run(config).index(0).value_nick


def script_fu(layer):
    words = " ".join(f"#:{name} {scheme(name, given)}" for name, given in values.items() if name != "guide-file")
    run = Gimp.get_pdb().lookup_procedure("plug-in-script-fu-eval")
    config = run.create_config()
    config.set_property("script", f"(plug-in-deepdream #:run-mode RUN-NONINTERACTIVE #:image {image.get_id()} "
                                  f"#:drawables (vector {layer.get_id()}) {words})")
    told = run.run(config)
    return told.index(0).value_nick if told.index(0).value_nick == "success" else told.index(1)


report(names=list(values), before=dreamed(lambda layer: "success"), python=dreamed(python_fu), script=dreamed(script_fu),
       display=os.environ.get("DISPLAY"))
image.delete()
"""
)


@pytest.mark.slow("GIMP's scripts")
def test_scripts_name_every_argument_in_python_fu_and_script_fu_without_a_display(root: GimpRoot) -> None:
    with installed(root) as (plug_in, environ, _helper):
        (told,) = run_gimp(root, BY_NAME, plug_in_folder=plug_in, environ=environ).check()
    assert set(choices.as_preset(plugin_folder.FACTS)) <= set(told["names"])
    assert told["display"] is None
    assert told["python"][0] == told["script"][0] == "success", told
    assert told["python"][1] == told["script"][1] != told["before"][1]
