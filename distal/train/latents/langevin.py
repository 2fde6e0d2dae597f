"""Move latents along the slope of what D believes, with noise."""

from torch import Tensor

from distal.train.latents.selector import Draw, Feedback, normals, selector

STEP = 0.05
"""Epsilon of a move; the chain forgets where it began in some 1 / epsilon moves."""


@selector("ddls", "moves", default=60, low=1, high=10_000, ratio=True)
def ddls(z: Tensor, y: Tensor, feedback: Feedback, draw: Draw, moves: float) -> Tensor:
    """z - epsilon/2 grad E(z) + sqrt(epsilon) n, E(z) = |z|^2 / 2 - D(G(z)): Che et al. 2020.

    Langevin's dynamics in the latents' space, whose images then follow what D knows of the real ones.
    """
    for k in range(1, int(moves) + 1):
        _, slope = feedback.uphill(z, y)
        noise = normals(draw(f"ddls {k}", z.shape[1])).to(z)
        z = z - STEP / 2 * (z - slope) + STEP**0.5 * noise
    return z
