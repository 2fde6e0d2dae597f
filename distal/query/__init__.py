"""Choose what to ask: strategies by name, and their exact selection over shards.

random, entropy, margin, least_confidence    uncertainty.py    a score a row
coreset                                      coreset.py        k-center greedy
badge                                        badge.py          k-means++ over gradient embeddings
bald, power_bald, query_by_committee,        committee.py      a score a row, of the members' disagreement
    consensus_kl
epig, batchbald                              information.py    what tells most about other rows, or beside the picks
galaxy, direct                               rare.py           around the threshold of each class
cluster_margin, drop_query                   spread.py         unsure rows, spread over clusters of them
0.5*NAME+0.5*NAME, per_cost:NAME             ranks.py          ranks added up, and by expected cost
class_balanced:NAME                          balanced.py       a quota a predicted class, around any strategy
active_lab                                   annotators.py     a function: which row deserves another answer
"""

from distal.query.annotators import active_lab
from distal.query.badge import Badge
from distal.query.balanced import class_balanced
from distal.query.committee import bald, consensus_kl, power_bald, query_by_committee
from distal.query.coreset import Coreset
from distal.query.information import BatchBald, Epig
from distal.query.ranks import per_cost, weighted
from distal.query.rare import Direct, Galaxy
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
from distal.query.spread import ClusterMargin, DropQuery
from distal.query.staged import Staged
from distal.query.uncertainty import entropy, least_confidence, margin, random
from distal.query.view import NEEDS, Known, View

__all__ = [
    "NEEDS",
    "STRATEGIES",
    "Badge",
    "BatchBald",
    "ClusterMargin",
    "Coreset",
    "Direct",
    "DropQuery",
    "Epig",
    "Galaxy",
    "Known",
    "LocalShards",
    "Selection",
    "Selector",
    "ShardGroup",
    "Staged",
    "Strategy",
    "View",
    "active_lab",
    "as_strategy",
    "bald",
    "batch_strategy",
    "class_balanced",
    "consensus_kl",
    "entropy",
    "least_confidence",
    "margin",
    "per_cost",
    "power_bald",
    "query_by_committee",
    "random",
    "score_strategy",
    "select",
    "staged_strategy",
    "weighted",
]
