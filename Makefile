# Every target sets up what it needs; only python3 (3.11 or newer) and make have to be there.
.DEFAULT_GOAL := help
SHELL := /bin/sh
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
RUN := $(UV) run --frozen

.PHONY: help setup quickstart serve train ui test test-fast lint types format clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.ready  ## Install everything into .venv

quickstart: setup  ## Train on drawn shapes, measure, search: 2 minutes, no data to download
	$(RUN) python -m imtext.train experiment=quickstart
	$(RUN) imtext demo runs/demo

serve: setup  ## Open the page on what was indexed: make serve ARGS="--open"
	$(RUN) imtext serve $(ARGS)

train: setup  ## Train on Flickr8K, or what ARGS says: make train ARGS="data=table data.path=my.csv"
	$(RUN) python -m imtext.train $(ARGS)

ui: setup  ## Look at all runs in the browser: http://127.0.0.1:5000
	@mkdir -p runs
	$(RUN) mlflow ui --backend-store-uri sqlite:///$(CURDIR)/runs/mlflow.db

test: setup  ## Lint, types and all tests
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) pytest

test-fast: setup  ## The tests that take seconds
	$(RUN) pytest -m "not slow"

lint: setup  ## Look for mistakes
	$(RUN) ruff check .
	$(RUN) ruff format --check .

types: setup  ## Check types
	$(RUN) mypy

format: setup  ## Put code into shape
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

clean:  ## Remove caches and builds; runs/ stays
	rm -rf .pytest_cache .mypy_cache .ruff_cache dist
	find . -name __pycache__ -not -path './.venv/*' -exec rm -rf {} +

.venv/.ready: pyproject.toml | $(UV)
	$(UV) sync --all-extras
	@touch $@

# pip with --target works where the system's Python may not be touched, and without a virtual environment.
.tools/bin/uv:
	@echo "Installing uv into .tools"
	@python3 -m pip install --quiet --disable-pip-version-check --target .tools uv || \
	  { python3 -m venv .tools && .tools/bin/python -m pip install --quiet uv; } || \
	  { echo "Cannot install uv: install python3-pip or python3-venv, or uv itself, and try again." >&2; exit 1; }
