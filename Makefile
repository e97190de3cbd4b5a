# make verify   set everything up and run the main job        make test    set everything up and run the checks
# make clean    remove what was made here (not the runs)      make format  lay the code out as the checks want it
# make bench    time it beside its peers: benchmarks/results.md
# Paths are relative throughout, so a space in the checkout's path does no harm.
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python -m cli
RUNS ?= runs
# pip shows its progress to a terminal and keeps quiet elsewhere.
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check $(shell test -t 2 || echo --quiet)

.PHONY: verify test format bench clean
.DELETE_ON_ERROR:

verify: .venv/ready
	$(RUN) verify --rigorous --json $(RUNS)/verify.json
	$(RUN) train --name first-light --runs $(RUNS) --force
	$(RUN) validate $(RUNS)/first-light --theorems
	$(RUN) figures $(RUNS)/first-light
	$(RUN) report $(RUNS)/first-light --verdicts $(RUNS)/verify.json

test: .venv/ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2

format: .venv/ready-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/ready-bench
	$(BIN)/python -m benchmarks

.venv/ready: setup.cfg pyproject.toml | .venv/bin/python
	@echo "setting up .venv: about 5 GB and a few minutes, once"
	$(INSTALL) --editable .
	touch .venv/ready

.venv/ready-test: .venv/ready
	$(INSTALL) --editable ".[test]"
	touch .venv/ready-test

.venv/ready-bench: .venv/ready
	$(INSTALL) --editable ".[bench]"
	touch .venv/ready-bench

.venv/bin/python:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 10))" || \
	  { echo "ufm needs Python >= 3.10; name one with make PYTHON=/path/to/python3"; exit 2; }
	$(PYTHON) -m venv .venv || \
	  { rm -rf .venv; echo "no venv: install your system's python3-venv package, or name another PYTHON"; exit 2; }

clean:
	rm -rf .venv .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
