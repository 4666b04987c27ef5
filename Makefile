# Everything runs inside the checkout, in its own virtual environment; only caches (pip, Maven) are outside.
PYTHON ?= python3
UV := 0.13.9
READY := .venv/ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint check bench lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-7s %s\n", $$1, $$2}' Makefile

setup: $(READY) ## make .venv with all that is needed (done by itself before every other target)

# An environment that was made in another folder holds that folder's path in its scripts: it must be made anew.
MADE_IN := $(shell cat $(READY) 2>/dev/null)
ifneq ($(MADE_IN),$(CURDIR))
.PHONY: $(READY)
endif

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "parcelwatch needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." \
	  "Install one and run: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up .venv (once; some 400 MB to fetch and unpack) ..."
	@$(PYTHON) -m venv $(if $(MADE_IN),$(if $(filter-out $(CURDIR),$(MADE_IN)),--clear)) .venv || { \
	  echo "Cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@.venv/bin/python -m pip install --quiet --require-hashes --requirement requirements.lock
	@.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@pwd -P > $@

demo: $(READY) ## embedded Kafka, a simulated carrier's day with planted leaks, alerts as they fire
	@.venv/bin/parcelwatch demo

# Tests mostly wait, so three share two cores. The fault trials come after, two at a time: they count on seconds.
test: $(READY) ## run every test
	@.venv/bin/python -m pytest --numprocesses 3 --dist loadfile -m "not faults"
	@.venv/bin/python -m pytest --numprocesses 2 -m faults

lint: $(READY) ## style, format, types, who may import whom
	@.venv/bin/python -m ruff check
	@.venv/bin/python -m ruff format --check
	@.venv/bin/python -m mypy
	@.venv/bin/lint-imports

check: lint test ## lint and test

bench: $(READY) ## the same job in stock Faust and in parcelwatch, side by side
	@.venv/bin/python -m benchmarks

lock: $(READY) ## choose new versions: requirements.lock (with hashes) and streams/kafka/jars.lock
	@.venv/bin/python -m pip install --quiet uv==$(UV)
	@.venv/bin/python -m uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	  --no-annotate --no-emit-index-url --all-extras --custom-compile-command "make lock" \
	  --output-file requirements.lock pyproject.toml
	@.venv/bin/python -c 'from streams.kafka.jars import write_lock; write_lock()'

clean: ## remove .venv, the demo's data and everything tools have left
	@rm -rf .venv .parcelwatch build ./*.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
