"""Hand environment variables to a job's processes without a log or a listing that shows them.

Ray writes the `env_vars` of a runtime environment into `runtime_env_agent.log` on every node. So the variables of
`distal submit --env` travel in a file beside the job's own, and each process that Ray starts for the job reads it.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

JOB_FILE = "distal-job.yaml"
"""What `distal jobs execute` is given."""

HANDED_FILE = "distal-job-environment.json"
SETUP_HOOK = "distal.jobs.handed.take"
"""What Ray calls first in every process of the job."""


def lay(folder: Path, variables: Mapping[str, str]) -> None:
    """Write the file, readable by its owner alone."""
    descriptor = os.open(folder / HANDED_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(dict(variables), file)


def take() -> None:
    """Set the variables in this process, whose current folder is the job's, and close the file to other users."""
    file = Path(HANDED_FILE)
    if file.is_file():
        os.environ.update(json.loads(file.read_text()))
        file.chmod(0o600)  # Ray unpacks without modes
