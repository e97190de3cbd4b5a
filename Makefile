# make verify   set everything up and run the main job        make test    set everything up and run the checks
# make clean    remove what was made here (not the runs)      make format  lay the code out as the checks want it
# make docs     build the site into docs/_build/html   make docs-links  ask the network whether its links lead somewhere
# make bench    time it beside its peers: benchmarks/results.md
# make test-rounding  the tests that rounding could sway, as another processor computes
# make test-oldest    all tests with the oldest Python and the lowest versions that setup.cfg declares
# Paths are relative throughout, so a space in the checkout's path does no harm.
PYTHON ?= python3
OLDEST ?= python3.10
BIN := .venv/bin
RUN := $(BIN)/python -m ufm
RUNS ?= runs
SPHINX := $(BIN)/python -m sphinx --fail-on-warning --keep-going --nitpicky --doctree-dir docs/_build/doctrees
# pip shows its progress to a terminal and keeps quiet elsewhere.
INSTALL = $(BIN)/python -m pip install --disable-pip-version-check $(shell test -t 2 || echo --quiet)

.PHONY: verify test test-rounding test-oldest format docs docs-links bench clean
.DELETE_ON_ERROR:

verify: .venv/ready
	$(RUN) verify --rigorous --json $(RUNS)/verify.json
	$(RUN) verify --model all
	$(RUN) train --name first-light --runs $(RUNS) --force
	$(RUN) validate $(RUNS)/first-light --theorems
	$(RUN) figures $(RUNS)/first-light
	$(RUN) report $(RUNS)/first-light --verdicts $(RUNS)/verify.json

test: .venv/ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest -n 2 --dist worksteal

# tests/elsewhere/rounding.py says what these settings change; any tests and any ROUNDING go.
ROUNDING ?= 1
SWAYED ?= tests/test_elsewhere.py $(wildcard $(patsubst %,tests/ufm/%/test_*.py,certificates models spectra) \
  $(patsubst %,tests/ufm/%.py,atlas/test_symmetry closed_forms/test_closed_form closed_forms/test_mean_square \
  losses/test_losses losses/test_own proofs/test_enclosure proofs/test_followed proofs/test_krawczyk \
  proofs/test_rigorous solvers/test_bias solvers/test_sharpen solvers/test_solver theorems/test_rigorous_theorems \
  traps/test_traps))
test-rounding: .venv/ready-test
	ATEN_CPU_CAPABILITY=default UFM_ROUNDING=$(ROUNDING) PYTHONPATH=tests/elsewhere $(BIN)/python -m pytest -n 2 --dist worksteal $(SWAYED)

test-oldest .venv-oldest/ready: BIN := .venv-oldest/bin
test-oldest: .venv-oldest/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal

format: .venv/ready-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/ready-docs
	$(SPHINX) -b html docs docs/_build/html
	@echo docs/_build/html/index.html

docs-links: .venv/ready-docs
	UFM_DOCS_GALLERY=skip $(SPHINX) -b linkcheck docs docs/_build/linkcheck

bench: .venv/ready-bench
	$(BIN)/python -m benchmarks

.venv/ready: setup.cfg pyproject.toml | .venv/bin/python
	@echo "setting up .venv: about 5 GB and a few minutes, once"
	$(INSTALL) --editable .
	touch .venv/ready

.venv/ready-test: .venv/ready
	$(INSTALL) --editable ".[test]"
	touch .venv/ready-test

.venv/ready-docs: .venv/ready
	$(INSTALL) --editable ".[docs]"
	touch .venv/ready-docs

.venv/ready-bench: .venv/ready
	$(INSTALL) --editable ".[bench]"
	touch .venv/ready-bench

.venv-oldest/ready: setup.cfg pyproject.toml
	$(OLDEST) -m venv --clear .venv-oldest || { echo "name a Python 3.10 with make OLDEST=/path/to/python3.10"; exit 2; }
	sed -n 's/^    \(.*\)>=/\1==/p' setup.cfg > .venv-oldest/lowest.txt
	$(INSTALL) --constraint .venv-oldest/lowest.txt --editable ".[test]"
	touch .venv-oldest/ready

.venv/bin/python:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 10))" || \
	  { echo "ufm needs Python >= 3.10; name one with make PYTHON=/path/to/python3"; exit 2; }
	$(PYTHON) -m venv .venv || \
	  { rm -rf .venv; echo "no venv: install your system's python3-venv package, or name another PYTHON"; exit 2; }

clean:
	rm -rf .venv .venv-oldest .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis *.egg-info docs/_build docs/gallery
