"""Every command of the command line does its work; the first a person types in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_pools import QUICK, images, write_extractor, write_pool

import distal
from distal.cli import main

pytestmark = pytest.mark.system


def command(*argv: object) -> subprocess.CompletedProcess[str]:
    """Run `distal` to its end, on its own Ray."""
    own = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    environment = {**own, "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, "-m", "distal", *map(str, argv)]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=200, env=environment)


Said = Callable[..., str]


@pytest.fixture
def said(local_ray: None, capsys: pytest.CaptureFixture[str]) -> Said:
    """Return what a command prints to stdout; in this process, so on the session's Ray, and it must succeed."""

    def say(*argv: object) -> str:
        capsys.readouterr()
        assert main([str(argument) for argument in argv]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    return say


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, decoded: Path) -> list[str]:
    folder = tmp_path_factory.mktemp("cli")
    held_out = write_pool(folder / "held-out.parquet", images(32, seed=1))
    return [
        f"storage={folder}/runs",
        f"pool.path={write_pool(folder / 'pool.parquet', images(40), [row % 2 for row in range(40)])}",
        "pool.classes=[even, odd]",
        f"pool.cache={decoded}",
        f"evaluate.path={held_out}",
        f"evaluate.extractor_path={write_extractor(folder / 'coarse.pt')}",
        *QUICK,
    ]


@pytest.fixture(scope="module")
def first(settings: list[str]) -> subprocess.CompletedProcess[str]:
    """Run one round on a Ray of its own, as the first command a person types does."""
    return command("run", *settings, "name=first")


@pytest.fixture(scope="module")
def run(first: subprocess.CompletedProcess[str], settings: list[str]) -> Path:
    assert first.returncode == 0, first.stderr
    return Path(settings[0].partition("=")[2]) / "first"


def test_run_shows_its_progress_on_stderr_and_its_end_on_stdout(
    first: subprocess.CompletedProcess[str], run: Path
) -> None:
    for phase in ("prepare", "acquire", "annotate", "train", "evaluate", "committed"):
        assert phase in first.stderr
    end = f"report: {run}/report.html\ndo its images pay? distal prove {run}\n"
    assert first.stdout == f"the label budget is spent: 4 of 4\n{end}"


def test_run_again_says_that_the_run_is_finished_and_resume_with_more_rounds_continues_it(
    run: Path, settings: list[str], said: Said
) -> None:
    assert "the label budget is spent: 4 of 4" in said("run", *settings, "name=first")
    assert "the label budget is spent: 8 of 8" in said("resume", run, "rounds=2")
    assert (run / "rounds" / "0002" / "COMMITTED").exists()
    status = said("status", run)
    assert "2 of 2 committed" in status
    assert "8 labels from 8 answers" in status
    assert "nothing: ended, the label budget is spent" in status


def test_a_configuration_that_is_printed_is_the_configuration_that_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "query.strategy=entropy", "pool.classes=[a, b]"]) == 0
    printed = capsys.readouterr().out
    assert "# query strategy by its standard name" in printed
    (tmp_path / "mine.yaml").write_text(printed)
    assert main(["config", f"{tmp_path}/mine.yaml"]) == 0
    assert capsys.readouterr().out == printed


def test_a_folder_of_images_becomes_a_pool_that_info_describes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(3):
            shade = np.full((16, 16, 3), 40 * number, np.uint8)
            Image.fromarray(shade).save(tmp_path / "photos" / name / f"{number}.png")
    assert main(["data", "import", f"{tmp_path}/photos", f"{tmp_path}/photos.parquet"]) == 0
    assert "wrote 6 images (folder)" in capsys.readouterr().out
    assert main(["data", "info", f"{tmp_path}/photos.parquet"]) == 0
    told = capsys.readouterr().out
    assert "6" in told
    assert "cat" in told
    assert "dog" in told


def test_generated_images_are_a_grid_or_a_pool(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", str(run), "--out", f"{tmp_path}/odd.png", "--class", "odd", "--per-class", "3"]) == 0
    with Image.open(tmp_path / "odd.png") as grid:
        assert grid.width >= 3 * 8
    assert main(["generate", str(run), "-o", f"{tmp_path}/new/more.parquet", "-n", "20", "--round", "1"]) == 0
    assert "wrote 40 images of 2 classes from round 1" in capsys.readouterr().out
    assert main(["data", "info", f"{tmp_path}/new/more.parquet"]) == 0
    told = capsys.readouterr().out
    assert "40" in told
    assert "odd" in told


def test_evaluate_prints_the_scores_of_the_run_again_and_others_when_asked(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    committed = json.loads((run / "rounds" / "0001" / "metrics.json").read_text())["scores"]
    assert main(["evaluate", str(run), "--round", "1"]) == 0
    assert json.loads(capsys.readouterr().out)[0] == committed[0]
    assert main(["evaluate", str(run), "--round", "1", "evaluate.samples=64"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["samples"] == 64


def test_report_writes_the_page_again(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "report.html").unlink()
    assert main(["report", str(run)]) == 0
    assert capsys.readouterr().out.strip() == f"{run}/report.html"
    assert "<html" in (run / "report.html").read_text()


def test_people_label_a_part_at_a_time_and_resume_takes_up_what_they_did(settings: list[str], said: Said) -> None:
    asked = said("run", *settings, "name=people", "oracle.kind=files", "rounds=2", "pool.shards=0")
    folder = Path(settings[0].partition("=")[2]) / "people"
    sheet = folder / "rounds" / "0001" / "to-label" / "labels.csv"
    assert asked.strip() == f"waiting for 4 labels: fill in {sheet}, then run: distal resume {folder}"
    rows = sheet.read_text().splitlines()
    assert all((sheet.parent / row.split(",")[1]).is_file() for row in rows[1:])

    sheet.write_text("\n".join([rows[0], rows[1] + "even", rows[2] + "odd", *rows[3:]]))
    assert "waiting for 2 labels" in said("resume", folder)
    assert "2 of 4 labels are awaited" in said("status", folder)

    sheet.write_text("\n".join([rows[0], rows[1] + "even", rows[2] + "odd", rows[3] + "1", rows[4] + "skip"]))
    assert "waiting for 4 labels" in said("resume", folder)
    assert (folder / "rounds" / "0001" / "COMMITTED").exists()
    assert (folder / "rounds" / "0002" / "to-label" / "labels.csv").exists()
    assert "3 labels from 4 answers" in said("status", folder)


def test_the_version_and_the_help_of_every_command_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"distal {distal.__version__}\n"
    for name in ("run", "resume", "status", "config", "generate", "evaluate", "report", "data import", "data info"):
        assert main([*name.split(), "--help"]) == 0
        told = capsys.readouterr().out
        assert told.startswith(f"Usage: distal {name} ")
        assert len(told.splitlines()[2].strip()) > 20
    assert main(["run", "--help"]) == 0
    assert "distal run mine.yaml name=second query.strategy=badge" in capsys.readouterr().out


def test_a_reader_that_has_enough_ends_the_command_quietly() -> None:
    printed = subprocess.run(
        f"{sys.executable} -m distal config | head -1", shell=True, capture_output=True, text=True, timeout=100
    )
    assert printed.stderr == ""
