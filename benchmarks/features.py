"""Time efficientnet_lite0 beside a plain batched loop over the published network, on the same images in one process.

    pip install --target /tmp/ref --no-deps efficientnet-lite-pytorch==0.1.0
    PYTHONPATH=/tmp/ref python benchmarks/features.py [--threads 1] [--size 128] [--batch 64] [--rows 128] [--repeats 9]

From uint8 images to features. Passes alternate, so that a busy machine slows all; the figures are medians and the ratio
of medians, and the least and the greatest ratio of passes that ran beside each other.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable

import torch
from efficientnet_lite_pytorch import EfficientNet
from machine import describe_machine
from torch import Tensor

from distal.communicator import Alone
from distal.features import FEATURES, FeatureNetwork, FeatureRequest
from distal.nets.efficientnet import weights_file
from distal.run.artefacts import Folder

BAR = 0.9
PLAIN = "published, plain loop"


def published(memory_format: torch.memory_format) -> Callable[[Tensor], Tensor]:
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(weights_file(), weights_only=True))
    network.eval().to(memory_format=memory_format)

    @torch.inference_mode()
    def features(images: Tensor) -> Tensor:
        x = ((images.float() - 127) / 128).contiguous(memory_format=memory_format)
        return network.extract_features(x).mean((2, 3))

    return features


def ours(size: int, gains: bool) -> FeatureNetwork:
    with tempfile.TemporaryDirectory() as folder:
        request = FeatureRequest(image_size=size, channels=3, comm=Alone(), store=Folder(folder), gains=gains)
        return FEATURES.find(f"efficientnet_lite0:{size}")(request)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(describe_machine())
    shape = (arguments.rows, 3, arguments.size, arguments.size)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    ways = {
        PLAIN: published(torch.contiguous_format),
        "published, channels-last": published(torch.channels_last),
        "distal, fp32": ours(arguments.size, gains=False),
        "distal, bf16": ours(arguments.size, gains=True),
    }
    expected = ways[PLAIN](images)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(arguments.repeats + 1):
        for name, features in ways.items():
            started = time.perf_counter()
            for part in torch.split(images, arguments.batch):
                features(part)
            if repeat:
                seconds[name].append(time.perf_counter() - started)
    print("| way | images/s | ratio (least to greatest) | least cosine with the published features |")
    print("| --- | --- | --- | --- |")
    for name, features in ways.items():
        ratios = [plain / taken for plain, taken in zip(seconds[PLAIN], seconds[name], strict=True)]
        ratio = statistics.median(seconds[PLAIN]) / statistics.median(seconds[name])
        cosine = float(torch.cosine_similarity(features(images), expected).min())
        rate = arguments.rows / statistics.median(seconds[name])
        print(f"| {name} | {rate:.0f} | {ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | {cosine:.6f} |")
    worst = min(statistics.median(seconds[PLAIN]) / statistics.median(v) for k, v in seconds.items() if "distal" in k)
    print(f"distal is at least {worst:.2f} x the plain loop; the bar is {BAR}: {'met' if worst >= BAR else 'MISSED'}")


if __name__ == "__main__":
    main()
