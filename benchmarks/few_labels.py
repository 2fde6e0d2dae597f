"""Say whether a class of one, two or four labeled images is drawn as copies of these, by the models that encode.

    python benchmarks/few_labels.py [--labels 1 2 4] [--updates 500]

Digits. Near: the median distance, in pixels, of 100 images drawn of a class to the nearest labeled image of it, over
that of the class's other real images; 0 is a copy. Varied: the variance of the images drawn of a class over that of its
real ones. Both are means over the classes.
"""

import argparse

import numpy as np
import torch
from held_images import HeldImages
from machine import describe_machine

from distal.communicator import Alone
from distal.data.digits import load_digits
from distal.models import MODELS
from distal.resolve import parse_config
from distal.train import TrainingRows, train_round

CLASSES, DRAWN = 10, 100
MODEL_SECTIONS = {
    "vae, from all over the prior": {"kind": "vae"},
    "vae, code_spread 1": {"kind": "vae", "code_spread": 1.0},
    "autoencoder": {"kind": "autoencoder"},
}


def near_and_varied(section: dict[str, object], each: int, updates: int) -> tuple[float, float]:
    scans, labels = load_digits()
    order = np.random.default_rng(0).permutation(len(labels))
    ids = np.sort(np.concatenate([order[labels[order] == label][:each] for label in range(CLASSES)]))
    rows = TrainingRows(HeldImages(scans[:, None]), len(scans), np.zeros(0, np.int64), None, ids, labels[ids], seed=0)
    config = parse_config({"seed": 0, "model": section})
    model, _ = train_round(MODELS.find(config.model.kind).create(config, 8, 1, CLASSES), rows, Alone(), updates)
    asked = torch.arange(CLASSES).repeat_interleave(DRAWN)
    latents = torch.randn(len(asked), config.net.latent_dim, generator=torch.Generator().manual_seed(1))
    images = torch.split(model.generate(latents, asked).float().flatten(1), DRAWN)
    every, known = torch.from_numpy(scans).float().flatten(1), torch.zeros(len(scans), dtype=torch.bool)
    known[ids] = True
    near, varied = [], []
    for label, drawn in enumerate(images):
        mine = torch.from_numpy(labels == label)
        labeled, others = every[mine & known], every[mine & ~known]
        near.append(torch.cdist(drawn, labeled).amin(1).median() / torch.cdist(others, labeled).amin(1).median())
        varied.append(drawn.var(0).sum() / others.var(0).sum())
    return float(torch.stack(near).mean()), float(torch.stack(varied).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--updates", type=int, default=500)
    arguments = parser.parse_args()
    print(describe_machine())
    print("| labels of each class | model | near | varied |\n| --- | --- | --- | --- |")
    for each in arguments.labels:
        for name, section in MODEL_SECTIONS.items():
            near, varied = near_and_varied(section, each, arguments.updates)
            print(f"| {each} | {name} | {near:.2f} | {varied:.2f} |", flush=True)


if __name__ == "__main__":
    main()
