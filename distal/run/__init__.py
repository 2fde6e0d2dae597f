"""The run directory: files and commits, whole and sealed, one driver at a time, locally or on an object store."""
