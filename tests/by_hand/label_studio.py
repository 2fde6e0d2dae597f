"""Label a run on a real Label Studio server: kills, skips, odd class names, both kinds of token, every export.

    python tests/by_hand/label_studio.py            installs Label Studio into a folder of its own and starts it
    python tests/by_hand/label_studio.py URL        takes a server that runs; a legacy token is in LABEL_STUDIO_API_KEY,
                                                    a personal one, where there is one, in LABEL_STUDIO_PERSONAL_TOKEN

Takes some ten minutes, most of them Label Studio's first start, and 1 GB of disk. Ends with a line for the table of
`docs/label-studio.md`.
"""

import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "system"))

from small_pools import QUICK, images, write_extractor, write_pool

from distal.oracle.label_studio_server import KEY, LabelStudioServer
from distal.run.directory import RunDirectory
from distal.run.ledger import Ledger

ODD = ('a "b" & <c>', "Löwe, groß", "tab\tin it", "3", "line\nbreak", " spaces ", "日本")
PORT, TOKEN = 8137, "0123456789abcdef0123456789abcdef01234567"
BATCH = 12
PERSONAL = "LABEL_STUDIO_PERSONAL_TOKEN"


def started_server(folder: Path) -> subprocess.Popen[bytes]:
    """Install Label Studio and start it with one user."""
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([venv / "bin/pip", "install", "--quiet", "label-studio"], check=True)
    user = ["--username", "a@b.org", "--password", "distal-secret", "--user-token", TOKEN]
    env = {**os.environ, "LABEL_STUDIO_BASE_DATA_DIR": str(folder / "data"), "COLLECT_ANALYTICS": "false"}
    env |= {"LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true"}
    command = [venv / "bin/label-studio", "start", "--no-browser", "--port", str(PORT), *user]
    return subprocess.Popen(command, env=env, stdout=(folder / "server.log").open("wb"), stderr=subprocess.STDOUT)


def wait_for(url: str) -> None:
    until = time.monotonic() + 1200
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return
        except OSError:
            time.sleep(2)
    raise SystemExit(f"{url} did not come up")


