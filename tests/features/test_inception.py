import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from distal.communicator import Alone
from distal.errors import ConfigError, EvaluationError
from distal.features import FeatureRequest
from distal.features.inception import build_inception
from distal.run.artefacts import Folder


class LikeNvidias(torch.nn.Module):
    """Take uint8 RGB; give logits, or features on request."""

    def forward(self, images: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        if return_features:
            return images.float().mean((2, 3))
        return images.float().flatten(1)


class Plain(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.float().amax((2, 3)).unsqueeze(2)


class Nested(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.float().mean()


GREY = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (5, 1, 8, 8), dtype=np.uint8))


def request(path: str | None, store: Path) -> FeatureRequest:
    return FeatureRequest(image_size=8, channels=1, comm=Alone(), store=Folder(store), path=path)


def saved(module: torch.nn.Module, path: Path) -> str:
    torch.jit.save(torch.jit.script(module), str(path))
    return str(path)


def test_nvidias_call_convention_gives_features_of_grey_images_tiled(tmp_path: Path) -> None:
    path = saved(LikeNvidias(), tmp_path / "inception.pt")
    extractor = build_inception(request(path, tmp_path))
    torch.testing.assert_close(extractor(GREY), GREY.float().mean((2, 3)).expand(-1, 3))
    assert (extractor.name, extractor.width, extractor.size, extractor.channels) == ("inception", 3, 299, 3)
    assert extractor.hash == hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_another_module_is_called_with_the_images_alone(tmp_path: Path) -> None:
    extractor = build_inception(request(saved(Plain(), tmp_path / "plain.pt"), tmp_path))
    torch.testing.assert_close(extractor(GREY), GREY.float().amax((2, 3)).expand(-1, 3))


def test_a_url_is_fetched_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import urllib.request

    data = Path(saved(Plain(), tmp_path / "plain.pt")).read_bytes()
    fetched = []

    def urlopen(url: str, timeout: float) -> io.BytesIO:
        fetched.append(url)
        return io.BytesIO(data)

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    hashes = {build_inception(request("https://example.org/i.pt", tmp_path / "store")).hash for _ in range(2)}
    assert hashes == {hashlib.sha256(data).hexdigest()}
    assert fetched == ["https://example.org/i.pt"]


def test_offline_the_error_names_the_option_and_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"evaluate\.extractor_path=http://127\.0\.0\.1:9/i\.pt") as caught:
        build_inception(request("http://127.0.0.1:9/i.pt", tmp_path))
    assert "pool-cnn" in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 3


def test_without_a_path_the_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"evaluate\.extractor_path"):
        build_inception(request(None, tmp_path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="No such file"):
        build_inception(request(str(tmp_path / "none.pt"), tmp_path))


def test_a_file_that_is_no_torchscript_is_refused(tmp_path: Path) -> None:
    torch.save({"weights": 1}, tmp_path / "pickle.pt")
    with pytest.raises(EvaluationError, match="not a TorchScript module"):
        build_inception(request(str(tmp_path / "pickle.pt"), tmp_path))


def test_a_module_without_one_vector_an_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="one feature vector an image"):
        build_inception(request(saved(Nested(), tmp_path / "nested.pt"), tmp_path))
