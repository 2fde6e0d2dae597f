"""Say which machine and versions a benchmark ran on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path


def describe_machine() -> str:
    """Return one line: processor, cores, load, python and package versions."""
    cpuinfo = Path("/proc/cpuinfo")
    model = platform.processor()
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        flags = next((line for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), "")
        model = f"{names[0] if names else model}{', AVX512-BF16' if 'avx512_bf16' in flags else ''}"
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "ray", "numpy", "pyarrow"))
    load = os.getloadavg()[0]
    return f"{model}; {os.cpu_count()} cores, load {load:.1f}; python {platform.python_version()}, {packages}"
