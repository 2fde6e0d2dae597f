"""cluster/README.md: its commands name files, keys, options and versions that exist."""

import inspect
import re
from pathlib import Path

import pytest

from distal.cli import jobs
from distal.config import Config
from distal.resolve import override_config

CLUSTER = Path(__file__).parents[2] / "cluster"
README = (CLUSTER / "README.md").read_text()
COMMANDS = [
    line.partition("  #")[0].strip() for line in README.replace("\\\n", " ").splitlines() if line.startswith("    ")
]


def test_every_file_of_the_folder_is_spoken_of() -> None:
    for path in CLUSTER.glob("*"):
        assert path.name in README or path.name == "README.md", path.name


def test_every_file_that_it_names_exists() -> None:
    named = set(re.findall(r"\bcluster/[\w./-]*\w", README)) | {
        f"cluster/{n}" for n in re.findall(r"`(kuberay/\S+)`", README)
    }

    assert len(named) > 5
    for name in named:
        assert (CLUSTER.parent / name).exists(), name


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith(("distal submit", "sbatch"))])
def test_the_keys_that_it_gives_are_keys_of_a_run(command: str) -> None:
    given = [word for word in command.split() if re.fullmatch(r"[a-z_.]+=\S+", word)]

    assert given
    override_config(Config(), given)


def test_the_options_of_submit_that_it_names_exist() -> None:
    offered = {f"--{name.replace('_', '-')}" for name in inspect.signature(jobs.submit).parameters}
    named = {word for line in COMMANDS if line.startswith("distal submit") for word in re.findall(r"--[a-z-]+", line)}

    assert named | {"--cpus"} <= offered


def test_its_versions_are_those_of_the_files() -> None:
    assert "--version 1.7.0" in README
    assert (Path(__file__).parent / "kuberay-1.7.0-crds.json.gz").exists()
    for name, package in (("aws", "boto3"), ("gcp", "google-api-python-client")):
        [pinned] = re.findall(rf"{package}==\S+", (CLUSTER / f"{name}.yaml").read_text())
        assert pinned in README
    [tag] = set(re.findall(r"distal:(\S+-cuda)", README + (CLUSTER / "aws.yaml").read_text()))
    assert tag in (CLUSTER / "Dockerfile").read_text()
