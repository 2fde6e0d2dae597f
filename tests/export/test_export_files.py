"""A generator's files draw its images; what makes them smaller does what it says."""

import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from training_case import config, labeled_rows

from distal.cli.export import export_round
from distal.communicator import Alone
from distal.config import NetConfig
from distal.errors import ConfigError, RunError
from distal.export.distill import distilled
from distal.export.formats import from_onnx, from_torch, to_onnx, to_torch, with_int8_weights
from distal.export.smaller import pruned_, rounded_
from distal.export.table import Smaller, compared_rows, costs, described, require_same_images
from distal.losses.supervised import one_hot
from distal.models import GAN, VAE, Exportable
from distal.nets import build_generator
from distal.nets.codes import CodeMixture
from distal.nets.drawing import Drawing, drawing_of
from distal.run.directory import RunDirectory

LATENT = 6


def drawing(width: int = 8) -> Drawing:
    """Return an untrained generator of 8 px whose images differ: it starts with a branch of zeros."""
    G = build_generator(NetConfig(name="dense", width=width, latent_dim=LATENT), 8, 1, 3, seed=2)
    return drawing_of(G)


ROWS = compared_rows(LATENT, 3)


def test_a_drawing_is_what_the_model_generates() -> None:
    for kind, changes in ((GAN, {"class_fade": [0, 4]}), (VAE, {"model": {"kind": "vae"}})):
        model = kind.create(config(latent_dim=LATENT, **changes), 8, 1, 2)
        model.advance(labeled_rows(), Alone())
        assert isinstance(model, Exportable)
        latents, labels = compared_rows(LATENT, 2)
        assert torch.equal(model.drawing()(latents, labels), model.generate(latents, labels))


def around_labeled() -> Drawing:
    """Return an untrained generator of transposed convolutions, which draws around the latents of 90 images."""
    draw = torch.Generator().manual_seed(5)
    codes = CodeMixture(
        torch.randn(90, LATENT, generator=draw),
        torch.rand(90, LATENT, generator=draw),
        torch.tensor([50, 0, 40]),
        axes=torch.randn(LATENT, LATENT, generator=draw),
    )
    G = build_generator(NetConfig(name="projected", width=8, latent_dim=LATENT), 8, 1, 3, seed=2)
    return drawing_of(G.eval(), codes=codes)


@pytest.mark.parametrize("make", [drawing, around_labeled])
def test_the_files_draw_the_same_images_for_any_number_of_rows(make: Callable[[], Drawing]) -> None:
    made = make()
    onnx, program = to_onnx(made), to_torch(made)
    for draw in (from_onnx(onnx), from_torch(program)):
        for rows in (1, 256):
            latents, labels = (t[:rows] for t in ROWS)
            require_same_images(draw(latents, labels), made(latents, labels), "g")
    rounded_(made, least_values=256)
    smaller = with_int8_weights(onnx)
    require_same_images(from_onnx(smaller)(*ROWS), made(*ROWS), "g.onnx")
    assert len(smaller) < 0.6 * len(onnx), "weights take a quarter, the graph as much as before"
    line = costs("int8", smaller, from_onnx(smaller), make()(*ROWS), ROWS, lambda draw: 1.25)
    assert 0 < line.difference < 5, "rounded weights draw nearly the same"
    assert line.compressed <= line.size * 1.01
    assert "1.25" in described([line])


def test_a_file_that_draws_other_images_is_refused() -> None:
    images = drawing()(*ROWS)
    with pytest.raises(RunError, match=r"g\.onnx: the file draws other images .* up to 3 of 255 levels"):
        require_same_images(images.clamp(0, 200) + 3, images.clamp(0, 200), "g.onnx")


def test_pruning_zeroes_the_smallest_weights_of_each_layer_and_files_pack_better() -> None:
    layer = nn.Sequential(nn.Linear(10, 10))
    before = layer[0].weight.detach().clone()
    pruned_(layer, 0.3)
    gone = layer[0].weight == 0
    assert int(gone.sum()) == 30
    assert before[gone].abs().max() < before[~gone].abs().min()
    assert torch.equal(layer[0].weight[~gone], before[~gone])
    raw = [zlib.compress(w.detach().numpy().tobytes()) for w in (before, layer[0].weight)]
    assert len(raw[1]) < len(raw[0])
    with pytest.raises(ConfigError, match=r"--prune: 1\.5"):
        pruned_(layer, 1.5)


def test_rounded_weights_have_255_steps_an_output_and_keep_its_largest() -> None:
    layer = nn.Linear(300, 2)
    before = layer.weight.detach().clone()
    rounded_(layer, least_values=1)
    step = before.abs().amax(1, keepdim=True) / 127
    torch.testing.assert_close(layer.weight / step, (before / step).round(), rtol=0, atol=1e-4)
    assert ((layer.weight - before).abs() <= step / 2 + 1e-7).all()
    torch.testing.assert_close(layer.weight.abs().amax(1), before.abs().amax(1))


def test_a_smaller_generator_learns_to_draw_what_the_larger_one_draws() -> None:
    teacher, heard = drawing(), []
    net = NetConfig(name="dense", width=4, latent_dim=LATENT)
    learned = distilled(teacher, net, 8, 1, 150, seed=0, listen=lambda done, loss: heard.append((done, loss)))
    assert [done for done, _ in heard] == [100, 150]

    def apart(student: Drawing) -> float:
        return float((student(*ROWS).float() - teacher(*ROWS).float()).abs().mean())

    assert apart(learned) < 0.6 * apart(Drawing(build_generator(net, 8, 1, 3, seed=0)))
    count = [sum(p.numel() for p in d.parameters()) for d in (learned, teacher)]
    assert count[0] < 0.6 * count[1]
    again = distilled(teacher, net, 8, 1, 3, seed=0)(*ROWS)
    assert torch.equal(again, distilled(teacher, net, 8, 1, 3, seed=0)(*ROWS))


def test_classes_are_shown_as_far_as_the_generator_has_seen_them() -> None:
    made = drawing()
    latents, labels = ROWS
    half = Drawing(made.generator, shown=0.5)
    assert torch.equal(half.paint(latents, labels), made.generator(latents, 0.5 * one_hot(labels, 3)))


def test_a_target_or_an_option_that_cannot_be_is_refused_before_anything_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDirectory.open(str(tmp_path), "none")
    for target, how, said in (
        ("g.bin", Smaller(), "--out: 'g.bin' ends in neither"),
        ("g.pt2", Smaller(int8=True), "--int8: a .pt2 holds float32"),
    ):
        with pytest.raises(ConfigError, match=said):
            export_round(run, target, how, [], None, print)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"a \.onnx file needs a package .*\n.*distal\[export\]"):
        export_round(run, "g.onnx", Smaller(), [], None, print)
