"""Oracles are known by name; what does not fit is refused before anything is asked."""

import pytest
from pool_of_rows import CLASSES, PoolOfRows

from distal.errors import ConfigError
from distal.oracle import ORACLES, CallableOracle, DatasetOracle, FilesOracle, ToldOracle, build_oracle
from distal.resolve import parse_config


def build(run, function=None, **oracle):
    return build_oracle(parse_config({"oracle": oracle}), PoolOfRows(), CLASSES, run, function)


def test_each_kind_builds_its_oracle(run):
    assert isinstance(build(run), DatasetOracle)
    assert isinstance(build(run, lambda item: 0, kind="callable"), CallableOracle)
    assert isinstance(build(run, kind="files"), FilesOracle)
    assert isinstance(build(run, kind="told"), ToldOracle)
    assert set(ORACLES) == {"dataset", "callable", "files", "label_studio", "page", "told"}


@pytest.mark.parametrize(
    ("function", "oracle", "says"),
    [
        (
            None,
            {"kind": "dataest"},
            "unknown oracle 'dataest'; did you mean 'dataset'.*\nKnown: callable, dataset, files, label_studio",
        ),
        (None, {"kind": "callable"}, "needs a function"),
        (lambda item: 0, {"kind": "dataset"}, "takes no function"),
        (None, {"kind": "files", "noise": 0.1}, r"oracle\.noise"),
        (None, {"kind": "label_studio", "images": "s3://scans/1.png"}, r"oracle\.images: .*\(row_id\|path\)"),
        (None, {"kind": "label_studio"}, r"needs a token.*LABEL_STUDIO_API_KEY is not set"),
        (None, {"cost": {"lion": 1.0}}, r"oracle\.cost: 'lion' is no class"),
    ],
)
def test_what_does_not_fit_is_refused(run, function, oracle, says, monkeypatch):
    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)
    with pytest.raises(ConfigError, match=says) as caught:
        build(run, function, **oracle)
    assert str(caught.value).count("\n") <= 2
