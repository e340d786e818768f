# make figures/reactivation.pdf, and all that keeps the project in order. `make help` lists it.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
CORES ?= all
WORKERS ?= 2
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEERS := .venv-bench
FAST := not slow and not cluster and not gpu and not faults
SNAKEFILES := Snakefile workflow/Snakefile rules
CHECKED := $(wildcard src tests scripts benchmarks docs examples)

.DEFAULT_GOAL := help
.PHONY: help environment test test-slow test-faults verify test-cluster test-gpu lint format schema lock report docs why disk clean-results timings bench \
  bench-gpu clean FORCE
.PRECIOUS: figures/%.pdf figures/%.png

# Run a command and show what it says only if it fails.
quietly = said=$$($(1) 2>&1) || { printf '%s\n' "$$said"; exit 1; }

help: ## list these targets
	@echo "make figures/NAME.pdf         draw a figure of the default configuration"
	@echo "make figures/PRESET/NAME.pdf  draw a figure of config/PRESET.yaml"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-24s %s\n", $$1, $$2}' Makefile
	@echo "variables: CORES=$(CORES) PYTHON=$(PYTHON) VENV=$(VENV) WORKERS=$(WORKERS);"
	@echo "  FIGURE=[PRESET/]NAME (report, why), CONFIGS='FILE.yaml …' (disk, clean-results)"

