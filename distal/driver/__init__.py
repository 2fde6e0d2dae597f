"""The driver: prepare a run, start what it needs, serve what belongs to this process, hand out rounds."""
