# The few commands people need. Each starts from nothing: a fresh clone and a Python >= 3.10.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
export PYTHONDONTWRITEBYTECODE :=  # hundreds of processes read what the first has compiled; some machines write none

.PHONY: demo test check label-studio format clean
ARGS ?=

demo: $(STAMP)  ## run the default job on the embedded digits and write its report
	$(BIN)/distal run

test: $(STAMP)  ## all tests, in three processes on two cores: a third of the time they wait for Ray
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

check: $(STAMP)  ## lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

label-studio: $(STAMP)  ## label a run on a real Label Studio server, which is installed and started for it: ten minutes
	$(BIN)/python tests/by_hand/label_studio.py

results-%: $(STAMP) benchmarks/%.py  ## print a table of docs/results.md: make results-gate ARGS='magnetic_tile DATA OUT'
	$(BIN)/python benchmarks/$*.py $(ARGS)

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) runs build dist *.egg-info

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "distal needs Python >= 3.10; say which: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv --upgrade-deps $(VENV)  # an old pip takes twice as long for what follows
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	touch $@
