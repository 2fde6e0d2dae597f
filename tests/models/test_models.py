"""A model that a package adds is trained, stopped, resumed, opened and reported by code that knows nothing of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from installed_package import install
from round_case import Run, contents

from distal.checkpoints import open_generator
from distal.config import Config
from distal.errors import ConfigError
from distal.models import read_scorer
from distal.report.write import write_report
from distal.resolve import make_config, override_config, print_config, read_config

VAE = {"kind": "flat_vae", "beta": 0.2}


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the VAE's entry point where Python looks for packages."""
    install(tmp_path, monkeypatch, {"distal.models": {"flat_vae": "vae_model:VAE"}})


def test_another_model_runs_is_stopped_and_resumed_to_the_same_bytes_and_generates_and_is_reported(
    small_config: Callable[..., Config],
) -> None:
    config = small_config(model=VAE, query={"strategy": "margin"})
    unbroken = Run(config.model_copy(update={"name": f"{config.name}-unbroken"}))
    assert unbroken.go().reason == "budget"
    assert Run(config).go(on_commit=lambda result: False).kind == "interrupted"
    run = Run(config)
    assert run.go().reason == "budget"
    assert contents(run.folder) == contents(unbroken.folder)
    assert {p.name for p in (run.folder / "rounds/0002/checkpoint").iterdir()} == {
        "losses.json",
        "manifest.json",
        "optimizer.safetensors",
        "vae.safetensors",
    }
    generator = open_generator(run.directory)
    assert generator.images(np.array([0, 3, 9])).shape == (3, 1, 8, 8)
    scorer = generator.state.scorer()
    images = run.plan.images.pixels(np.arange(4))
    again = read_scorer(scorer.to_bytes())
    assert torch.equal(scorer(torch.from_numpy(images))["probs"], again(torch.from_numpy(images))["probs"])
    page = Path(write_report(run.directory, None, run.plan.classes).removeprefix("file://")).read_text()
    assert "kind: flat_vae" in page


def test_a_models_own_section_is_checked_printed_and_read_back(tmp_path: Path) -> None:
    config = override_config(make_config({"model": VAE}), ["model.beta=0.5"])
    (tmp_path / "printed.yaml").write_text(print_config(config))
    assert read_config(tmp_path / "printed.yaml") == config
    with pytest.raises(ConfigError, match=r"model\.betta: unknown key; did you mean 'model\.beta'"):
        make_config({"model": {"kind": "flat_vae", "betta": 1}})
    with pytest.raises(ConfigError, match=r"model\.beta: .*greater than or equal to 0; given: -1"):
        make_config({"model": {"kind": "flat_vae", "beta": -1}})


def test_another_kind_may_be_said_of_a_tree_that_holds_the_keys_of_one() -> None:
    config = override_config(
        make_config({"model": {"adversarial": "hinge"}}), ["model.kind=flat_vae", "model.beta=0.5"]
    )
    assert config.model.model_dump() == {"kind": "flat_vae", "beta": 0.5, "learning_rate": 1e-3}


def test_another_kind_may_be_said_on_the_command_line_before_its_keys_or_after_them() -> None:
    for overrides in (["model.kind=vae", "model.beta=0.5"], ["model.beta=0.5", "model.kind=vae"]):
        assert read_config(None, overrides) == make_config({"model": {"kind": "vae", "beta": 0.5}})
    own = {"kind": "ensemble", "member": {"kind": "vae", "beta": 0.5}}
    nested = ["model.kind=ensemble", "model.member.beta=0.5", "model.member.kind=vae"]
    assert read_config(None, nested) == make_config({"model": own})


def test_an_unknown_model_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"model\.kind: unknown model 'flat_va'; did you mean 'flat_vae'"):
        make_config({"model": {"kind": "flat_va"}})
