"""Show a person what a run did: `write.write_report` makes one self-contained page, `grid.sample_grid` one PNG."""
