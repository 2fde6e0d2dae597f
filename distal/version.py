"""The version of distal, importable where nothing is installed, as from a job's working directory."""

__version__ = "0.1.0"
