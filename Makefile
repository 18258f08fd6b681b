# make demo, make test, make docs: set up all they need in .venv, with pip, then run. A stamp per set of packages keeps a
# second call from installing again until pyproject.toml or constraints.txt change.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
# Two test processes on two cores: one thread each, or they wait for each other.
PROCESSES ?= 2
SOURCES := src tests benchmarks

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test browser postgres check format bench docs package clean

help:
	@echo "make demo    fit a graph whose true edges are known and compare promise and truth"
	@echo "make test    run the whole test suite"
	@echo "make check   format, lint, types, import contracts, doctests"
	@echo "make format  rewrite the sources as 'make check' wants them"
	@echo "make bench   run the benchmarks that have no result yet"
	@echo "make docs    build the documentation, to be read at build/docs/index.html"
	@echo "make package  sdist and wheel into dist/, each extra tried in an empty environment (downloads)"
	@echo "make clean   remove $(VENV)/, demo/ and caches"

demo: $(VENV)/installed
	$(BIN)/linkodds demo --out demo/ --force

test: $(VENV)/installed-test browser postgres
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(PROCESSES)

# The browser tests drive a Chromium. Debian's is installed where this may be done (root and apt-get); elsewhere these
# tests are skipped and say so, but fail in CI.
browser:
	@for name in chromium chromium-browser google-chrome; do command -v $$name > /dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y chromium > /dev/null; } \
	  || echo "Chromium could not be installed" >&2; \
	else echo "no Chromium here; the browser tests will be skipped" >&2; fi

# The tests of databases start a PostgreSQL of their own. Debian keeps its programs off the PATH.
postgres:
	@for name in "$$(command -v initdb)" /usr/lib/postgresql/*/bin/initdb; do [ -x "$$name" ] && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y postgresql > /dev/null; } \
	  || echo "PostgreSQL could not be installed" >&2; \
	else echo "no PostgreSQL here; its tests will be skipped" >&2; fi

check: $(VENV)/installed-check
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q src

format: $(VENV)/installed-check
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

# One script a question; each skips what it has measured already.
bench: $(VENV)/installed-bench
	for script in $(filter-out benchmarks/extras.py,$(wildcard benchmarks/*.py)) benchmarks/statistics/*.py benchmarks/search/*.py benchmarks/mutations/run.py benchmarks/sources/postgres.py benchmarks/models/run.py benchmarks/models/cut_off.py; do $(BIN)/python $$script || exit 1; done

# A broken link or anchor is a warning, and a warning fails. The pages are read from files: no server, nothing fetched.
docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx --builder html --fresh-env --fail-on-warning --keep-going --quiet docs build/docs
	@echo "build/docs/index.html"

# Not part of make test: every extra is downloaded into an environment of its own. What has a result is not done again.
package: $(VENV)/installed-test
	$(BIN)/python -m build --outdir dist
	$(BIN)/python benchmarks/extras.py

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable .
	@touch $@

$(VENV)/installed-%: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[$*]'
	@touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
