PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check install clean

demo: $(STAMP)  ## the whole road on simulated patients; says where to look
	$(BIN)/gliomask demo --out demo --overwrite

test: check  ## all checks and all tests
	$(BIN)/python -m pytest

check: $(STAMP)  ## style, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

install: $(STAMP)  ## the package with everything to train, test and check, in .venv

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,dev]'
	touch $@

clean:  ## everything that was made
	rm -rf $(VENV) demo runs build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
