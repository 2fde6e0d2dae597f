"""A generator is opened only from a checkpoint that fits its run."""

import json

import pytest
import yaml

from distal.checkpoints import open_generator, read_saved
from distal.config.moved import TO_MODEL
from distal.errors import RunError
from distal.models import GAN
from distal.resolve import make_config, print_config
from distal.run.directory import RunDirectory, round_path


@pytest.fixture
def run(tmp_path):
    """Return a run with one committed round, whose generator is untrained."""
    config = make_config({"name": "r", "storage": str(tmp_path), "net": {"name": "dense", "width": 4, "features": 8}})
    resolved = {"distal": "0", "fingerprint": "a", "reference_fingerprint": "a", "rows": 9}
    resolved |= {"image_size": 8, "channels": 1, "classes": ["cat", "dog"]}
    run = RunDirectory.open(str(tmp_path), "r")
    run.write("config.yaml", print_config(config, resolved).encode())
    for name, data in GAN.create(config, 8, 1, 2).to_files().items():
        run.write(round_path(1, "checkpoint", name), data)
    run.commit(1)
    return run


def test_a_generator_is_opened_from_a_committed_round(run):
    assert (open_generator(run).round, open_generator(run).class_index("dog")) == (1, 1)


def test_a_run_written_before_keys_moved_is_read_and_resumes_as_it_was(run):
    tree = yaml.safe_load(run.read("config.yaml"))
    del tree["resolved"]["digest"]
    expected = read_saved(run).config
    model = tree.pop("model")
    own = {key: model[key] for key in TO_MODEL}
    del tree["train"]["optimizer"], tree["train"]["momentum"]
    tree["train"] |= own | {"class_weight": 0.3}
    run.write("config.yaml", yaml.safe_dump(tree).encode())
    model = expected.model.model_copy(update={"class_weight": 0.3})
    assert read_saved(run).config == expected.model_copy(update={"model": model})
    assert open_generator(run).round == 1


@pytest.mark.parametrize("change", [{"classes": 10**10}, {"classes": 3}, {"image_size": 64}, {"channels": 3}], ids=str)
def test_a_checkpoint_of_another_shape_than_the_run_is_refused(run, change):
    path = round_path(1, "checkpoint", "manifest.json")
    run.write(path, json.dumps(json.loads(run.read(path)) | change).encode())
    with pytest.raises(RunError, match=r"round 1: checkpoint: manifest\.json is missing or damaged .*the run's are"):
        open_generator(run)
