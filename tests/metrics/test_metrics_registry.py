import pytest

from distal.errors import ConfigError
from distal.metrics import EXTRACTORS, get_extractor


def test_the_built_in_extractors_are_listed() -> None:
    assert set(EXTRACTORS) == {"inception", "pool-cnn"}


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'pool-cnn'"):
        get_extractor("pool_cnn")
