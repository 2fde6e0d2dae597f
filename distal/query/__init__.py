"""Choose what to ask: strategies by name, and their exact selection over shards.

random, entropy, margin, least_confidence    uncertainty.py    a score a row
coreset                                      coreset.py        k-center greedy
badge                                        badge.py          k-means++ over gradient embeddings
bald, power_bald, query_by_committee,        committee.py      a score a row, of the members' disagreement
    consensus_kl
epig, batchbald                              information.py    what tells most about other rows, or beside the picks
"""

from distal.query.badge import Badge
from distal.query.committee import bald, consensus_kl, power_bald, query_by_committee
from distal.query.coreset import Coreset
from distal.query.information import BatchBald, Epig
from distal.query.registry import (
    STRATEGIES,
    Strategy,
    as_strategy,
    batch_strategy,
    score_strategy,
    staged_strategy,
)
from distal.query.selection import LocalShards, Selection, ShardGroup, select
from distal.query.selector import Selector
from distal.query.staged import Staged
from distal.query.uncertainty import entropy, least_confidence, margin, random
from distal.query.view import NEEDS, Known, View

__all__ = [
    "NEEDS",
    "STRATEGIES",
    "Badge",
    "BatchBald",
    "Coreset",
    "Epig",
    "Known",
    "LocalShards",
    "Selection",
    "Selector",
    "ShardGroup",
    "Staged",
    "Strategy",
    "View",
    "as_strategy",
    "bald",
    "batch_strategy",
    "consensus_kl",
    "entropy",
    "least_confidence",
    "margin",
    "power_bald",
    "query_by_committee",
    "random",
    "score_strategy",
    "select",
    "staged_strategy",
]
