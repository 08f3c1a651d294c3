"""`python -m deepdream_core` is the command `deepdream`."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line. It is imported here, so that Ctrl-C in the first moments is no traceback either."""
    try:
        from deepdream_core.cli import run

        code = run()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
