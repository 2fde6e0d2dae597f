"""Run the command line as ``python -m distal``."""

from distal.cli import main

main()
