"""Run the command line as ``python -m distal``."""

import sys

from distal.cli import main

sys.exit(main())
