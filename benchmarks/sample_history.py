"""Put the sample grids of some rounds of a run side by side: the pictures of README.md and docs/results.md.

python benchmarks/sample_history.py runs/digits docs/images/digits.png --rounds 1 3 5
"""

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

TITLE = "{labels} labels\ndistance {distance:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("picture")
    parser.add_argument("--rounds", nargs="+", type=int, default=[1, 3, 5])
    arguments = parser.parse_args()
    folders = [arguments.run / "rounds" / f"{number:04d}" for number in arguments.rounds]
    grids = [np.asarray(Image.open(folder / "samples.png").convert("RGB")) for folder in folders]
    height, width = grids[0].shape[:2]
    figure, axes = plt.subplots(1, len(grids), figsize=(3 * len(grids), 3 * height / width + 0.6), layout="constrained")
    for axis, folder, grid in zip(np.atleast_1d(axes), folders, grids, strict=True):
        metrics = json.loads((folder / "metrics.json").read_text())
        distance = next(s["value"] for s in metrics["scores"] if s["name"] == metrics["goal"] and s["class"] is None)
        axis.imshow(grid, interpolation="nearest")
        axis.set_title(TITLE.format(labels=metrics["labels"], distance=distance), fontsize=10)
        axis.set_axis_off()
    figure.savefig(arguments.picture, dpi=110)


if __name__ == "__main__":
    main()
