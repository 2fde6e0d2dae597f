"""What a script meets first: the names of `distal`, README's script, and errors at the learner's edge."""

import re
import subprocess
import sys
from pathlib import Path

import distal

ROOT = Path(__file__).parents[1]


def test_readmes_script_is_the_example_that_make_check_checks_the_types_of() -> None:
    (script,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert (ROOT / "examples" / "scans.py").read_text().partition("\n\n")[2] == script
    assert 'files = ["distal", "examples"]' in (ROOT / "pyproject.toml").read_text()


def test_all_public_names_are_listed_and_there() -> None:
    assert set(distal.__all__) <= set(dir(distal))
    assert all(getattr(distal, name) is not None for name in distal.__all__)
    assert not hasattr(distal, "ActiveLearners")


def test_importing_distal_and_listing_its_names_imports_neither_torch_nor_ray() -> None:
    code = "import sys, distal; dir(distal); sys.exit(bool({'ray', 'torch', 'pyarrow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
