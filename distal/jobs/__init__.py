"""Send runs and sweeps to a Ray cluster as jobs: pack them, hand them to the job server, follow them."""
