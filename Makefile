PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test tests check bench install clean

demo: $(STAMP)  ## the whole road on simulated patients; says where to look
	$(BIN)/gliomask demo --out demo --overwrite

test: $(STAMP)  ## all checks and all tests, side by side: the types are checked by one core alone
	$(MAKE) --jobs 2 check tests

tests: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

check: $(STAMP)  ## style, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)  ## measures training on this machine and writes docs/performance.md
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.breakdown
	-$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.gpu --expect --tflops 989 --tbs 3.35
	$(BIN)/python -m benchmarks.measures
	$(BIN)/python -m benchmarks.layers
	$(BIN)/python -m benchmarks.equality
	$(BIN)/python -m benchmarks.page

install: $(STAMP)  ## the package with everything to train, test and check, in .venv

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[train,dev,dicom,web]'
	-$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib  # on all cores; Python would not where PYTHONDONTWRITEBYTECODE is set
	touch $@

clean:  ## everything that was made, but not the runs
	rm -rf $(VENV) demo build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
