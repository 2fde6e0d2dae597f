"""Start a Ray of a benchmark's own on this machine, quiet, whatever cluster runs here beside it."""

from typing import Any

import ray


def start_ray(cpus: int | None = 2, **settings: Any) -> None:
    """Start it with so many CPUs; settings: further ones of `ray.init`."""
    quiet: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    ray.init("local", num_cpus=cpus, **quiet, **settings)
