"""`python3 install folder`: the drop folders that the user's configuration names."""

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
    """Return the drop folders in the configuration; raises InstallError if the program cannot read it."""
    done = ask(python, "-I", "-X", "utf8", "-c", _NAMES, within_s=ASK_WITHIN_S)
    try:
        if done.code == 0:
            return [Path(name) for name in json.loads(done.lines[0])]
    except (ValueError, IndexError, TypeError):
        pass
    raise InstallError(
        f"the program cannot list its drop folders: {done.last}",
        "fix that, then run `python3 install folder`",
        Exit.ENVIRONMENT,
    )


def make(folders: list[Path], actions: Actions) -> list[Path]:
    """Create the folders and return them, without those whose disk is not mounted; raises InstallError."""
    made = []
    for folder in folders:
        if not folder.is_dir() and not folder.parent.is_dir():
            actions.output.line(
                f"{folder} was not created because {folder.parent} does not exist; DeepDream waits for it"
            )
            continue
        try:
            actions.folder(folder)
        except OSError as error:
            raise InstallError(
                f"cannot create {folder}: {error.strerror or error}",
                "fix that, or name another folder in config.yaml, then run `python3 install folder`",
                Exit.NOT_WRITABLE,
            ) from None
        made.append(folder)
    return made


def explain(folders: list[Path]) -> list[str]:
    """Return one line for each folder that says what it is for."""
    return [
        f"Drop folder: {folder} — drop pictures there; results go to {folder / 'out'}, originals to {folder / 'done'}"
        for folder in folders
    ]
