# The commands of this repository. Each makes its own environment in .venv and is safe to repeat: `make help` lists them.
# PYTHON=/path/to/python chooses the Python that .venv is made with (3.11 or later).

BIN := .venv/bin
RUNS_MODELS := .venv/.torch-installed
RUNS_TESTS := .venv/.dev-installed
OMP_NUM_THREADS ?= 2
export OMP_NUM_THREADS
export PYTHON
# Packages are compiled when they are first imported, not when they are installed: were that forbidden, each of the many
# programs that tests start would compile them again (torch: two seconds, transformers: ten).
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-fast test-clients test-exports bench bench-hub docs lint assets test-assets test-programs clean

help: ## list these commands
	@echo "make demo [ARGS='\"Your own sentence.\"']   fine-tune a sentiment classifier on real film reviews, and try it on a page"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1 \2/p' Makefile | awk '{ name = $$2; $$1 = $$2 = ""; printf "make %-12s%s\n", name, $$0 }'

demo: $(RUNS_MODELS) assets
	@$(BIN)/python examples/demo.py $(ARGS)

test: test-programs $(RUNS_TESTS) lint test-assets ## style, types and all tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

test-fast: test-programs $(RUNS_TESTS) test-assets ## the tests that take seconds
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow" $(ARGS)

test-clients: $(RUNS_TESTS) ## the Hub against several versions of its stock client (CLIENTS="0.36 newest")
	@$(BIN)/python scripts/test_clients.py

test-exports: $(RUNS_TESTS) ## every architecture in every export format, which takes half an hour
	@SAMOVAR_TEST_EXPORTS=all OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 tests/export $(ARGS)

bench: $(RUNS_TESTS) assets ## speed and memory, side by side with the reference library
	@$(BIN)/python benchmarks/run.py $(ARGS)

bench-hub: $(RUNS_TESTS) ## the Hub's search over 1,000,000 models, its transfers beside nginx, its pages
	@$(BIN)/python benchmarks/hub_search.py $(ARGS)
	@$(BIN)/python benchmarks/hub_transfer.py
	@$(BIN)/python benchmarks/hub_pages.py

docs: $(RUNS_TESTS) ## the documentation as static HTML in build/docs
	@$(BIN)/python -m samovar.server.web.docs --output build/docs

lint: $(RUNS_TESTS) ## style (ruff) and types (mypy)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "error: files are not formatted.  → $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/mypy

assets: $(RUNS_MODELS)
	@$(BIN)/python scripts/fetch_assets.py

test-assets: $(RUNS_TESTS)
	@$(BIN)/python scripts/fetch_assets.py --tests

test-programs:
	@missing=$$(scripts/programs.sh | tr '\n' ' '); [ -z "$$missing" ] || { \
		echo "error: the tests of the Hub run programs that are not on this machine: $$missing"; \
		echo "  → Install them (Debian, Ubuntu: apt install $$missing), then run this again."; exit 1; }

clean: ## remove .venv, .venv-clients and what builds and tools left
	rm -rf .venv .venv-clients build dist .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNS_MODELS): pyproject.toml constraints.txt scripts/environment.sh
	@echo "Making the environment in .venv"
	@scripts/environment.sh train,hub
	@touch $@

# Installing the larger set covers the smaller one, so that tests do not install twice.
$(RUNS_TESTS): pyproject.toml constraints.txt scripts/environment.sh
	@echo "Making the environment in .venv, with what tests and benchmarks need"
	@scripts/environment.sh dev
	@touch $(RUNS_MODELS) $@
