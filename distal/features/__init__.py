"""Look at images through frozen networks, each named, hashed and in a file of its own."""

from distal.features.network import FeatureNetwork, FeatureRequest, PoolSample
from distal.features.registry import FEATURES, check_network, network_name

__all__ = ["FEATURES", "FeatureNetwork", "FeatureRequest", "PoolSample", "check_network", "network_name"]
