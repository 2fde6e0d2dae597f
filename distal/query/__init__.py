"""Choose what to ask: strategies by name, and their exact selection over shards.

random, entropy, margin, least_confidence    uncertainty.py    a score a row
coreset                                      coreset.py        k-center greedy
badge                                        badge.py          k-means++ over gradient embeddings
search                                       search.py         the likeliest of rare classes, and audits
facility_location, max_herding, uherding,
probcover                                    covering.py       coverage of the pool by balls of some shape
density, graph_cut                           mass.py           dense regions of the pool
kmeans, typiclust                            cluster.py        one row for each cluster
realism, d_uncertainty, gold, ldr_mean,
ldr_variance, coverage                       generative.py     what the generator falls short of, by D
fid_gradient                                 fid_gradient.py   slope of the Frechet distance in a row
bald, power_bald, query_by_committee,        committee.py      a score a row, of the members' disagreement
    consensus_kl
epig, batchbald                              information.py    what tells most about other rows, or beside the picks
galaxy, direct                               rare.py           around the threshold of each class
cluster_margin, drop_query                   spread.py         unsure rows, spread over clusters of them
0.5*NAME+0.5*NAME, per_cost:NAME             ranks.py          ranks added up, and by expected cost
class_balanced:NAME                          balanced.py       a quota a predicted class, around any strategy
active_lab                                   annotators.py     a function: which row deserves another answer
auto                                         phases.py         search, then refine, by the labels so far

recall.py says how much of a class is found, synthesis.py chooses among images that the generator draws.
"""

from distal.query.annotators import active_lab
from distal.query.badge import Badge
from distal.query.balanced import class_balanced
from distal.query.cluster import KMeans, TypiClust
from distal.query.committee import bald, consensus_kl, power_bald, query_by_committee
from distal.query.coreset import Coreset
from distal.query.covering import FacilityLocation, MaxHerding, ProbCover, UHerding
from distal.query.fid_gradient import fid_gradient
from distal.query.generative import coverage, d_uncertainty, gold, ldr_mean, ldr_variance, realism
from distal.query.information import BatchBald, Epig
from distal.query.mass import Density, GraphCut
from distal.query.phases import Phase, choose_phase
from distal.query.ranks import per_cost, weighted
from distal.query.rare import Direct, Galaxy
from distal.query.recall import Asked, RecallEstimate, count_odds, enough_found, estimate_recall
from distal.query.registry import (
    STRATEGIES,
    Strategy,
    as_strategy,
    batch_strategy,
    score_strategy,
    staged_strategy,
)
from distal.query.search import Search
from distal.query.selection import LocalShards, Selection, ShardGroup, select
from distal.query.selector import Selector
from distal.query.spread import ClusterMargin, DropQuery
from distal.query.staged import Staged
from distal.query.uncertainty import entropy, least_confidence, margin, random
from distal.query.view import NEEDS, Known, View

__all__ = [
    "NEEDS",
    "STRATEGIES",
    "Asked",
    "Badge",
    "BatchBald",
    "ClusterMargin",
    "Coreset",
    "Density",
    "Direct",
    "DropQuery",
    "Epig",
    "FacilityLocation",
    "Galaxy",
    "GraphCut",
    "KMeans",
    "Known",
    "LocalShards",
    "MaxHerding",
    "Phase",
    "ProbCover",
    "RecallEstimate",
    "Search",
    "Selection",
    "Selector",
    "ShardGroup",
    "Staged",
    "Strategy",
    "TypiClust",
    "UHerding",
    "View",
    "active_lab",
    "as_strategy",
    "bald",
    "batch_strategy",
    "choose_phase",
    "class_balanced",
    "consensus_kl",
    "count_odds",
    "coverage",
    "d_uncertainty",
    "enough_found",
    "entropy",
    "estimate_recall",
    "fid_gradient",
    "gold",
    "ldr_mean",
    "ldr_variance",
    "least_confidence",
    "margin",
    "per_cost",
    "power_bald",
    "query_by_committee",
    "random",
    "realism",
    "score_strategy",
    "select",
    "staged_strategy",
    "weighted",
]
