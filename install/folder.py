"""`python3 install folder`: the folders into which pictures are dropped, as the user's configuration names them."""

import json
from pathlib import Path

from actions import Actions
from errors import Exit, InstallError

from deepdream_core.machine.command import ask

ASK_WITHIN_S = 60.0
USUAL = "DeepDream"
_NAMES = (
    "import json; from deepdream_core.config import load_config; from deepdream_core.hotfolder.layout import root_of; "
    "print(json.dumps([str(root_of(one)) for one in load_config().folders]))"
)


def wanted(python: Path) -> list[Path]:
    """Return the drop folders of the configuration; raises InstallError if the program does not say."""
    done = ask(python, "-I", "-X", "utf8", "-c", _NAMES, within_s=ASK_WITHIN_S)
    try:
        if done.code == 0:
            return [Path(name) for name in json.loads(done.lines[0])]
    except (ValueError, IndexError, TypeError):
        pass
    raise InstallError(
        f"the program does not say where its drop folders are: {done.last}",
        "fix what it names, then run `python3 install folder`",
        Exit.ENVIRONMENT,
    )


def make(folders: list[Path], actions: Actions) -> list[Path]:
    """Make the folders, and return those that could be; one whose disk is not there is left to come with it."""
    made = []
    for folder in folders:
        if not folder.is_dir() and not folder.parent.is_dir():
            actions.output.line(f"Not made: {folder}, as {folder.parent} is not there; the program waits for it")
            continue
        try:
            actions.folder(folder)
        except OSError as error:
            raise InstallError(
                f"{folder} cannot be made: {error.strerror or error}",
                "fix that, or name another folder in config.yaml, then run `python3 install folder`",
                Exit.NOT_WRITABLE,
            ) from None
        made.append(folder)
    return made


def explain(folders: list[Path]) -> list[str]:
    """Return what the folders are for, in a line each."""
    return [
        f"Drop folder: {folder} — pictures put there are dreamed; results come into {folder / 'out'}, originals into "
        f"{folder / 'done'}"
        for folder in folders
    ]
