"""The GIMP plug-in as `python3 install gimp` lays it down, in a folder from which tests import its modules as GIMP does."""

from __future__ import annotations

import atexit
import importlib
import json
import shutil
import sys
import tempfile
from pathlib import Path

from deepdream_core.config import builtin_config_path, load_config
from deepdream_core.machine.gimp import PLUG_IN
from deepdream_core.plugin_facts import plugin_facts

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "plugin" / "deepdream"
if str(ROOT / "install") not in sys.path:
    sys.path.insert(0, str(ROOT / "install"))

import gimp  # noqa: E402
import plug_in  # noqa: E402

_plug_ins = Path(tempfile.mkdtemp(prefix="deepdream-plug-ins-"))
atexit.register(shutil.rmtree, _plug_ins, ignore_errors=True)
FILES = gimp.wanted_files(ROOT, json.dumps(plugin_facts(load_config(builtin_config_path()))).encode())
plug_in.install(_plug_ins, FILES)

FOLDER = _plug_ins / PLUG_IN
"""Where it lies."""
sys.path.insert(0, str(FOLDER))

import apart  # noqa: E402
import cache  # noqa: E402
import choices  # noqa: E402
import connection  # noqa: E402
import facts  # noqa: E402
import fresh  # noqa: E402
import growing  # noqa: E402
import helper_words  # noqa: E402
import jobs  # noqa: E402
import plugin_errors  # noqa: E402
import sight  # noqa: E402
import what  # noqa: E402
import words  # noqa: E402

View = importlib.import_module("link.view").View
"""The plug-in's own copy of the class."""
FACTS = facts.load()
"""What the installer wrote: the built-in presets, and this user's folders, which tests replace."""

__all__ = [
    "FACTS",
    "FILES",
    "FOLDER",
    "ROOT",
    "SOURCE",
    "View",
    "apart",
    "cache",
    "choices",
    "connection",
    "facts",
    "fresh",
    "gimp",
    "growing",
    "helper_words",
    "jobs",
    "plugin_errors",
    "sight",
    "what",
    "words",
]
