# Everything a newcomer or a CI job needs; `make` alone lists it. Needs Python >= 3.11 with venv, nothing else.

PYTHON ?= python3
AIRFLOW ?= 3.3.2
VENV ?= .venv

BIN := $(VENV)/bin
DOCS := .venvs/docs
BENCH := .venvs/bench
INSTALL := $(BIN)/python constraints/install.py --airflow $(AIRFLOW)
SOURCES := airflow_provider_kognitos dags_examples sandbox tests constraints compose benchmarks docs/roles.py noxfile.py

# Pins and what the package asks for: a change of either installs anew.
PINS := pyproject.toml constraints/install.py $(wildcard constraints/airflow-$(AIRFLOW)-*.txt)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv demo standalone test test-matrix lint types unit e2e ui smoke lineage deaths storm bench coverage build docs docs-serve constraints clean
MAKEFLAGS += --no-print-directory

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "  make %-12s %s\n", $$1, $$2 }'

demo: $(VENV)/.demo ## a real Airflow runs the invoice DAG against the local emulator, and prints what came out
	@$(BIN)/python -m sandbox.demo

standalone: $(VENV)/.demo ## Airflow with its web UI, the emulator and all example DAGs, until Ctrl-C
	@$(BIN)/python -m sandbox.standalone

venv: $(VENV)/.dev ## virtual environment with everything for development, in .venv

test: ## lint, types, unit and end-to-end tests, coverage of at least 95 %
	$(MAKE) lint
	$(MAKE) types
	$(BIN)/python -m coverage erase
	$(MAKE) unit
	$(MAKE) e2e
	$(MAKE) coverage

lint: $(VENV)/.dev ## ruff: rules and format
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: $(VENV)/.dev ## mypy, strict on the package
	$(BIN)/mypy

unit: $(VENV)/.dev ## unit tests: HTTP over a real socket, no Airflow services
	$(BIN)/python -m coverage run -m pytest -m "not e2e and not ui"

e2e: $(VENV)/.dev ## end-to-end tests: scheduler, triggerer, DAG processor and API server as real processes
	$(BIN)/python -m coverage run -m pytest -m e2e tests/e2e

test-matrix: $(VENV)/.dev ## unit and end-to-end tests on every supported Airflow
	$(BIN)/nox --session tests

ui: $(VENV)/.dev ## Airflow's web UI in a real Chromium; SCREENSHOTS=docs/images takes the documentation's pictures anew
	KOGNITOS_SCREENSHOTS=$(SCREENSHOTS) $(BIN)/python -m pytest -m ui tests/ui

smoke: $(VENV)/.dev ## on every older Airflow: provider info, DAG files, a deferred run, a retry
	$(BIN)/nox --session smoke

lineage: $(VENV)/.dev ## what runs tell OpenLineage, with its provider installed
	$(BIN)/nox --session lineage

deaths: $(VENV)/.dev ## the table of what happens when things die, played on every supported Airflow
	$(BIN)/nox --session deaths deaths_table

storm: $(VENV)/.dev ## 500 runs while the service fails and processes die; STORM="--runs 60 --seed 7" for others
	$(BIN)/python -m benchmarks.storm $(STORM)

bench: $(BENCH)/.bench $(VENV)/.dev ## what waiting costs, beside other providers, into benchmarks/RESULTS.md; ten minutes
	PYTHON_WITHOUT_OTHERS=$(abspath $(BIN)/python) $(BENCH)/bin/python -m benchmarks.bench

coverage: $(VENV)/.dev ## report on the lines and branches that the tests have run; fails below 95 %
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --fail-under=95

build: $(VENV)/.dev ## wheel and source archive in dist/, checked
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

docs: $(DOCS)/.docs ## the documentation, in build/site; a warning fails it
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build

docs-serve: $(DOCS)/.docs ## the documentation, served on loopback and built anew when it changes
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs serve

constraints: ## pin anew what is installed, for this PYTHON and this AIRFLOW
	$(PYTHON) constraints/renew.py --airflow $(AIRFLOW)

clean: ## remove everything made here
	rm -rf $(VENV) .nox .venvs .airflow dist build .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, but $(PYTHON) is: $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name another one, such as: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(PINS) | $(BIN)/python
	@$(INSTALL) emulator
	@touch $@

$(VENV)/.dev: $(PINS) | $(BIN)/python
	@$(INSTALL) dev
	@touch $@ $(VENV)/.demo

$(DOCS)/.docs: constraints/docs.txt
	$(PYTHON) -m venv $(DOCS)
	@$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check --requirement constraints/docs.txt
	@touch $@

$(BENCH)/.bench: constraints/bench.txt pyproject.toml
	$(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --requirement constraints/bench.txt
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@
