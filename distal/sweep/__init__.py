"""Search strategies, weights and anything else in the configuration with whole runs, and give up the hopeless ones."""
