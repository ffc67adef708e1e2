# One virtual environment, made from pinned and hashed requirements; every target sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
# Files of tests side by side, each in order: most of their time goes by in waiting.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

.PHONY: help run setup setup-dev test test-fast test-crash check bench schemas lock clean

help:  ## Show what there is to do
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "paymux needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "This Python cannot make virtual environments; on Debian: apt-get install python3-venv"; exit 1; }

$(VENV)/.run: $(BIN)/python requirements.txt requirements-build.txt pyproject.toml
	@echo "Installing paymux into $(VENV) ..."
	@$(PIP) --require-hashes -r requirements-build.txt -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.txt tests/packages/harbour/pyproject.toml
	@$(PIP) --require-hashes -r requirements-dev.txt
	@$(PIP) --no-deps --no-build-isolation -e tests/packages/harbour
	@touch $@

setup: $(VENV)/.run  ## Make the virtual environment

setup-dev: $(VENV)/.dev  ## Make it with what tests and checks need

run: setup  ## Start paymux on an embedded PostgreSQL, data in ./paymux-data
	@exec $(BIN)/paymux serve

test: setup-dev  ## Pass every test
	@$(PYTEST)

test-fast: setup-dev  ## The tests that start no service
	@$(PYTEST) tests/unit tests/house

test-crash: setup-dev  ## The long form of the crash tests: minutes of kill -9
	@$(BIN)/python -m pytest -m crash tests/integration

check: setup-dev  ## Lint, types and the import contract
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup-dev  ## Measure against the bare database in the same run
	@$(BIN)/python -m benchmarks

schemas: setup-dev  ## Write the schemas of events to docs/reference/events
	@$(BIN)/python -m paymux.events.schemas docs/reference/events

lock:  ## Compile the requirements files from pyproject.toml (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade -q -o requirements.txt pyproject.toml
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade -q --group build -o requirements-build.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade -q -c requirements.txt --group dev -o requirements-dev.txt

clean:  ## Remove the virtual environment and caches, keep data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
