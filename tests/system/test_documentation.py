"""Every command and script of README.md and docs/ works as written, in a folder that is not the repository's.

What takes long is made small by settings that are appended to a command, and nothing else of it is changed. What cannot
be run here stands in NOT_RUN with the reason; a command that is neither run nor listed fails its test.
"""

import itertools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from small_pools import images, png, write_extractor, write_pool

import distal
from distal.cli import main
from distal.resolve import make_config
from distal.sweep.resolve import check_sweep, read_sweep

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAM = re.compile(r"(distal|make|python3?|pip|ray|git|docker|kubectl|aws|gcloud|curl|sbatch|[\w./-]+\.sh) [^=]")

NOT_RUN = {
    "make ": "makes a .venv from the network; CI begins with both",
    "cluster/local.sh": "starts four nodes; test_cluster_jobs.py does",
    "distal submit": "needs a cluster's job server; test_cluster_jobs.py has one",
    "distal jobs": "needs a cluster's job server; test_cluster_jobs.py has one",
    "python benchmarks/": "measures for minutes to hours",
    "pip install": "installs from the network; what CI begins with has all of it",
    "oracle.kind=page": "waits for people; test_label_in_browser.py has them",
    "distal judge": "waits for people; test_judging.py has them",
    "s3://": "needs a bucket; test_s3_runs.py has one",
    "distal import-labels": "needs what people have answered; test_asking.py has it",
    "--distill": "exports four networks; tests/export/test_export_files.py has each",
    "--encrypt": "needs a key in the environment; tests/data/test_encryption.py has one",
    "oracle.kind=label_studio": "needs a server; tests/by_hand/label_studio.py has one",
}
"""What stands in a command that is not run, and why."""

DATA = "DATA/"
"""Stands for data sets that people download; a command that names it is checked as far as it goes without them."""

SMALL = {
    "rounds": 1,
    "pool.shards": 0,
    "train.steps": 2,
    "train.batch_size": 8,
    "train.threads": 1,
    "net.width": 4,
    "net.latent_dim": 8,
    "evaluate.extractor": "inception",
    "evaluate.samples": 32,
}


@dataclass(frozen=True)
class Block:
    """Hold an indented or fenced block of a page: its first line's number, its language, and its text."""

    page: Path
    line: int
    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """Hold a command as it stands on a page, and the lines below it that say what it prints."""

    page: Path
    line: int
    text: str
    prints: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text, comments=True)

    @property
    def not_run(self) -> str:
        return next((part for part in NOT_RUN if part in " ".join(self.words)), "")


def blocks(page: Path) -> Iterator[Block]:
    """Return the blocks of a page; an indented one that begins with an import is Python."""
    text = page.read_text(encoding="utf-8")
    for found in re.finditer(r"^```(\w*)\n(.*?)^```|(?<=\n\n)((?: {4}[^\n]*\n|\n(?= {4}))+)", text, re.M | re.S):
        fenced = found[3] is None
        body = found[2] if fenced else re.sub(r"^ {4}", "", found[3], flags=re.M)
        language = found[1] if fenced else "python" if body.startswith(("import ", "from ")) else ""
        yield Block(page, text.count("\n", 0, found.start()) + 1, language, body)


def commands(block: Block) -> Iterator[Command]:
    """Return a block's commands, each with what stands below it up to the next one or an empty line."""
    lines = re.sub(r"\\\n\s*", " ", block.text).splitlines()
    starts = [number for number, line in enumerate(lines) if PROGRAM.match(f"{line} ")]
    for start, following in zip(starts, [*starts, len(lines)][1:], strict=True):
        below = "\n".join(lines[start + 1 : following]).partition("\n\n")[0]
        yield Command(block.page, block.line + start, lines[start], below)


BLOCKS = [block for page in PAGES for block in blocks(page)]
STEPS: list[Command | Block] = []
"""Commands and scripts in the order of the pages: later ones use what earlier ones made."""
for each in BLOCKS:
    STEPS += [each] if each.language == "python" else [] if each.language in ("yaml", "json") else commands(each)


def named(step: Command | Block) -> str:
    what = "script" if isinstance(step, Block) else step.text.partition("#")[0].strip()[:50]
    return f"{step.page.name}:{step.line} {what}"


