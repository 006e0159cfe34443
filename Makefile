# Two commands matter: `make test` and `make demo`. Each sets up what it needs in .venv.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv

.PHONY: help setup test test-system demo lint types bench lock clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(VENV)/.ready ## Create .venv from the hash-locked requirements

# uv comes first, itself hash-locked; then everything else at exactly the locked bytes.
$(VENV)/.ready: requirements.lock ci/bootstrap.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "gitops needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r ci/bootstrap.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

# Three workers on two cores: many tests wait for servers, which are processes of their own.
test: setup ## Run the whole test suite
	$(BIN)/python -m pytest -n 3 --dist worksteal --ignore=tests/system $(PYTEST_ARGS)

test-system: setup ## Run the GitLab pipelines, and the page in Chromium behind nginx; needs npm, and rsync, chromium, nginx or the right to install them
	command -v rsync >/dev/null || { apt-get update -qq && apt-get install -y -qq rsync; }
	command -v chromedriver >/dev/null && command -v chromium >/dev/null && PATH="$$PATH:/usr/sbin" command -v nginx >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium chromium-driver fonts-liberation nginx-light; }
	npm ci --silent --no-fund --no-audit --prefix tests/system
	$(BIN)/python -m pytest tests/system

demo: setup ## Play the main job: eleven merge requests, real data, a served model
	$(BIN)/python -m tests.demo

lint: setup ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## Check types
	$(BIN)/mypy

bench: setup ## Measure speed and memory, side by side; writes build/bench.json
	$(BIN)/python -m tests.bench

lock: setup ## Resolve the dependencies again
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --override ci/overrides.txt --all-extras --group dev pyproject.toml --output-file requirements.lock --custom-compile-command 'make lock'

clean: ## Remove what was built
	rm -rf $(VENV) build dist .gitops
