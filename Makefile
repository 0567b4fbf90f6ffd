# On a fresh machine with Python 3.11 to 3.13:   make demo   |   make test
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# two processes of one thread each, which take files in the order of tests/conftest.py: what takes long goes first.
# Byte code is written also where the environment says not to: else every process compiles all of it again
PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo test quick lint venv

# what a table needs; python -m smoothbench +exp=dit_ddim adds the other settings of SmoothCache
DEMO := 'only=[none,fewer,fora,budget,fora_taylor,budget_taylor,l2c]'

demo: venv            ## the product at small scale: tables and figures in results/runs/dit_ddim
	$(BIN)/python -m smoothbench.every_core +exp=dit_ddim $(DEMO) latency.rounds=3

test: $(VENV)/.test
	$(PYTEST)

quick: $(VENV)/.test  ## unit tests and contracts, under a minute: the inner loop
	$(PYTEST) tests/unit tests/contracts -m "not slow"

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

venv: $(VENV)/.core

# torch goes first, by itself: a range would let pip take another build later
$(VENV)/.core: pyproject.toml constraints.txt
	$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv $(VENV)  # also mends one left half made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $$(grep '^torch==' constraints.txt)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.test: $(VENV)/.core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(VENV)/share/smoothbench \
	    $$(grep '^torch_fidelity==' constraints.txt)  # apart from the rest: pyproject.toml says why
	touch $@

$(VENV)/.dev: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@
