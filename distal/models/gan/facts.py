"""Say in a checkpoint's manifest what its networks are besides their sizes, and refuse a checkpoint of other ones."""

from typing import Any

from distal.config import Config
from distal.errors import RunError
from distal.nets import Discriminator, Generator
from distal.train.checkpoint import Checkpoint


def facts_of_networks(G: Generator, D: Discriminator) -> dict[str, Any]:
    """Return the hash of what D looks through, and whether G has an encoder; what is not there is not said."""
    frozen = {} if D.frozen_hash is None else {"frozen": D.frozen_hash}
    return frozen if G.encoder is None else frozen | {"encoder": True}


def require_same(saved: Checkpoint, config: Config, G: Generator, D: Discriminator) -> None:
    """Raise RunError where the checkpoint's facts are not those of these networks."""
    if saved.manifest.get("frozen") != D.frozen_hash:
        raise RunError(
            f"checkpoint: its discriminator looked through weights {str(saved.manifest.get('frozen'))[:8]}..., "
            f"net.backbone={config.net.backbone} has {str(D.frozen_hash)[:8]}... here.\n"
            "Install the versions of distal and of the package of weights that the run began with."
        )
    if bool(saved.manifest.get("encoder")) != (G.encoder is not None):
        here, then = ("above 0", "0, or by an older distal") if G.encoder is not None else ("0", "above 0")
        raise RunError(
            f"checkpoint: model.reconstruction is {here} here, and it was written with {then}.\n"
            "Resume with the run's own, or start a new run."
        )
