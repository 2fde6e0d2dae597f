"""Latents: drawn from named streams, and chosen by what D makes of their images, a way of choosing a file.

drawn                                      as they were drawn
truncation             truncation.py       nearer to the middle: surer images, fewer kinds
latent_optimization    optimization.py     moved one step towards what D believes; in training as well
rejection              rejection.py        drawn again until D would let the image pass
mh                     metropolis.py       the last of a chain of draws, moved by D's word
ddls                   langevin.py         moved along D's slope, with noise

Each but the first takes a number after a colon, as in `truncation:0.7`. A new one is a function under `selector`.
"""

from distal.train.latents import langevin, metropolis, optimization, rejection, truncation
from distal.train.latents.draws import (
    BLOCK,
    asked_latents,
    asked_uniforms,
    evaluation_latents,
    sample_latents,
    training_latents,
)
from distal.train.latents.selector import SELECTORS, Chosen, Draw, Feedback, Selector, find_selector, selector

__all__ = [
    "BLOCK",
    "SELECTORS",
    "Chosen",
    "Draw",
    "Feedback",
    "Selector",
    "asked_latents",
    "asked_uniforms",
    "evaluation_latents",
    "find_selector",
    "langevin",
    "metropolis",
    "optimization",
    "rejection",
    "sample_latents",
    "selector",
    "training_latents",
    "truncation",
]