@pytest.fixture(scope="module")
def settings(decoded: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    extractor = write_extractor(tmp_path_factory.mktemp("extractor") / "coarse.pt")
    return {**SMALL, "pool.cache": str(decoded), "evaluate.extractor_path": str(extractor)}


@pytest.fixture(scope="module")
def quick() -> Iterator[None]:
    """Let what is learned and laid out beside a run be done at once: no page promises what comes of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("distal.prove.network.STEPS", 2)
        patch.setattr("distal.driver.trainings.joined_ray", lambda: False)  # whose processes know nothing of this
        patch.setattr("distal.metrics.pool_cnn_training.STEPS", (2, 2))
        patch.setattr("distal.features.plane.FEWEST", 10_000)  # so that components do for the map
        patch.setattr("distal.driver.choosing.SURE", 0.0)  # of a generator after two updates nobody is sure
        yield


@pytest.fixture(scope="module")
def places(
    local_ray: None, quick: None, settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[Path, Path]:
    """Return a folder for each page, which holds what the page assumes."""
    return {page: furnish(tmp_path_factory.mktemp(page.stem), page, settings) for page in PAGES}


@pytest.fixture
def here(request: pytest.FixtureRequest, places: dict[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to the folder of the step's page."""
    place = places[request.getfixturevalue("step").page]
    monkeypatch.chdir(place)
    return place


def furnish(place: Path, page: Path, settings: dict[str, Any]) -> Path:
    (place / "tune_configs").symlink_to(ROOT / "tune_configs")
    pool = write_pool(place / "scans.parquet", images(80), [row % 2 for row in range(80)])
    for name, batch in (("mine", 20), ("my", 10)):
        tree = {"name": "mine", "pool": {"path": pool.name, "classes": ["good", "crack"]}, "query": {"batch": batch}}
        (place / f"{name}.yaml").write_text(yaml.safe_dump(tree))
    (place / "mine.csv").write_text("row_id,label\n0,good\n1,crack\n")
    for row, shade in enumerate(np.linspace(0, 255, 80, dtype=np.uint8)):
        photo = place / "photos" / ("good", "crack")[row % 2] / f"{row}.png"
        photo.parent.mkdir(parents=True, exist_ok=True)
        photo.write_bytes(png(np.full((8, 8), shade)))
    (place / "examples").symlink_to("photos")
    if page.stem == "run-directory":  # whose script reads the run that `make demo` leaves
        tree = {"storage": str(place / "runs"), "query": {"batch": 4}}
        distal.ActiveLearner(make_config(with_small(tree, settings))).run()
    return place


def with_small(tree: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    for key, value in settings.items():
        section, _, leaf = key.rpartition(".")
        (tree.setdefault(section, {}) if section else tree)[leaf] = value
    return tree


def appended(command: str, settings: dict[str, Any]) -> list[str]:
    """Return what makes a command small."""
    keys = [f"{key}={value}" for key, value in settings.items()]
    return {
        "run": keys,
        "validate": keys,
        "resume": ["rounds=2"],
        "evaluate": ["evaluate.samples=32"],
        "export": ["evaluate.samples=32"],
        "generate": ["--per-class=5"],
        "prove": ["--seeds=2"],
        "tune": [
            *(f"base.{key}" for key in keys),
            "space={query.strategy: {grid: [margin]}}",
            "searcher=grid",
            "seeds=[0]",
            "early_stop.scheduler=none",
        ],
    }.get(command, [])


@pytest.mark.parametrize("step", [step for step in STEPS if isinstance(step, Command)], ids=named)
def test_every_command_does_what_the_page_says(
    step: Command, here: Path, settings: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    if step.not_run:
        return
    program, command, *rest = step.words
    assert program == "distal", f"{step.text}: a command that is neither run nor listed in NOT_RUN"
    if any(DATA in word for word in rest) or (command == "tune" and not taken_up(step)):
        assert (command, step.prints) == ("tune", "")
        check_sweep(read_sweep(rest[0], rest[1:]))
        return
    capsys.readouterr()
    assert main([command, *rest, *appended(command, settings)]) == 0, capsys.readouterr().err
    assert step.prints in capsys.readouterr().out.replace(f"{here}/", "")


def taken_up(step: Command) -> bool:
    """Say whether a command resumes a sweep, or begins one that its page resumes; the others take 10 s each to run."""
    on_page = [each.words for each in STEPS if isinstance(each, Command) and each.page == step.page]
    resumed = [Path(words[2]).stem for words in on_page if "--resume" in words]
    return Path(step.words[2]).stem in resumed


def answer(image: np.ndarray) -> str:
    return "crack" if image.mean() > 127 else "good"


@pytest.mark.parametrize("step", [step for step in STEPS if isinstance(step, Block)], ids=named)
def test_every_script_runs(step: Block, here: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    learner, tune = distal.ActiveLearner, distal.tune
    config = {"name": "dogs", "pool": {"path": "scans.parquet", "classes": ["cat", "dog"]}}

    def small_learner(config: Any, **options: Any) -> Any:
        tree = config if isinstance(config, dict) else config.model_dump(mode="json")
        return learner(with_small(tree, settings), **options)

    def small_tune(space: Any, base: Any, **options: Any) -> Any:
        tree = with_small(base, settings)
        own = {"trials": 1, "seeds": [0], "early_stop": {"scheduler": "none"}}
        return tune({"query.strategy": space["query.strategy"]}, tree, **{**options, **own})

    monkeypatch.setattr(distal, "ActiveLearner", small_learner)
    monkeypatch.setattr(distal, "tune", small_tune)
    answers = itertools.cycle(["good", "crack"])
    monkeypatch.setattr("builtins.input", lambda asked: next(answers))
    monkeypatch.setattr("PIL.Image.Image.show", lambda image: None)
    names = {"my_colleague_says": answer, "looks_like_a_dog": lambda image: image.mean() > 127, "config": config}
    exec(compile(step.text, named(step), "exec"), names)
    assert "images" not in names or len(names["images"]) == 100


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "yaml" and "space:" in b.text])
def test_every_sweep_that_is_shown_is_accepted(block: Block, tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(block.text)
    check_sweep(read_sweep(tmp_path / "sweep.yaml"))


@pytest.mark.parametrize("part", NOT_RUN)
def test_what_is_listed_as_not_run_stands_on_some_page(part: str) -> None:
    assert [step for step in STEPS if isinstance(step, Command) and part in step.text]
