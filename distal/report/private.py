"""Say what private training has spent, and what that promises: in `distal status` and on the report's page."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distal.report.collect import RunRecord

PROMISED = (
    "Whoever has the generator alone, its images, or the discriminator can tell by little more than this whether one "
    "image was among those that the discriminator was updated on, whatever else they know."
)
NOT_PROMISED = (
    "Not covered: which rows were chosen to be labeled, and so the numbers of labels; the probe, the features and all "
    "scores, losses and pictures of the run, this page among them; held-out images; several images of one person, "
    "which cost as many times the epsilon. The noise follows from the seed: give away images or an exported "
    "generator, never the run, its configuration or this page, and give each model that is given away a seed of its "
    "own."
)


def spent_line(privacy: Mapping[str, float]) -> str:
    """Return in one line what metrics.json says under `privacy`."""
    return (
        f"epsilon {privacy['epsilon_labeled']:.3g} for a labeled image, {privacy['epsilon_others']:.3g} for any other, "
        f"at delta {privacy['delta']:g}, after {int(privacy['updates']):,} private updates of the discriminator"
    )


def without_private_seed(text: str, config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a configuration, as text and as it was read, without the seed where private noise follows from it."""
    model = config.get("model")
    privacy = model.get("privacy") if isinstance(model, dict) else None
    if not isinstance(privacy, dict) or privacy.get("noise") is None:
        return text, config
    shown = re.sub(r"^seed:.*$", "seed: (not shown)", text, flags=re.MULTILINE)
    return shown, {name: value for name, value in config.items() if name != "seed"}


def private_view(record: "RunRecord") -> tuple[str, str, str] | None:
    """Return what was spent, what that promises, and what it does not; None where nothing is private."""
    spent = record.measured[-1][1].privacy if record.measured else {}
    return (spent_line(spent), PROMISED, NOT_PROMISED) if spent else None
