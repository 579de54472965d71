# Everything runs in .venv, which `make install` builds from requirements.lock.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
DATA   ?=
SYMBOL ?=

export PYTHONSAFEPATH := 1
export PYTHONPATH := $(CURDIR)
export TICKPATH_ROOT := $(CURDIR)

.DEFAULT_GOAL := help
.PHONY: help install servers demo up test test-all proof check bench docs lock clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | column -t -s '|'

install: $(STAMP)  ## create .venv with the locked versions

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' \
	  || { echo "tickpath needs Python 3.11 or 3.12; set PYTHON=... to one"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(STAMP)

servers: install  ## fetch ClickHouse, PostgreSQL and Redis from Debian for the tests, where missing
	@$(BIN)/python -m storage.servers.packages var/servers

demo: install  ## ticks to fills, the whole way, on simulated or your own data (DATA=path SYMBOL=name)
	@$(BIN)/tickpath demo $(if $(DATA),--data $(DATA)) $(if $(SYMBOL),--symbol $(SYMBOL))

up: install  ## start MLflow, Prefect, a worker, the venue and serving; Ctrl-C stops all of it
	@$(BIN)/tickpath up

test: install  ## quick tests, no server needed
	@$(BIN)/python -m pytest -q

test-all: install  ## quick tests, then real servers, kills and faults at reduced counts
	@$(BIN)/python -m pytest -q
	@$(BIN)/python -m pytest -q -m "servers and not proof" --timeout=900 -p no:randomly

proof: install  ## full counts, in the background, resumable; results under var/proof
	@$(BIN)/python -m tests.proof

check: install  ## ruff, mypy, import rule, architecture tests, docs build
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest -q tests/test_architecture.py
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html

bench: install  ## measure on this machine; results under benchmarks/results
	@$(BIN)/python -m benchmarks

docs: install  ## build the documentation
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html

lock:  ## resolve pyproject.toml afresh into requirements.lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --upgrade pip
	.venv-lock/bin/python -m pip install --quiet --editable '.[dev]'
	{ sed -n '/^#/p' requirements.lock; .venv-lock/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//'; } > requirements.new
	mv requirements.new requirements.lock
	rm -rf .venv-lock

clean:  ## remove what runs left behind (var, caches), keep .venv
	rm -rf var docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis
