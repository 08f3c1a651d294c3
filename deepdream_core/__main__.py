"""`python -m deepdream_core` is the command `deepdream`."""

from deepdream_core.cli import main

main()
