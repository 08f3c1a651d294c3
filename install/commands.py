"""The commands of `python3 install`, in one table, and the command line's parser."""

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
"""The values of --torch, and the package index each stands for."""


@dataclass(frozen=True)
class Request:
    """A parsed command line: the `command`, its arguments, and the URL of --torch-index or None."""

    command: str
    words: tuple[str, ...]
    torch_index: str | None = None


@dataclass(frozen=True)
class Command:
    """One line of the table: name, operands, help text, and the function that runs it and returns the exit code."""

    name: str
    operands: str
    summary: str
    run: Callable[[Request, Screen], int]


def dream(request: Request, screen: Screen) -> int:
    """Make sure the project is installed, then become `deepdream dream`."""
    refuse_another_home(user_folders())
    python = environment.ensure(ROOT, (), request.torch_index, screen)
    # -I: keeps a random.py beside the photographs and the user's PYTHONPATH out of the program.
    argv = [str(python), "-I", "-m", "deepdream_core", "dream", *request.words]
    return processes.become(argv, clean_environment())


def test(request: Request, screen: Screen) -> int:
    """Make sure the project and its test tools are installed, then run the checks."""
    python = environment.ensure(ROOT, ("cluster", "test"), request.torch_index, screen)
    words = [word for word in request.words if word != "--all"]
    return checks.run_all(ROOT, python, words, slow="--all" in request.words)


def plug_in(request: Request, screen: Screen) -> int:
    """Install the plug-in into GIMP's folders, after the project itself if there is a GIMP."""
    wanted = gimp.parse(request.words)
    options = Options(dry_run=wanted.dry_run, into=wanted.into)
    with Installation(ROOT, options, request.torch_index, screen).opened() as installation:
        return installation.gimp()


WITH_CLUSTER = "--with cluster"


def _part(name: str, run: Callable[[Installation], int], *known: str) -> Callable[[Request, Screen], int]:
    """Return the command for a part of the installation that takes --dry-run and the `known` options."""

    def command(request: Request, screen: Screen) -> int:
        words = " ".join(request.words).replace(WITH_CLUSTER, WITH_CLUSTER.replace(" ", "-")).split()
        options = [option.replace(" ", "-") for option in ("--dry-run", *known)]
        for word in words:
            if word not in options:
                takes = " ".join(f"[{option}]" for option in ("--dry-run", *known))
                raise InstallError(f"`{name}` does not take {word}", f"`python3 install {name} {takes}`", Exit.USAGE)
        given = {word[2:].replace("-", "_"): True for word in words}
        installation = Installation(ROOT, Options(**given), request.torch_index, screen)  # type: ignore[arg-type]
        with installation.opened(make=name != "uninstall"):
            return run(installation)

    return command


def doctor(request: Request, screen: Screen) -> int:
    """Become `deepdream doctor` of the installed program, else of the clone's environment if it exists."""
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
"""Commands that pass all arguments on, --help too."""
ALL = "all"
"""The command that runs when none is given."""
COMMANDS = (
    Command(ALL, "[--dry-run] [--linger] [--with cluster]", "everything for this user: app, folder, service, gimp",
            _part(ALL, Installation.everything, "--linger", WITH_CLUSTER)),
    Command("app", "[--dry-run] [--with cluster]", "the program in its own environment, and the command `deepdream`",
            _part("app", Installation.app, WITH_CLUSTER)),
    Command("gimp", "[--dry-run] [--into FOLDER] ...", "add the filter to every GIMP 3 that is found", plug_in),
    Command("folder", "[--dry-run]", "the drop folder for pictures, ~/DeepDream",
            _part("folder", Installation.folder)),
    Command("service", "[--dry-run] [--linger]", "hot folder and helper in the background, started at login",
            _part("service", Installation.service, "--linger")),
    Command("doctor", "[--dry-run] [--json] [--fix]", "check the installation", doctor),
    Command("uninstall", "[--dry-run] [--purge]", "remove what was installed, but never your pictures",
            _part("uninstall", Installation.uninstall, "--purge")),
    Command("dream", "PHOTO [OPTION ...]", "dream on a photo; takes the options of `deepdream dream`", dream),
    Command("test", "[--all] [PYTEST-OPTION ...]", "run ruff, mypy and pytest; --all: the slow tests too", test),
)  # fmt: skip
HELP = """\
`python3 install` alone sets up everything for this user and needs no root: the program in its own environment, the
drop folder, the background service, and the filter in every GIMP 3 that it finds. Run it again from a newer clone to
upgrade. It records what it does, and `uninstall` removes exactly that.

  --dry-run  print every file and command, and change nothing
  --linger   let the service run without a login (Linux; uninstall undoes it)
  --with cluster  also install what several machines need to dream together (docs/cluster.md); remembered
  --purge    also remove configuration, journal, logs and downloaded weights, but never pictures

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
            "  --torch cpu|cuda   use the CPU build of torch from PyTorch's index, or the default build; remembered.",
            "                     Without it, Linux gets the build that suits the machine",
            "  --torch-index URL  take torch and torchvision from this package index;",
            f"                     `{environment.USUAL_INDEX}` is pip's default index",
            "  -h, --help         show this help",
        ]
    )


def split(argv: Sequence[str]) -> Request:
    """Parse a command line; raises InstallError if it is invalid.

    Takes --torch and --torch-index from anywhere before `--`, and passes all other arguments to the command.
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
        elif not words and word in ("--dry-run", "--linger", "--with"):
            words += [ALL, word]
        elif not words and word.startswith("-"):
            raise _misused(f"unknown option {word} before the command")
        else:
            words.append(word)
    words = words or [ALL]
    return Request(words[0], tuple(words[1:]), torch_index)


def _misused(what: str) -> InstallError:
    """Return the error for an invalid command line."""
    return InstallError(what, "see `python3 install --help`", Exit.USAGE)


def _local_as_url(torch_index: str | None) -> str | None:
    """Return an index given as a folder as a URL, which does not depend on the current folder; any other unchanged."""
    if torch_index and torch_index != environment.USUAL_INDEX and "://" not in torch_index:
        return Path(torch_index).resolve().as_uri()
    return torch_index


def _find(name: str) -> Command:
    """Return the command of that name; raises InstallError with the nearest name if there is none."""
    for command in COMMANDS:
        if command.name == name:
            return command
    near = difflib.get_close_matches(name, [command.name for command in COMMANDS], n=1)
    raise _misused(f"unknown command `{name}`" + (f"; did you mean `{near[0]}`?" if near else ""))


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
        screen.line("install: stopped — run the same command again to continue")
        return Exit.INTERRUPTED
