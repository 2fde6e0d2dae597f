from pathlib import Path

import pytest
import torch

from distal.communicator import Alone
from distal.features import FeatureRequest
from distal.features.pixels import build_pixels
from distal.run.artefacts import Folder


@pytest.mark.parametrize("channels", [1, 3])
def test_features_are_the_pixels_between_0_and_1(tmp_path: Path, channels: int) -> None:
    request = FeatureRequest(image_size=2, channels=channels, comm=Alone(), store=Folder(tmp_path))
    network = build_pixels(request)
    images = torch.arange(8 * channels, dtype=torch.uint8).reshape(2, channels, 2, 2) * 5
    features = network(images)
    assert (network.width, network.size, network.channels) == (4 * channels, None, None)
    torch.testing.assert_close(features, images.reshape(2, -1).float() / 255)


def test_another_number_of_pixels_is_another_network(tmp_path: Path) -> None:
    hashes = {
        build_pixels(FeatureRequest(image_size=side, channels=1, comm=Alone(), store=Folder(tmp_path))).hash
        for side in (8, 8, 16)
    }
    assert len(hashes) == 2
