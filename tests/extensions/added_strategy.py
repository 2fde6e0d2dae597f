"""A query strategy that a package could add: ask where the VAE of `vae_model` rebuilds an image worst."""

from torch import Tensor

from distal.query import View, score_strategy


@score_strategy("worst_rebuilt", needs=["rebuilt"])
def worst_rebuilt(view: View) -> Tensor:
    """Return the error that the model calls `rebuilt`, which distal knows nothing of."""
    return view.need("rebuilt")


@score_strategy("least_real", needs=["realism"])
def least_real(view: View) -> Tensor:
    """Ask what the discriminator of distal's own model believes least."""
    return -view.realism
