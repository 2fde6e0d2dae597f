"""What an installed package adds, one file and one entry point each, is known by name everywhere and works."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from installed_package import REGISTRIES, install
from round_case import Run

from distal import ActiveLearner
from distal.checkpoints import open_generator
from distal.config import Config
from distal.errors import ConfigError
from distal.query import View
from distal.registry import Registry
from distal.report.write import write_report
from distal.resolve import make_config, parse_config, print_config, read_config
from distal.run.ledger import Ledger
from distal.sweep.resolve import check_sweep, make_sweep
from distal.train.latents import find_selector

POINTS = {
    "distal.strategies": {
        "worst_rebuilt": "added_strategy",
        "least_real": "added_strategy:least_real",
        "gone": "not_to_be_found",
    },
    "distal.regularizers": {"small_logits": "added_regularizer:small_logits"},
    "distal.losses": {"squared_hinge": "added_loss:squared_hinge"},
    "distal.schedules": {"halved": "added_schedule:halved"},
    "distal.selectors": {"first_set": "added_selector:first_set"},
    "distal.augmentations": {"fade": "added_augmentation:fade", "bare": "added_augmentation:Tensor"},
    "distal.networks": {"linear": "added_network:linear"},
    "distal.models": {"flat_vae": "vae_model:VAE"},
    "distal.metrics": {"evenness": "added_metric:evenness"},
    "distal.extractors": {"shrunk": "added_extractor:build", "missing": "added_extractor:missing"},
    "distal.oracles": {"beginner": "added_oracle:Beginner"},
    "distal.optimizers": {"plain": "torch.optim:SGD"},
}
OWN = {"oracle": {"kind": "beginner", "knows": 3, "cost": {"2": 4.0}}}


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, POINTS)


def metrics(run: Run, round: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.folder / f"rounds/000{round}/metrics.json").read_text())
    return found


def test_what_a_gan_is_made_of_and_who_judges_and_answers_may_all_come_from_a_package(
    small_config: Callable[..., Config],
) -> None:
    config = small_config(
        query={"strategy": "least_real"},
        model={"adversarial": "squared_hinge", "regularizers": {"small_logits": 0.1}},
        train={"augment": ["fade", "zoom"], "schedule": "halved"},
        net={"name": "linear"},
        evaluate={"metrics": ["evenness"], "extractor": "shrunk"},
        stop={"goal": {"metric": "evenness", "value": 2.0}},
        **OWN,
    )
    run = Run(config)
    assert run.go().reason == "budget"
    first, second = metrics(run, 1), metrics(run, 2)
    assert "small_logits" in json.dumps(first["losses"])
    generator, labels = open_generator(run.directory), np.array([0, 1])
    set_alike = [generator.images(labels, seed=7, selector=find_selector(f"first_set:{v}", "")) for v in (-3, 3)]
    assert (set_alike[0] != set_alike[1]).any()
    scores = {score["name"]: score for score in second["scores"]}
    assert 0 < scores["evenness"]["value"] <= 1
    assert scores["fd_shrunk"]["extractor"] == "shrunk"
    answers = Ledger(run.directory).answers(2)
    assert {answer.annotator for answer in answers} == {"beginner"}
    assert {answer.label for answer in answers} <= {0, 1, 2}
    assert all(answer.cost == (4.0 if answer.label == 2 else 1.0) for answer in answers)
    assert Ledger(run.directory).read_query(2).strategy == "least_real"
    page = Path(write_report(run.directory, None, run.plan.classes).removeprefix("file://")).read_text()
    assert "Evenness of the classes" in page
    assert "kind: beginner" in page


def test_a_model_of_a_package_gives_what_a_strategy_of_a_package_needs_and_its_metric_stops_the_run(
    small_config: Callable[..., Config],
) -> None:
    config = small_config(
        rounds=3,
        model={"kind": "flat_vae"},
        query={"strategy": "worst_rebuilt"},
        evaluate={"metrics": ["evenness"], "extractor": "shrunk"},
        stop={"goal": {"metric": "evenness", "value": 0.0}},
    )
    run = Run(config.model_copy(update={"stop": config.stop.model_copy(update={"goal": None}), "rounds": 2}))
    assert run.go().reason == "budget"
    query = Ledger(run.directory).read_query(2)
    assert query is not None
    assert query.strategy == "worst_rebuilt"
    assert min(query.scores) > 0, "errors of rebuilding, which no part of distal has a name for"
    stopped = Run(config.model_copy(update={"name": f"{config.name}-stopped"}))
    assert stopped.go().reason == "goal"


def test_a_metric_of_a_package_is_one_that_a_sweep_may_follow(tmp_path: Path) -> None:
    tree: dict[str, Any] = {"metric": "evenness", "mode": "max"}
    tree |= {"base": {"rounds": 3, "evaluate": {"metrics": ["evenness"]}}, "storage": str(tmp_path), "name": "s"}
    tree["space"] = {"query.strategy": ["margin", "least_real"]}
    assert check_sweep(make_sweep(tree))
    with pytest.raises(ConfigError, match="set mode=max"):
        check_sweep(make_sweep({**tree, "mode": "min"}))


def test_an_oracles_own_section_is_checked_printed_and_read_back(tmp_path: Path) -> None:
    config = make_config(OWN)
    (tmp_path / "printed.yaml").write_text(print_config(config))
    assert read_config(tmp_path / "printed.yaml") == config
    with pytest.raises(ConfigError, match=r"oracle\.know: unknown key; .*'oracle\.knows'.*\n.*kind=beginner"):
        make_config({"oracle": {"kind": "beginner", "know": 3}})
    with pytest.raises(ConfigError, match=r"oracle\.knows: .*greater than or equal to 1; given: 0"):
        make_config({"oracle": {"kind": "beginner", "knows": 0}})


def test_a_need_that_the_model_does_not_give_is_refused_before_anything_starts() -> None:
    with pytest.raises(ConfigError, match=r"query\.strategy: 'worst_rebuilt' needs 'rebuilt', which model\.kind=gan"):
        make_config({"query": {"strategy": "worst_rebuilt"}})
    with pytest.raises(ConfigError, match=r"query\.cold_start: 'least_real' needs 'realism', .*flat_vae"):
        make_config({"query": {"cold_start": "least_real"}, "model": {"kind": "flat_vae"}})


def test_what_a_run_begins_with_is_checked_where_a_script_brings_its_own_strategy() -> None:
    def own(view: View) -> Any:
        return view.probs[:, 0]

    config = parse_config({"query": {"cold_start": "least_real"}, "model": {"kind": "flat_vae"}})
    with pytest.raises(ConfigError, match=r"query\.cold_start: 'least_real' needs 'realism', .*flat_vae"):
        ActiveLearner(config, strategy=own)


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"evaluate": {"extractor": "missing"}}, "'missing' of the installed added_extractor:missing"),
        ({"query": {"strategy": "gone"}}, "'gone' of the installed not_to_be_found"),
        ({"train": {"augment": ["bare"]}}, "is a _TensorMeta, not an Augmentation"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_package(tree: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        make_config(tree)
    assert words in str(refusal.value)
    assert len(str(refusal.value).splitlines()) <= 3


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.noun)
def test_a_wrong_name_is_refused_alike_at_every_extension_point_with_what_packages_add(
    registry: Registry[Any],
) -> None:
    added = next(iter(POINTS[registry.group]))
    with pytest.raises(ConfigError) as refusal:
        registry.find(added + "x")
    first, second = str(refusal.value).splitlines()
    assert first == f"{registry.key}: unknown {registry.noun} '{added}x'; did you mean '{added}'?"
    assert second == f"Known: {', '.join(registry.names())}."
    assert added in registry.names()


def test_a_name_is_taken_once() -> None:
    for registry in REGISTRIES:
        name = next(iter(registry))
        with pytest.raises(ConfigError, match=f"{registry.noun} '{name}' is registered already"):
            registry.add(name, object())


def test_a_run_directory_of_before_has_no_noise_of_people() -> None:
    tree = make_config({"oracle": {"kind": "files", "noise": 0.0}}).model_dump(mode="json")
    assert tree["oracle"] == {"kind": "files", "cost": {}}
    with pytest.raises(ConfigError, match=r"oracle\.noise: unknown key.*\n.*oracle\.kind=files: kind, cost"):
        make_config({"oracle": {"kind": "files", "noise": 0.1}})
