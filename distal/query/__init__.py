"""Choose what to ask: strategies by name, and their exact selection over shards.

random, entropy, margin, least_confidence    uncertainty.py    a score a row
coreset                                      coreset.py        k-center greedy
badge                                        badge.py          k-means++ over gradient embeddings
search                                       search.py         the likeliest of rare classes, and audits

recall.py says how much of a class is found, phases.py which of these strategies runs next.
"""

from distal.query.badge import Badge
from distal.query.coreset import Coreset
from distal.query.phases import Phase, choose_phase
from distal.query.recall import Asked, RecallEstimate, count_odds, enough_found, estimate_recall
from distal.query.registry import (
    STRATEGIES,
    Strategy,
    as_strategy,
    batch_strategy,
    score_strategy,
)
from distal.query.search import Search
from distal.query.selection import LocalShards, Selection, ShardGroup, select
from distal.query.selector import Selector
from distal.query.uncertainty import entropy, least_confidence, margin, random
from distal.query.view import NEEDS, Known, View

__all__ = [
    "NEEDS",
    "STRATEGIES",
    "Asked",
    "Badge",
    "Coreset",
    "Known",
    "LocalShards",
    "Phase",
    "RecallEstimate",
    "Search",
    "Selection",
    "Selector",
    "ShardGroup",
    "Strategy",
    "View",
    "as_strategy",
    "batch_strategy",
    "choose_phase",
    "count_odds",
    "enough_found",
    "entropy",
    "estimate_recall",
    "least_confidence",
    "margin",
    "random",
    "score_strategy",
    "select",
]
