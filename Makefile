# Everything that people and CI run. `make help` lists the targets.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LOGS ?= sample
TEXTS ?= 100000
SEED ?= 1
SEEDS ?= 1000

.DEFAULT_GOAL := help
.PHONY: run test simulate fuzz check format bench prices prices-release compare-prices help clean

# What running needs comes first and alone: a newcomer's first command should not wait for linters.
$(VENV)/.runs: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "tokencalc needs Python 3.11 or later; say which with: make PYTHON=python3.12 run"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.ready: $(VENV)/.runs
	@echo "installing what tests need into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

run: $(VENV)/.runs ## the main job on sample logs; LOGS=auto reads your own, LOGS=PATH any folder
	@$(BIN)/python -m tokencalc demo --logs "$(LOGS)"

test: $(VENV)/.ready ## every test: no keys, no network
	@$(BIN)/python -m pytest -q

simulate: $(VENV)/.ready ## the ledger against a model, crashes included; SEEDS=1000, SEEDS=5..200, or SEED=1234 with its trace
	@PYTHONPATH=. $(BIN)/python -m tests.simulation.run $(if $(filter command line environment,$(origin SEED)),SEED=$(SEED),SEEDS=$(SEEDS))

fuzz: $(VENV)/.ready ## counts of every back end against tiktoken's; TEXTS=100000, SEED=1
	@PYTHONPATH=. $(BIN)/python tests/property/fuzz_tokens.py --texts $(TEXTS) --seed $(SEED)

check: $(VENV)/.ready ## lint, format, types and price tables, as CI does
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python scripts/compile_prices.py --check

format: $(VENV)/.ready ## put the code into its one format
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

$(VENV)/.bench: $(VENV)/.ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

bench: $(VENV)/.bench ## every benchmark, as ratios of one run
	@for file in benchmarks/bench_*.py; do $(BIN)/python $$file || exit 1; done

prices: $(VENV)/.ready ## compile pricing/*.toml into the tables that the package ships
	@$(BIN)/python scripts/compile_prices.py

prices-release: $(VENV)/.ready ## the same before a release: from then on no card may change
	@$(BIN)/python scripts/compile_prices.py --release

compare-prices: $(VENV)/.ready ## our tables beside both public sets; downloads them (litellm is large) into a folder that it removes
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && for name in genai-prices litellm; do \
		$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --dest "$$folder/$$name" $$name && \
		$(BIN)/tokencalc prices compare --with $$name --file "$$folder/$$name/"*.whl || exit 1; \
	done

clean: ## remove what the targets above made
	@rm -rf $(VENV) .tokencalc build dist .mypy_cache .ruff_cache .pytest_cache

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
