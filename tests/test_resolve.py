from pathlib import Path

import pytest
import yaml

from distal.config import Config, Section
from distal.errors import ConfigError
from distal.resolve import (
    check_names,
    describe_config,
    differing_keys,
    make_config,
    override_config,
    print_config,
    read_config,
)


def refused(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_config(None, overrides)
    message = str(caught.value)
    assert len(message.splitlines()) <= 3
    return message


def test_the_defaults_are_a_valid_run_on_the_embedded_digits() -> None:
    config = read_config()
    assert config == Config()
    assert config.label_budget == 50


def test_overrides_reach_nested_keys_and_win_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("query: {strategy: badge, batch: 3}\nrounds: 7\n")
    config = read_config(tmp_path / "run.yaml", ["query.strategy=margin", "model.regularizers.r1=0.5", "stop.fid=null"])
    assert (config.query.strategy, config.query.batch, config.rounds) == ("margin", 3, 7)
    assert config.model.regularizers["r1"] == 0.5


def test_what_is_printed_or_described_reads_back_the_same(tmp_path: Path) -> None:
    config = read_config(None, ["pool.classes=[good, bad]", "oracle.cost={good: 2.5}", "name=a.b"])
    for text in (print_config(config, {"distal": "0"}), describe_config(config)):
        (tmp_path / "c.yaml").write_text(text)
        assert read_config(tmp_path / "c.yaml") == config


def test_weights_of_strategies_are_the_name_of_their_sum_in_a_file_and_in_an_override(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("query: {strategy: {margin: 0.5, entropy: 2}}\n")
    config = read_config(tmp_path / "run.yaml", ["query.cold_start={random: 1}"])
    assert (config.query.strategy, config.query.cold_start) == ("0.5*margin+2*entropy", "1*random")
    check_names(config)


def test_every_field_has_a_description() -> None:
    described = yaml.safe_load(describe_config(Config()))
    assert set(described) == set(Config.model_fields)
    sections = [Config, *(type(section) for _, section in Config() if isinstance(section, Section))]
    for section in sections:
        for name, field in section.model_fields.items():
            assert field.description or name in described, f"{section.__name__}.{name}"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("query.strtegy=margin", ["query.strtegy", "did you mean 'query.strategy'?"]),
        ("stepz=3", ["stepz", "did you mean 'train.steps'?"]),
        ("query.strategy={margin: 0.5, direct: 0.5}", ["query.strategy", "'direct' scores no row by itself"]),
        ("query.strategy={margin: much}", ["query.strategy"]),
        ("query.strategy=margn", ["query.strategy", "did you mean 'margin'?"]),
        ("model.regularizers.r9=1", ["model.regularizers", "r9", "r1"]),
        ("model.adversarial=wgan", ["model.adversarial", "rpgan"]),
        ("net.name=unet", ["net.name", "residual"]),
        ("evaluate.extractor=resnet", ["evaluate.extractor", "pool-cnn"]),
        ("oracle.kind=human", ["oracle.kind", "files"]),
        ("query.batch=0", ["query.batch", "greater than or equal to 1", "given: 0"]),
        ("query.batch=many", ["query.batch", "'many'"]),
        ("pool.image_size=17", ["pool.image_size", "8, 16, 28, 32, 64, 128 or 256"]),
        ("model.learning_rate_g=.nan", ["model.learning_rate_g", "finite"]),
        ("oracle.noise=1.5", ["oracle.noise", "less than or equal to 1"]),
        ("name=../up", ["name", "'../up'"]),
        ("name=evaluation-cache", ["name", "take another name"]),
        ("train.batch_size=1000000000", ["train.batch_size", "65536"]),
        ("net.width=1000000", ["net.width", "1024"]),
        ("net.latent_dim=1000000000", ["net.latent_dim", "4096"]),
        ("pool.shards=1000000", ["pool.shards", "4096"]),
        ("stop.labels=1000", ["stop.labels", "cannot be spent in 5 rounds"]),
        ("seed", ["expected key=value"]),
        ("seed.sub=1", ["seed"]),
        ("pool.path=[a", ["pool.path", "not a YAML value"]),
        ("name=2024-02-30", ["name", "not a YAML value", "day"]),
        ("name=0x_", ["name", "not a YAML value"]),
        ("pool.classes=" + 3000 * "[", ["pool.classes", "not a YAML value"]),
    ],
)
def test_a_wrong_value_is_refused_naming_key_given_and_allowed(override: str, expected: list[str]) -> None:
    message = refused(override)
    for part in expected:
        assert part in message


def test_a_key_that_moved_is_refused_with_its_new_name() -> None:
    assert refused("train.adversarial=hinge").startswith("train.adversarial is now model.adversarial.")
    assert refused("train.regularizers.r1=0.1").startswith("train.regularizers is now model.regularizers.")


def test_workers_must_divide_the_batch() -> None:
    assert "multiple of train.workers" in refused("train.workers=3", "train.batch_size=64")
    assert "64 images cannot be divided evenly" in refused("train.workers=3")


def test_a_batch_of_each_worker_and_a_global_one_must_agree_and_lie_in_range() -> None:
    workers, each = "train.workers=4", "train.batch_per_worker=16"
    assert read_config(None, [workers, each, "train.batch_size=64"]).train.global_batch == 64
    message = refused(workers, each, "train.batch_size=128")
    assert message.startswith("train.batch_per_worker: 16 images of 4 workers are 64, and train.batch_size=128")
    assert "expected 2 to 65536" in refused("train.workers=4096", "train.batch_per_worker=64")
    assert "expected 2 to 65536" in refused("train.batch_per_worker=1")


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "\xff\xfe", "name: 2024-02-30", 3000 * "["])
def test_an_unreadable_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        read_config(path)


def test_aliases_that_stand_for_gigabytes_are_refused_without_writing_them_out() -> None:
    bomb = "[&a [x, x, x, x, x, x, x, x, x]"
    for one, next in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f", &{next} [{', '.join(9 * ['*' + one])}]"
    message = refused(f"name={bomb}]")
    assert message.startswith("name: ")
    assert len(message) < 300


def test_differing_keys_are_dotted_and_complete() -> None:
    one = make_config({"model": {"regularizers": {"r1": 1.0}}})
    other = override_config(one, ["model.regularizers.r1=2", "seed=5"])
    assert differing_keys(one, other) == ["seed", "model.regularizers.r1"]
    assert differing_keys(one, one) == []
