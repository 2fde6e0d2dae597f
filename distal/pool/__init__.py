"""The unlabeled pool: shards that score their rows, and the Ray actors that hold them."""
