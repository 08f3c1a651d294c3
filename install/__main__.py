# -*- coding: utf-8 -*-  (Python 2 reads no other way past the dashes below)
"""`python3 install COMMAND ...`: the entry point in a fresh clone.

This file alone uses the syntax of old Pythons (2.7, 3.5), so that they can print which Python to use. The modules beside
it need a new Python and are imported after that check.
"""

# ruff: noqa: PTH100, PTH113, PTH118, PTH120, PTH123, SIM115, UP009, UP031

import os
import sys

OLDEST = (3, 11)
TOO_OLD = 10
INCOMPLETE = 17
INTERRUPTED = 130
# Search order: the best tested first, then the oldest supported, then versions that may be too new for torch.
NEWER_NAMES = ["python3.13", "python3.12", "python3.14", "python3.11", "python3.15", "python3.16", "python3", "python"]


def newer_python():
    # type: () -> str | None
    """Return the command name of a Python on PATH that is new enough and runs, or None."""
    import subprocess

    ask = "import sys; sys.exit(0 if sys.version_info >= %r else 1)" % (OLDEST,)
    suffix = ".exe" if sys.platform == "win32" else ""
    for name in NEWER_NAMES:
        for folder in os.environ.get("PATH", "").split(os.pathsep):
            path = os.path.join(folder, name + suffix)
            if not os.access(path, os.X_OK) or os.path.isdir(path):
                continue
            # A file of that name can be a version manager's stub without a Python behind it, so run it.
            try:
                child = subprocess.Popen([path, "-c", ask], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                child.communicate()
            except OSError:
                continue
            if child.returncode == 0:
                return name
            break  # the shell would run this file too
    return None


def complaint(found, newer, platform):
    # type: (tuple[int, ...], str | None, str) -> str | None
    """Return the error message for a Python that is too old, or None; `found` is its version as three numbers."""
    if tuple(found) >= OLDEST:
        return None
    wanted = ".".join(str(part) for part in OLDEST)
    if newer:
        todo = "this computer has a newer Python: use `%s install ...`" % newer
    elif platform == "darwin":
        todo = "install a newer one from https://www.python.org/downloads/ or with `brew install python`"
    elif platform.startswith("win"):
        todo = "install a newer one from https://www.python.org/downloads/ or with `winget install Python.Python.3.13`"
    else:
        todo = (
            "install Python %s or newer with your package manager (Debian, Ubuntu: "
            "`sudo apt install python3 python3-venv`, Fedora: `sudo dnf install python3`) "
            "or from https://www.python.org/downloads/"
        ) % wanted
    return "install: Python %s is too old, %s or newer is needed — %s" % (
        ".".join(str(part) for part in found),
        wanted,
        todo,
    )


def main():
    # type: () -> int
    """Check the Python, then hand over to `commands`; return the exit code."""
    if sys.version_info < OLDEST:
        sys.stderr.write("%s\n" % complaint(sys.version_info[:3], newer_python(), sys.platform))
        return TOO_OLD
    settle()
    # Python's own modules come before those on PYTHONPATH.
    strangers = [os.path.abspath(folder) for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    sys.path[1:] = sorted(sys.path[1:], key=lambda folder: folder in strangers)
    try:
        if not load_package(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))):
            sys.stderr.write("install: deepdream_core is incomplete — `git checkout deepdream_core`, or clone again\n")
            return INCOMPLETE
        import commands

        code = commands.main(sys.argv[1:])
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        sys.stderr.write("\ninstall: stopped — run the same command again to go on\n")
        return INTERRUPTED
    except OSError as error:  # a broken pipe: the reader has seen enough
        if error.filename is not None:
            raise
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write("install: cannot write the output: %s — free some space\n" % error.strerror)
        return 1
    finally:
        let_go()


def load_package(root):
    # type: (str) -> bool
    """Make this project's `deepdream_core` importable; the installer uses only modules of it that need no other package.

    Leaves the project's folder off sys.path, since it may contain the user's own modules. Returns False if the package is
    incomplete.
    """
    import importlib.util

    package = os.path.join(root, "deepdream_core")
    if not os.path.isfile(os.path.join(package, "__init__.py")) or not os.path.isdir(os.path.join(package, "machine")):
        return False
    spec = importlib.util.spec_from_file_location(
        "deepdream_core", os.path.join(package, "__init__.py"), submodule_search_locations=[package]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["deepdream_core"] = module
    spec.loader.exec_module(module)
    return True


def settle():
    # type: () -> None
    """Open closed standard streams on os.devnull, and print `?` for characters that a stream cannot encode."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]


def let_go():
    # type: () -> None
    """Flush the standard streams, into os.devnull if the reader is gone: Python would otherwise complain at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    sys.exit(main())
