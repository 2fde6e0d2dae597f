"""The metrics ``human_error`` and ``human_class_error``: how often people who judge generated images are wrong.

Nothing measures them in a round: people judge on the page of `distal judge` after its commit, whenever they have time,
and whoever reads the round's result finds what they said (`distal.run.judgements`).
"""

from distal.metrics.metric import Metric

HUMAN_ERROR = Metric(
    "human_error",
    "Taken for real by people",
    better="higher",
    function=lambda e: (),
    needs=frozenset({"people"}),
    share=True,
)

HUMAN_CLASS_ERROR = Metric(
    "human_class_error",
    "Taken by people for none of its class",
    better="lower",
    function=lambda e: (),
    needs=frozenset({"people"}),
    share=True,
)
