# Two commands for a newcomer: `make try` shows the whole tool on your machine, `make test` passes the tests.
# Both do all set-up themselves; they need Python 3.11 or newer and make, and a package index that pip can reach.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help try test check lint lock bench clean

help:  ## what can be made
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

try: $(VENV)/.try  ## record an agent, look at it, run it again offline, compare: no key, no network beyond this machine
	$(BIN)/spanreel try

test: $(VENV)/.dev  ## every check and every test
	$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest -n 2 $(ARGS)

check: lint
lint: $(VENV)/.dev  ## style, types, import rules, file sizes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/loq check .

lock:  ## pin the dependencies anew
	./requirements/lock.sh

clean:  ## remove the environment and caches
	rm -rf $(VENV) dist build .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "spanreel needs Python 3.11 or newer; say which with: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.try: requirements/try.txt pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes -r requirements/try.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes -r requirements/dev.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.try
