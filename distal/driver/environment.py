"""Describe where a run ran."""

import os
import platform
import sys
from importlib.metadata import version
from typing import Any


def environment() -> dict[str, Any]:
    """Describe where a run ran, for the report."""
    packages = ("distal", "ray", "torch", "pyarrow", "numpy")
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
        "packages": {name: version(name) for name in packages},
    }