# Refuse a figure PRESET/NAME of a preset that is none: a preset is a file of config/.
of_preset = $(if $(findstring /,$(1)),$(if $(wildcard config/$(patsubst %/,%,$(dir $(1))).yaml),,$(error \
  there is no preset "$(patsubst %/,%,$(dir $(1)))" (config/$(patsubst %/,%,$(dir $(1))).yaml); there \
  are: $(filter-out config,$(basename $(notdir $(wildcard config/*.yaml)))))))

# Snakemake knows what is out of date, so it is always asked.
figures/%.pdf figures/%.png: $(STAMP) FORCE
	$(call of_preset,$*)
	@$(BIN)/snakemake --cores $(CORES) $@ $(if $(findstring /,$*),--configfile config/$(*D).yaml)

environment: $(STAMP) ## make .venv with exactly the locked versions

# The stamp is written last: an interrupted installation is done again.
$(STAMP): requirements.lock pyproject.toml | $(BIN)/python
	@rm -f $@
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(BIN)/python -m ensurepip
	@echo "installing what requirements.lock says into $(VENV): some minutes, the first time"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "ntkscope needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)"; \
	  echo "  to do: install one, then: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments: its venv module is missing"; \
	  echo "  to do: on Debian or Ubuntu, apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

test: $(STAMP) ## the fast tests
	@$(BIN)/pytest -q -n $(WORKERS) -m "$(FAST)"

test-slow: $(STAMP) ## the slow tests: real runs of the workflow
	@$(BIN)/pytest -q -m "slow and not cluster and not gpu and not faults"

test-cluster: $(STAMP) ## the tests on a real SLURM of one machine (root, slurm-wlm, munge)
	@$(BIN)/pytest -q -m cluster

test-faults: $(STAMP) ## kills, damages and full disks by the dozen (root, for the full disks)
	@$(BIN)/pytest -q -rP -m faults

test-gpu: $(STAMP) ## the tests that need a GPU
	@$(BIN)/pytest -q -m gpu

lint: $(STAMP) ## every check that runs no test
	@$(call quietly,$(BIN)/ruff check $(CHECKED))
	@$(call quietly,$(BIN)/ruff format --check $(CHECKED))
	@$(call quietly,$(BIN)/snakefmt --check $(SNAKEFILES))
	@$(call quietly,$(BIN)/mypy)
	@$(call quietly,$(BIN)/lint-imports --no-logo)
	@$(call quietly,$(BIN)/snakemake --lint)
	@echo "lint: nothing to mend"

format: $(STAMP) ## format all sources
	@$(BIN)/ruff check --quiet --fix --exit-zero $(CHECKED)
	@$(BIN)/ruff format --quiet $(CHECKED)
	@$(call quietly,$(BIN)/snakefmt $(SNAKEFILES))

schema: $(STAMP) ## write workflow/config.schema.json and the tables of config/README.md
	$(BIN)/python -m ntkscope.config.schema

# Keeps the versions of the lock that still fit; `make lock UPGRADE=--upgrade` takes the newest.
lock: ## pin all dependencies in requirements.lock
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	$(PYTHON) -m venv "$$folder" && "$$folder/bin/pip" install --quiet uv && \
	"$$folder/bin/uv" pip compile --quiet pyproject.toml --extra workflow --extra slurm \
	  --extra dev --extra docs --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --annotation-style line $(UPGRADE) -o requirements.lock

# One page first; Snakemake's own report lies beside it, one link away.
REPORTED := $(if $(FIGURE),figures/$(FIGURE).png)
PRESET_OF_FIGURE := $(if $(findstring /,$(FIGURE)),--configfile config/$(dir $(FIGURE)))
REPORT := report$(if $(FIGURE),-$(subst /,-,$(FIGURE)))
SNAKEMAKE_FOR := $(BIN)/snakemake $(REPORTED) $(PRESET_OF_FIGURE:/=.yaml)

report: $(STAMP) ## draw all figures (or FIGURE=reactivation) and write results/report.html
	$(call of_preset,$(FIGURE))
	@$(SNAKEMAKE_FOR) --cores $(CORES)
	@$(SNAKEMAKE_FOR) --report results/$(REPORT)-snakemake.html
	@$(SNAKEMAKE_FOR) --reporter ntkscope --report-ntkscope-path results/$(REPORT).html \
	  --report-ntkscope-link $(REPORT)-snakemake.html
	@echo "report:   results/$(REPORT).html"

why: $(STAMP) ## what would run (for FIGURE=reactivation, or everything) and why, in one table
	$(call of_preset,$(FIGURE))
	@$(SNAKEMAKE_FOR) --dry-run

disk: $(STAMP) ## what results/ holds, by experiment and stage (CONFIGS=: more configurations)
	@$(BIN)/python -m ntkscope.config.usage $(CONFIGS)

clean-results: $(STAMP) ## delete what no configuration asks for any more: lists it, and asks
	@$(BIN)/python -m ntkscope.config.usage --clean $(CONFIGS)

docs: $(STAMP) ## write the site to docs/_build/html: its tutorials are run, warnings are errors
	@cd docs && ../$(BIN)/python -m sphinx -q -W --keep-going -b html . _build/html
	@echo "site:     docs/_build/html/index.html"

verify: $(STAMP) ## whether all that lies in results/ is as it was written
	@$(BIN)/python -m ntkscope.stores.verify

timings: $(STAMP) ## where the time of the last run went, by rule
	@$(BIN)/python -m ntkscope.runtime.timings

bench: $(STAMP) $(PEERS)/.installed ## kernels against other libraries, side by side: 15 minutes, one core
	@$(BIN)/python -m benchmarks.run --cases '$(CASES)' $(if $(QUICK),--quick)

bench-gpu: $(STAMP) ## kernels and training on a CUDA GPU, against its own matrix product
	@$(BIN)/python -m benchmarks.gpu $(if $(QUICK),--quick) $(if $(TF32),--tf32)

# The peers' own environment; its .gitignore keeps it out of git.
$(PEERS)/.installed: $(wildcard benchmarks/requirements-*.txt) | $(BIN)/python
	@echo "installing neural-tangents and ASDL into $(PEERS)"
	@$(BIN)/python -m venv $(PEERS) && echo '*' > $(PEERS)/.gitignore
	@pip="$(PEERS)/bin/python -m pip install --quiet --no-deps" && \
	$$pip -r benchmarks/requirements-neural-tangents.txt && \
	$$pip --upgrade --target $(PEERS)/with-torch -r benchmarks/requirements-asdl.txt
	@touch $@

clean: ## remove caches; results, figures and the environment stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find src tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

FORCE:
