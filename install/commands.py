"""The commands of `python3 install`, in one table, and the way from the command line to them."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import checks
import environment
import gimp
import processes
import torch_build
from errors import Exit, InstallError
from installation import Installation, Options, refuse_another_home, user_folders
from screen import Screen

from deepdream_core.machine.command import clean_environment

ROOT = Path(__file__).resolve().parent.parent
TORCH_INDEX = "--torch-index"
TORCH = "--torch"
BUILDS = {"cpu": torch_build.CPU_INDEX, "cuda": environment.USUAL_INDEX}
"""What --torch takes, and the index that it stands for."""


@dataclass(frozen=True)
class Request:
    """A command line, taken apart: the `command`, what is handed on to it, and the URL of --torch-index or None."""

    command: str
    words: tuple[str, ...]
    torch_index: str | None = None


@dataclass(frozen=True)
class Command:
    """One line of the table: what a person types, reads about it, and what runs, giving the exit code."""

    name: str
    operands: str
    summary: str
    run: Callable[[Request, Screen], int]


def dream(request: Request, screen: Screen) -> int:
    """Make sure the project is installed, then become `deepdream dream`."""
    refuse_another_home(user_folders())
    python = environment.ensure(ROOT, (), request.torch_index, screen)
    # -I: neither a random.py beside the photographs nor the user's PYTHONPATH may become a part of the program.
    argv = [str(python), "-I", "-m", "deepdream_core", "dream", *request.words]
    return processes.become(argv, clean_environment())


def test(request: Request, screen: Screen) -> int:
    """Make sure the project and its test tools are installed, then run the checks."""
    python = environment.ensure(ROOT, ("test",), request.torch_index, screen)
    words = [word for word in request.words if word != "--all"]
    return checks.run_all(ROOT, python, words, slow="--all" in request.words)


def plug_in(request: Request, screen: Screen) -> int:
    """Put the plug-in into GIMP's folders; the project is installed first if there is a GIMP."""
    wanted = gimp.parse(request.words)
    options = Options(dry_run=wanted.dry_run, into=wanted.into)
    with Installation(ROOT, options, request.torch_index, screen).opened() as installation:
        return installation.gimp()


def _part(name: str, run: Callable[[Installation], int], *known: str) -> Callable[[Request, Screen], int]:
    """Return the command for a part of the installation that takes `known` options beside --dry-run."""

    def command(request: Request, screen: Screen) -> int:
        for word in request.words:
            if word not in ("--dry-run", *known):
                takes = " ".join(f"[{option}]" for option in ("--dry-run", *known))
                raise InstallError(f"`{name}` does not take {word}", f"`python3 install {name} {takes}`", Exit.USAGE)
        given = {word[2:].replace("-", "_"): True for word in request.words}
        installation = Installation(ROOT, Options(**given), request.torch_index, screen)  # type: ignore[arg-type]
        with installation.opened(make=name != "uninstall"):
            return run(installation)

    return command


def doctor(request: Request, screen: Screen) -> int:
    """Become `deepdream doctor` of the installed program, else of the clone's environment; it makes none."""
    user = user_folders()
    refuse_another_home(user)
    python = user.python() or environment.there(ROOT, request.torch_index)
    if python is None:
        raise InstallError("DeepDream is not installed for this user", "`python3 install` installs it", Exit.ONE_WRONG)
    words = list(request.words)
    if "--dry-run" in words:
        words = [word for word in words if word not in ("--dry-run", "--fix")]
    argv = [str(python), "-I", "-m", "deepdream_core", "doctor", *words]
    return processes.become(argv, clean_environment())


HANDS_ON = ("dream", "test", "doctor")
"""Commands whose words another program takes, --help among them."""
ALL = "all"
"""The name of the command that stands for none."""
COMMANDS = (
    Command(ALL, "[--dry-run] [--linger]", "all of it for this user: app, folder, service, gimp",
            _part(ALL, Installation.everything, "--linger")),
    Command("app", "[--dry-run]", "the program in a place of its own, and the command `deepdream`",
            _part("app", Installation.app)),
    Command("gimp", "[--dry-run] [--into FOLDER] ...", "add the filter to GIMP 3, to all that are found", plug_in),
    Command("folder", "[--dry-run]", "the folder into which pictures are dropped, ~/DeepDream",
            _part("folder", Installation.folder)),
    Command("service", "[--dry-run] [--linger]", "hot folder and helper in the background, from login on",
            _part("service", Installation.service, "--linger")),
    Command("doctor", "[--dry-run] [--json] [--fix]", "look whether everything is well", doctor),
    Command("uninstall", "[--dry-run] [--purge]", "remove what was installed; your pictures stay in any case",
            _part("uninstall", Installation.uninstall, "--purge")),
    Command("dream", "PHOTO [OPTION ...]", "dream on a photo; the options are those of `deepdream dream`", dream),
    Command("test", "[--all] [PYTEST-OPTION ...]", "run ruff, mypy and pytest; --all: the slow tests too", test),
)  # fmt: skip
HELP = """\
`python3 install` alone sets up everything for this user and needs no root: the program in a place of its own, the
drop folder, the background service, and the filter in every GIMP 3 that is found. Run it again from a newer clone to
upgrade. What was done is written down, and `uninstall` removes exactly that.

  --dry-run  print every file and command, and change nothing
  --linger   let the service run without a login as well (Linux; undone by uninstall)
  --purge    remove configuration, journal, logs and fetched weights too; pictures never

`dream` and `test` work from the clone: they first install what they need into .venv."""


def usage() -> str:
    """Return the help text."""
    heads = [f"{command.name} {command.operands}" for command in COMMANDS]
    width = max(map(len, heads))
    rows = [f"  {head:<{width}}  {command.summary}" for head, command in zip(heads, COMMANDS, strict=True)]
    return "\n".join(
        [
            "usage: python3 install [--torch cpu|cuda] [COMMAND] ...",
            "",
            *rows,
            "",
            HELP,
            "",
            "  --torch cpu|cuda   torch for CPUs, from PyTorch's own index, or the usual one; remembered. Without it, on",
            "                     Linux, the one that suits the machine",
            "  --torch-index URL  take torch and torchvision from this package index;",
            f"                     `{environment.USUAL_INDEX}` is pip's usual one",
            "  -h, --help         show this",
        ]
    )


def split(argv: Sequence[str]) -> Request:
    """Take a command line apart; raises InstallError if it makes no sense.

    --torch and --torch-index are taken out wherever they stand, up to `--`; all other arguments after the command are
    handed on.
    """
    words: list[str] = []
    torch_index: str | None = None
    rest = iter(argv)
    for word in rest:
        if word == "--" and words:
            words += ["--", *rest]
        elif word == TORCH_INDEX or word.startswith(TORCH_INDEX + "="):
            torch_index = word.partition("=")[2] if "=" in word else next(rest, "")
            if not torch_index or torch_index.startswith("-"):
                raise _misused(f"{TORCH_INDEX} needs a URL")
        elif word == TORCH or word.startswith(TORCH + "="):
            build = word.partition("=")[2] if "=" in word else next(rest, "")
            if build not in BUILDS:
                raise _misused(f"{TORCH} needs {' or '.join(BUILDS)}")
            torch_index = BUILDS[build]
        elif not words and word in ("-h", "--help"):
            return Request("help", (), torch_index)
        elif not words and word in ("--dry-run", "--linger"):
            words += [ALL, word]
        elif not words and word.startswith("-"):
            raise _misused(f"there is no option {word} before the command")
        else:
            words.append(word)
    words = words or [ALL]
    return Request(words[0], tuple(words[1:]), torch_index)


def _misused(what: str) -> InstallError:
    """Return the error for a command line that makes no sense."""
    return InstallError(what, "`python3 install --help` shows what there is", Exit.USAGE)


def _local_as_url(torch_index: str | None) -> str | None:
    """Return a folder given as index as a URL, since it must mean the same from everywhere; all else as it is."""
    if torch_index and torch_index != environment.USUAL_INDEX and "://" not in torch_index:
        return Path(torch_index).resolve().as_uri()
    return torch_index


def _find(name: str) -> Command:
    """Return the command of that name; raises InstallError with the nearest one if there is none."""
    for command in COMMANDS:
        if command.name == name:
            return command
    near = difflib.get_close_matches(name, [command.name for command in COMMANDS], n=1)
    raise _misused(f"there is no command `{name}`" + (f"; did you mean `{near[0]}`?" if near else ""))


def main(argv: Sequence[str]) -> int:
    """Run one command line; return the exit code; an error is one line on stderr."""
    screen = Screen()
    try:
        request = split(argv)
        if request.command == "help":
            print(usage())
            return 0
        command = _find(request.command)
        if command.name not in HANDS_ON and {"-h", "--help"} & set(request.words):
            print(f"usage: python3 install {command.name} {command.operands}\n\n{command.summary}\n\n{HELP}")
            return 0
        request = Request(request.command, request.words, _local_as_url(request.torch_index))
        return command.run(request, screen)
    except InstallError as error:
        screen.line(str(error))
        return error.code
    except KeyboardInterrupt:
        screen.line("install: stopped — run the same command again to go on")
        return Exit.INTERRUPTED
