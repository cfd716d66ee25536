# `make map` makes a first map, `make test` runs the tests; both create what they need.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev

SERVERS := .venv-servers

.PHONY: map test lint servers clean

map: $(INSTALLED)
	$(BIN)/mapper run --country LIE --archive simulated --out maps

test: $(INSTALLED_DEV)
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(INSTALLED_DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): $(VENV)/bin/python setup.cfg constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(INSTALLED_DEV): $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,dev]'
	touch $@

# What tests/servers start beside PostgreSQL, PostGIS and nginx; without it they are skipped.
servers: $(SERVERS)/.installed

$(SERVERS)/.installed: tests/servers/requirements.txt
	$(PYTHON) -m venv $(SERVERS)
	$(SERVERS)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

clean:
	rm -rf $(VENV) $(SERVERS) build dist *.egg-info
