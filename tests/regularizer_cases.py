"""What a step can be made of, in few cases that hold all of it, for the tests that hold each to the same claim."""

from typing import Any

from distal.losses.regularizers import REGULARIZERS

FAMILIES: dict[str, dict[str, float | None]] = {
    f"regularizers of {player}": {name: None for name in REGULARIZERS if REGULARIZERS.entries[name].player == player}
    for player in ("D", "G", "both")
}
"""Every regularizer at its default weight; each is a term of its own, so that a wrong one is named."""

OPTIONS: dict[str, dict[str, Any]] = {
    "pieces and phases": {
        "d_steps": 2,
        "accumulate": 2,
        "clip_norm": 0.1,
        "schedule": "cosine",
        "warmup_steps": 3,
        "model": {"balance": {"knob": "d_steps", "images": 128}},
    },
    "chosen rows": {
        "adversarial": "relativistic_average",
        "top_k": 0.5,
        "begun": 5000,
        "full_labels": True,
        "model": {"balance": {"knob": "learning_rate_d", "measure": "accuracy", "target": 0.1, "images": 128}},
    },
    "balanced augmentation": {"model": {"balance": {"knob": "augmentation", "target": 0.01, "images": 128}}},
    "chosen latents": {
        "adversarial": "hinge",
        "latents": "latent_optimization:0.5",
        "spectral_norm": True,
        "optimizer": "sgd",
        "learning_rate_g": 0.05,
        "learning_rate_d": 0.05,
    },
}
"""Keys of `training_case.config`, and `begun`, the number of updates that were made before."""
