"""Show a person what a run did: `write_report` makes one self-contained page, `sample_grid` one PNG of samples."""

from distal.report.grid import sample_grid
from distal.report.write import write_report

__all__ = ["sample_grid", "write_report"]