class Lab:
    """Run distal in processes of its own, as a user does, and answer in Label Studio as people do."""

    def __init__(self, folder: Path, url: str, token: str) -> None:
        self.folder, self.url, self.token = folder, url, token
        self.server = LabelStudioServer(url, token)
        self.pool = write_pool(folder / "pool.parquet", images(200, side=24))
        self.extractor = write_extractor(folder / "coarse.pt")
        self.name = f"ls-{random.randrange(10**9)}"

    def command(self, *words: str, token: str | None = None) -> subprocess.Popen[str]:
        env = {**os.environ, KEY: token or self.token}
        command = [sys.executable, "-m", "distal", *words]
        return subprocess.Popen(
            command, cwd=self.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def done(self, *words: str, code: int = 0, token: str | None = None) -> str:
        out, err = (process := self.command(*words, token=token)).communicate(timeout=600)
        assert process.returncode == code, (words, process.returncode, err)
        return out + err

    def run(self, name: str, *more: str) -> tuple[str, ...]:
        classes = f"pool.classes={json.dumps(ODD)}"
        place = (f"pool.path={self.pool}", f"evaluate.extractor_path={self.extractor}", classes)
        small = [each for each in QUICK if not each.startswith(("rounds", "query.batch", "pool.shards"))]
        return ("run", f"name={name}", *place, *small, "rounds=2", f"query.batch={BATCH}", *more)

    def asking(self) -> tuple[str, ...]:
        return self.run(self.name, "oracle.kind=label_studio", f"oracle.url={self.url}")

    def tasks(self) -> list[dict]:
        number = json.loads((self.folder / "runs" / self.name / "label-studio.json").read_text())["project"]
        return sorted(self.server.tasks(number), key=lambda task: task["id"])

    def annotate(self, task: dict, label: str | None) -> None:
        value = {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": [label]}}
        body = {"result": [] if label is None else [value], "was_cancelled": label is None, "lead_time": 1.5}
        self.server._call("POST", f"/api/tasks/{task['id']}/annotations/", body)

    def export(self, project: int, kind: str) -> Path:
        query = f"exportType={kind}&download_all_tasks=true"
        request = urllib.request.Request(f"{self.url}/api/projects/{project}/export?{query}")
        request.add_header("Authorization", self.server._authorization())
        place = self.folder / f"export-{kind}"
        with urllib.request.urlopen(request) as response:
            place.write_bytes(response.read())
        return place


def wanted(number: int) -> str | None:
    return None if number == 5 else ODD[number % len(ODD)]


def kills_make_nothing_twice(lab: Lab) -> None:
    """Kill the run 6 times at moments from its start to its first question's end, then let it go on."""
    projects = len(list(lab.server._pages("/api/projects", {})))
    began = time.monotonic()
    waited = lab.command(*lab.run(f"{lab.name}-timed", "oracle.kind=label_studio", f"oracle.url={lab.url}"))
    waited.communicate(timeout=600)
    whole = time.monotonic() - began
    for part in (0.5, 0.7, 0.8, 0.9, 0.95, 1.0):
        process = lab.command(*lab.asking())
        time.sleep(part * whole)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    said = lab.done(*lab.asking())
    assert f"waiting for {BATCH} labels: answer at {lab.url}/projects/" in said, said
    rows = [task["data"]["row_id"] for task in lab.tasks()]
    assert len(rows) == len(set(rows)) == BATCH, rows
    assert len(list(lab.server._pages("/api/projects", {}))) == projects + 2
    print(f"killed 6 times: {BATCH} tasks, one project")


def answers_come_as_they_are_given(lab: Lab) -> None:
    tasks = lab.tasks()
    for number, task in enumerate(tasks[:5]):
        lab.annotate(task, wanted(number))
    resumed = ("resume", f"runs/{lab.name}")
    assert f"waiting for {BATCH - 5} labels" in lab.done(*resumed)
    waiting = lab.command(*resumed, "oracle.wait_s=20")
    time.sleep(8)
    lab.annotate(tasks[5], wanted(5))
    time.sleep(8)
    waiting.send_signal(signal.SIGKILL)
    waiting.communicate()
    for number, task in enumerate(tasks[6:], 6):
        lab.annotate(task, wanted(number))
    said = lab.done(*resumed, token=personal_token(lab))
    assert f"waiting for {BATCH} labels" in said, said  # of the second round
    run = RunDirectory.open(str(lab.folder / "runs"), lab.name)
    given = {answer.row_id: answer for answer in Ledger(run, len(ODD)).answers(1)}
    for number, task in enumerate(tasks):
        label = given[task["data"]["row_id"]].label
        assert (None if label is None else ODD[label]) == wanted(number), (number, label)
    assert run.committed() == [1]
    assert all(task["predictions"] for task in lab.tasks()[BATCH:])  # what the probe learned in the first round
    print("12 answers in three visits, one skipped, one killed while it waited: all kept; round 2 is asked")


def exports_come_back(lab: Lab) -> None:
    """The first question is the same for each run of the seed, so the project's exports answer other runs, too."""
    project = lab.tasks()[0]["project"]
    for kind in ("JSON", "JSON_MIN", "CSV"):
        other, skipped = f"{lab.name}-{kind.lower().replace('_', '')}", kind == "JSON"
        lab.done(*lab.run(other, "oracle.kind=told"))
        kept = BATCH if skipped else BATCH - 1  # only JSON says what was skipped
        said = lab.done("import-labels", f"runs/{other}", str(lab.export(project, kind)))
        assert f"{kept} answers kept ({int(skipped)} decline" in said, said
    print("exports JSON, JSON-MIN and CSV taken")


def files_go_there_and_back(lab: Lab) -> None:
    name = f"{lab.name}-files"
    lab.done(*lab.run(name, "oracle.kind=told"))
    lab.done("export-tasks", f"runs/{name}", "--out", "out")
    project = lab.server.create_project(name, name, (lab.folder / "out/labeling.xml").read_text(), False)
    body = (lab.folder / "out/tasks.json").read_bytes()
    upload_form(lab, project, body)
    tasks = sorted(lab.server.tasks(project), key=lambda task: task["id"])
    assert len(tasks) == BATCH
    for number, task in enumerate(tasks):
        lab.annotate(task, wanted(number))
    said = lab.done("import-labels", f"runs/{name}", str(lab.export(project, "JSON")))
    assert f"{BATCH} answers kept (1 decline" in said, said
    print("tasks.json and labeling.xml imported as a file, exported, and taken")


def upload_form(lab: Lab, project: int, body: bytes) -> None:
    """Import a file as the page's button does."""
    head = '--cut\r\nContent-Disposition: form-data; name="f"; filename="tasks.json"\r\n'
    form = f"{head}Content-Type: application/json\r\n\r\n".encode() + body + b"\r\n--cut--\r\n"
    lab.server._call("POST", f"/api/projects/{project}/import", form, "multipart/form-data; boundary=cut")


def personal_token(lab: Lab) -> str:
    """Make a personal access token, of which a user of Label Studio has one; it is shown only when it is made."""
    if PERSONAL in os.environ:
        return os.environ[PERSONAL]
    return str(lab.server._call("POST", "/api/token/", {})["token"])


def main() -> None:
    given = sys.argv[1].rstrip("/") if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(prefix="distal-ls-") as name:
        folder = Path(name)
        process = None if given else started_server(folder)
        url = given or f"http://localhost:{PORT}"
        try:
            wait_for(url)
            lab = Lab(folder, url, os.environ[KEY] if given else TOKEN)
            for check in (
                kills_make_nothing_twice,
                answers_come_as_they_are_given,
                exports_come_back,
                files_go_there_and_back,
            ):
                check(lab)
            version = lab.server._call("GET", "/api/version").get("release")
        finally:
            if process is not None:
                process.terminate()
                process.wait()
    print(f"| {version} | {platform.python_version()} | sqlite | {time.strftime('%Y-%m-%d')} | all of it |")


if __name__ == "__main__":
    main()
