# Every target installs what it needs. Required: make, and python3 (3.11 or newer).
.DEFAULT_GOAL := help
SHELL := /bin/sh
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
RUN := $(UV) run --frozen
# Each worker takes whole files, whose tests share what takes long to make, and has one thread.
TESTS := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(RUN) pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile

.PHONY: help setup quickstart serve train ui test test-torture test-fast lint types format docs audit clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.ready  ## Install everything into .venv

quickstart: setup  ## Train on drawn shapes, measure, search: 2 minutes, no data to download
	$(RUN) python -m imtext.train experiment=quickstart
	$(RUN) imtext demo runs/demo

serve: setup  ## Serve the search page of your index: make serve ARGS="--open"
	$(RUN) imtext serve $(ARGS)

train: setup  ## Train on Flickr8K, or with other settings: make train ARGS="data=table data.path=my.csv"
	$(RUN) python -m imtext.train $(ARGS)

ui: setup  ## Show all runs in the browser: http://127.0.0.1:5000
	@mkdir -p runs
	$(RUN) mlflow ui --app-name imtext --backend-store-uri sqlite:///$(CURDIR)/runs/mlflow.db

test: setup lint types  ## All checks of CI: lint, types, all tests
	$(TESTS)

test-torture: setup  ## Kill, damage, fill up and overload all that runs; figures go to build/torture.txt
	@rm -f build/torture.txt
	IMTEXT_TORTURE=1 $(TESTS) --timeout=7200 tests/torture tests/test_processes.py

test-fast: setup  ## The tests that take seconds
	$(TESTS) -m "not slow"

lint: setup  ## Check the code style and the import rules
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) lint-imports --no-logo

types: setup  ## Check types
	$(RUN) mypy

format: setup  ## Fix what can be fixed, and format the code
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

docs: setup  ## Build the documentation into site/; warnings are errors
	@mkdir -p docs/reference
	$(RUN) python -m imtext.config.reference docs/reference/configuration.md
	$(RUN) python scripts/draw_architecture.py
	$(RUN) zensical build --strict

audit: setup  ## List all packages in dist/sbom.json; look their known holes up on the network
	@mkdir -p dist
	$(UV) export --quiet --frozen --all-extras --no-dev --format cyclonedx1.5 --output-file dist/sbom.json
	$(UV) export --quiet --frozen --all-extras --no-dev --no-emit-project --output-file dist/requirements.txt
	$(UV) tool run pip-audit --disable-pip --require-hashes --requirement dist/requirements.txt

clean:  ## Remove caches and builds; keep runs/
	rm -rf .cache .import_linter_cache .pytest_cache .mypy_cache .ruff_cache dist site
	find . -name __pycache__ -not -path './.venv/*' -exec rm -rf {} +

.venv/.ready: pyproject.toml | $(UV)
	$(UV) sync
	@touch $@

# pip --target works without a virtual environment, also if the distribution manages the system's Python.
.tools/bin/uv:
	@echo "Installing uv into .tools"
	@python3 -m pip install --quiet --disable-pip-version-check --target .tools uv || \
	  { python3 -m venv .tools && .tools/bin/python -m pip install --quiet uv; } || \
	  { echo "Cannot install uv: install python3-pip or python3-venv, or uv itself, and try again." >&2; exit 1; }
