# One file drives everything: `make help` lists the targets.
# All paths are relative, so the folder may lie anywhere, also below a path with spaces.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8
ARGS   ?=

# Tests that go through the kernels, whoever provides them; the compiled ones are the default wherever they can be used.
COMPUTING := $(addprefix tests/,autograd functional kernels nn ops optim traps)

# Test bodies that once more compute on an emulated GPU; others have tests of their own there, or take too long.
ON_A_GPU := $(addprefix tests/,autograd captured data interop nn optim tensor traps)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# -- environment ------------------------------------------------------------------------------------------
# A stamp is touched only after its step has succeeded, so an interrupted installation starts again.

$(VENV)/.made:
	@$(PYTHON) -c 'import sys' 2>/dev/null || { \
	  echo "make: no Python found as '$(PYTHON)'; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: expected Python 3.11 or newer, got $$($(PYTHON) --version 2>&1); name another: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "make: this Python lacks the venv module (on Debian and Ubuntu: apt install python3-venv)"; exit 1; }
	@echo "== making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# One folder holds all extras; each has its stamp.
$(VENV)/.run: EXTRAS := fast,viz,lab,interop
$(VENV)/.test: EXTRAS := test
$(VENV)/.oracle: EXTRAS := oracle

$(VENV)/.run $(VENV)/.test $(VENV)/.oracle: pyproject.toml | $(VENV)/.made
	@echo "== installing tinygrad_bn[$(EXTRAS)] into $(VENV) (once; needs the network)"
	@$(PIP) install --quiet --editable '.[$(EXTRAS)]'
	@touch $@

# -- the main job -----------------------------------------------------------------------------------------

.PHONY: compare
compare: $(VENV)/.run ## train both orders and write the report; options: make compare ARGS="--help"
	@$(BIN)/tinygrad-bn compare $(ARGS)

.PHONY: bench
bench: $(VENV)/.run ## compare speed with other frameworks (about an hour); options: make bench ARGS="--help"
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: bench-graphs
bench-graphs: $(VENV)/.run ## compare drawings with other tools' (some minutes); options: make bench-graphs ARGS="--help"
	@$(BIN)/python -m benchmarks.drawing $(ARGS)

# It runs where there is a GPU and no network: with the environment that is here, else with the Python that has CuPy and PyTorch.
.PHONY: gpu-check
gpu-check: ## on a machine with a GPU: what works there, all tests on it, speed beside PyTorch's; options: make gpu-check ARGS="--help"
	@$(or $(wildcard $(BIN)/python),$(PYTHON)) -m benchmarks.gpu $(ARGS)

# -- checks -----------------------------------------------------------------------------------------------

.PHONY: test
test: lint ## format, lint, types and all tests; options for pytest: make test ARGS="-k batch_norm"
	@echo "== tests and the examples in docstrings (pytest)"
	@$(PYTEST) -rsfE $(ARGS)
ifeq ($(strip $(ARGS)),)
	@echo "== once more with the kernels in plain NumPy, what computes with kernels (pytest)"
	@TINYGRAD_BN_KERNELS=reference $(PYTEST) -rfE $(COMPUTING) --ignore-glob='*/test_cpu_*'
	@echo "== once more on an emulated GPU, by the same bodies (pytest)"
	@$(PYTEST) -rfE --device cuda --emulated-gpu $(ON_A_GPU)
endif

.PHONY: lint
lint: $(VENV)/.test ## format, lint and types, without the tests
	@echo "== format (ruff format --check)"
	@$(BIN)/python -m ruff format --check .
	@echo "== lint (ruff check)"
	@$(BIN)/python -m ruff check .
	@echo "== types (mypy --strict)"
	@$(BIN)/python -m mypy

.PHONY: oracle
oracle: $(VENV)/.oracle ## install PyTorch and scikit-learn, against which `make test` then compares

.PHONY: fuzz
fuzz: $(VENV)/.test ## run the property tests with many more and fresh examples
	@$(PYTEST) -m hypothesis --hypothesis-profile=fuzz $(ARGS)

.PHONY: chaos
chaos: $(VENV)/.test ## kill sweeps at random until they are done, and compare with undisturbed ones (Linux)
	@$(BIN)/python scripts/chaos.py $(ARGS)

.PHONY: import-time
import-time: $(VENV)/.test ## measure what `import tinygrad_bn` adds to `import numpy`
	@$(BIN)/python scripts/import_time.py $(ARGS)

.PHONY: floors
floors: $(VENV)/.test ## draw which module imports which into docs/images/floors.svg
	@$(BIN)/python scripts/draw_floors.py docs/images/floors.svg

.PHONY: page
page: ## build the interactive page of graphs from page/ into tinygrad_bn/viz/assets (needs Node.js 20 and a network)
	@cd page && npm ci && npm test && npm run build

# -- care of the tree -------------------------------------------------------------------------------------

.PHONY: format
format: $(VENV)/.test ## format the code and sort its imports
	@$(BIN)/python -m ruff check --select I --fix .
	@$(BIN)/python -m ruff format .

.PHONY: clean
clean: ## remove the environments and all caches (results in runs/ stay)
	rm -rf $(VENV) .venv-bench page/node_modules build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
