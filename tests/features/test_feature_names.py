from pathlib import Path

import pytest

from distal.communicator import Alone
from distal.errors import ConfigError
from distal.features import FEATURES, FeatureNetwork, FeatureRequest, check_network, network_name
from distal.metrics import METRICS
from distal.run.artefacts import Folder


def request(tmp_path: Path) -> FeatureRequest:
    return FeatureRequest(image_size=8, channels=1, comm=Alone(), store=Folder(tmp_path))


def test_what_judges_and_what_looks_is_found_in_one_place() -> None:
    assert METRICS.find("fd")  # what the metrics add is there once they are
    own = {"autoencoder", "inception", "pixels", "timm:", "torchscript:"}
    own |= {"efficientnet_lite0", "efficientnet_lite0:", "efficientnet_lite0_scales", "efficientnet_lite0_scales:"}
    assert set(FEATURES) == own | {"pool-cnn"}


def test_what_follows_the_colon_goes_to_the_builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(request: FeatureRequest, argument: str) -> FeatureNetwork:
        return FeatureNetwork(f"shrunk:{argument}", "00", request.image_size, None, None, lambda images: images)

    monkeypatch.setitem(FEATURES.entries, "shrunk:", build)
    network = FEATURES.find("shrunk:to/a:half")(request(tmp_path))
    assert (network.name, network.width) == ("shrunk:to/a:half", 8)
    with pytest.raises(ConfigError, match=r"evaluate\.extractor: 'shrunk:' needs what follows the colon"):
        FEATURES.find("shrunk:", "evaluate.extractor")


def test_an_argument_of_a_network_that_takes_none_is_refused_under_the_key_where_it_stands() -> None:
    with pytest.raises(ConfigError, match=r"features\.network: unknown feature network 'pixels:'"):
        FEATURES.find("pixels:8", "features.network")


def test_a_network_of_the_evaluation_is_refused_as_eyes_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="trained on the held-out images") as refusal:
        FEATURES.find("pool-cnn")(request(tmp_path))
    assert "autoencoder" in str(refusal.value)


def test_digits_are_looked_at_as_they_are_and_photographs_by_a_network_trained_on_photographs() -> None:
    assert [network_name("auto", side) for side in (8, 15, 16)] == ["pixels", "pixels", "efficientnet_lite0_scales"]
    assert network_name("pixels", 256) == "pixels"


def test_a_missing_path_is_refused_before_the_run_begins() -> None:
    with pytest.raises(ConfigError, match=r"evaluate\.extractor_path"):
        check_network("inception", None)
    check_network("pixels", None)
