from pathlib import Path

import pytest

from distal.errors import ConfigError
from distal.features import FEATURES
from distal.metrics.registry import score_title, short_title


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'pool-cnn'"):
        FEATURES.find("pool_cnn")


@pytest.mark.parametrize(
    ("name", "title", "short"),
    [
        ("fid", "FID", "FID"),
        ("fid_class_worst", "FID, worst class", "FID, worst class"),
        ("fd_pool-cnn", "Fréchet distance (pool-cnn)", "Fréchet distance"),
        ("fd_pool-cnn_class", "Fréchet distance (pool-cnn), by class", "Fréchet distance, by class"),
        ("kd_pool-cnn", "Kernel distance (pool-cnn)", "Kernel distance"),
        ("accuracy_balanced", "Accuracy of the head, mean of classes", "Accuracy of the head, mean of classes"),
        ("agreement_class", "Agreement with the class asked, by class", "Agreement with the class asked, by class"),
        ("somebody's own", "somebody's own", "somebody's own"),
    ],
)
def test_scores_have_names_in_words(name: str, title: str, short: str) -> None:
    assert score_title(name) == title
    assert short_title(name) == short


def test_a_metric_of_our_own_is_found_without_a_look_at_what_packages_add(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distal.registry._installed", None)
    assert score_title("kd_pool-cnn_class") == "Kernel distance (pool-cnn), by class"


def test_what_packages_add_is_read_once_for_all_names_of_a_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))  # where nobody has looked yet
    looks: list[object] = []
    monkeypatch.setattr("distal.registry.entry_points", lambda **asked: looks.append(asked) or [])
    for name in ("somebody's own", "another's"):
        assert score_title(name) == name
    assert looks == [{"group": "distal.metrics"}]
