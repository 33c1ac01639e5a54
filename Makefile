# Everything runs in .venv, which is created when it is missing. A working environment of your own
# at .venv is used as it is; it only gets what constraints.txt says.
.PHONY: help scaling test check bounds lint docs clean
.NOTPARALLEL:
.DEFAULT_GOAL := help

PYTHON ?= python3
ARGS ?=

venv := .venv
python := $(venv)/bin/python
# Written when an installation is complete. Sources are installed editable, so only a change of
# the dependencies makes it necessary again.
for_use := $(venv)/.installed
for_work := $(venv)/.installed-dev
for_docs := $(venv)/.installed-docs
pip := $(python) -m pip --disable-pip-version-check
# An interrupted creation, and some tools, leave an environment without pip.
install := $(pip) --version >/dev/null 2>&1 || $(python) -m ensurepip --upgrade; \
  $(pip) install --quiet -c constraints.txt

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(firstword $(MAKEFILE_LIST))
	@echo "PYTHON=python3.12 chooses the interpreter, ARGS='--agents 100' adds arguments."

scaling: $(for_use) ## install what is needed, then simulate growing numbers of agents
	@$(python) -m lhsim.experiments scaling $(ARGS)

test: $(for_work) ## install what is needed, then run all tests
	@$(python) -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

check: lint ## linters, types and the quick tests
	@$(python) -m pytest -q -x -n auto --dist loadfile -m "not slow" tests/test_architecture.py tests/unit $(ARGS)

bounds: $(for_work) ## equality of the engines, with all indices of the kernels checked
	@NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=.bounds $(python) -m pytest -q -n auto --dist load \
	  $(foreach test,edges random_systems ties traces,tests/equivalence/test_$(test).py) $(ARGS)

lint: $(for_work) ## linters and types
	@$(python) -m ruff check .
	@$(python) -m ruff format --check .
	@$(python) -m mypy

docs: $(for_docs) ## build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 $(python) -m mkdocs build --quiet --strict $(ARGS)
	@echo "site/index.html"

clean: ## remove caches and build output, but neither results nor .venv
	rm -rf build dist site .bounds *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f $(for_use) $(for_work) $(for_docs)
	find lhsim tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

$(for_use): pyproject.toml constraints.txt | $(python)
	$(install) -e .
	@touch $@

$(for_work): pyproject.toml constraints.txt | $(python)
	$(install) -e '.[dev]'
	@touch $@ $(for_use)

$(for_docs): pyproject.toml constraints.txt | $(python)
	$(install) -e '.[docs]'
	@touch $@ $(for_use)

$(python):
	@command -v '$(PYTHON)' >/dev/null || { \
	  echo "'$(PYTHON)' is not there. Install Python 3.11 or later, or say which: make PYTHON=..." >&2; \
	  exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "lhsim needs Python 3.11 or later, and '$(PYTHON)' is" \
	    "$$('$(PYTHON)' --version 2>&1). Say which to use: make PYTHON=python3.12 ..." >&2; \
	  exit 1; }
	@'$(PYTHON)' -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments: its modules venv and ensurepip are" \
	    "missing. On Debian and Ubuntu they are in the package python3-venv." >&2; \
	  exit 1; }
	'$(PYTHON)' -m venv --clear $(venv)
