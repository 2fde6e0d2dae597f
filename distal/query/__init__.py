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
"""

from distal.query.badge import Badge
from distal.query.cluster import KMeans, TypiClust
from distal.query.coreset import Coreset
from distal.query.covering import FacilityLocation, MaxHerding, ProbCover, UHerding
from distal.query.fid_gradient import fid_gradient
from distal.query.generative import coverage, d_uncertainty, gold, ldr_mean, ldr_variance, realism
from distal.query.mass import Density, GraphCut
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
    "Badge",
    "Coreset",
    "Density",
    "FacilityLocation",
    "GraphCut",
    "KMeans",
    "Known",
    "LocalShards",
    "MaxHerding",
    "ProbCover",
    "Search",
    "Selection",
    "Selector",
    "ShardGroup",
    "Strategy",
    "TypiClust",
    "UHerding",
    "View",
    "as_strategy",
    "batch_strategy",
    "coverage",
    "d_uncertainty",
    "entropy",
    "fid_gradient",
    "gold",
    "ldr_mean",
    "ldr_variance",
    "least_confidence",
    "margin",
    "random",
    "realism",
    "score_strategy",
    "select",
]
