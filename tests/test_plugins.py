"""What an installed package adds by entry points is known by name everywhere, or said to be broken."""

import sys
from pathlib import Path

import pytest

from distal.errors import ConfigError
from distal.losses.regularizers import REGULARIZERS
from distal.nets import NETWORKS
from distal.query import STRATEGIES
from distal.resolve import make_config

MODULE = """
from distal.losses.regularizers import REGULARIZERS, regularizer
from distal.nets import NETWORKS
from distal.query import score_strategy

network = NETWORKS["dense"]


@score_strategy("added_strategy", needs=["probs"])
def added_strategy(view):
    return view.probs[:, 0]


REGULARIZERS["added_penalty"] = REGULARIZERS["r1"]
"""
POINTS = """
[distal.strategies]
added_strategy = added_to_distal
[distal.regularizers]
added_penalty = added_to_distal
[distal.networks]
added_network = added_to_distal:network
[distal.extractors]
added_extractor = added_to_distal:missing
[distal.oracles]
added_oracle = not_to_be_found
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a package with entry points where Python looks for packages."""
    (tmp_path / "added_to_distal.py").write_text(MODULE.replace(", regularizer\n", "\n"))
    metadata = tmp_path / "added_to_distal-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: added-to-distal\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    for registry in (REGULARIZERS, NETWORKS, STRATEGIES):
        for name in ("added_penalty", "added_network", "added_strategy"):
            monkeypatch.delitem(registry, name, raising=False)
    monkeypatch.delitem(sys.modules, "added_to_distal", raising=False)


@pytest.mark.usefixtures("installed")
def test_a_configuration_may_name_what_a_package_adds() -> None:
    config = make_config(
        {
            "query": {"strategy": "added_strategy"},
            "net": {"name": "added_network"},
            "model": {"regularizers": {"r1": None, "r2": None, "added_penalty": 0.1}},
        }
    )
    assert config.model.regularizers["added_penalty"] == 0.1


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"evaluate": {"extractor": "added_extractor"}}, "'added_extractor' of the installed added_to_distal:missing"),
        ({"oracle": {"kind": "added_oracle"}}, "'added_oracle' of the installed not_to_be_found"),
    ],
)
def test_what_cannot_be_imported_is_named_with_its_package(tree: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        make_config(tree)
    assert words in str(refusal.value)
    assert len(str(refusal.value).splitlines()) <= 3


@pytest.mark.usefixtures("installed")
def test_names_that_packages_add_are_among_the_known() -> None:
    with pytest.raises(ConfigError, match="did you mean 'added_penalty'"):
        make_config({"model": {"regularizers": {"added_penalti": 0.1}}})
