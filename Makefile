# Needs only Python 3.11 or newer and make: everything else is installed into .venv, from uv.lock.
# Ctrl-C in `make run` ends every process of the stack.

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3.14 python3,$(shell command -v $(name))))
VENV := .venv
UV = $(or $(shell command -v uv),.tools/uv/bin/uv)
SHAPE ?= steady
STORE ?= $(or $(HOLDFAST_STORE),postgres)
JOBS ?= 3
BIN := $(VENV)/bin
READY := $(VENV)/.installed
export PATH := $(CURDIR)/.tools/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help run demo test test-unit lint format audit bench loadtest chaos docs env compose-smoke tools clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(READY) ## run everything on this machine, until Ctrl-C (settings: .env.example)
	@$(BIN)/holdfast stack up

demo: $(READY) ## kill the database under load of writes, and see that none is lost
	@$(BIN)/holdfast demo

test: lint docs ## everything that CI checks: lint, types, import contracts, links, all tests on real servers
	$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

test-unit: $(READY) ## the tests that need no server
	$(BIN)/pytest tests/unit

lint: $(READY) ## style, types and import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy tests/typing
	$(BIN)/lint-imports

audit: $(READY) ## look for known vulnerabilities in what is locked, and for secrets in what git keeps
	@$(BIN)/python .ci/audit

format: $(READY) ## put the code into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(READY) ## measure: docs/benchmarks.md says what and how
	$(BIN)/python -m bench

loadtest: $(READY) ## put load on a stack of its own: make loadtest SHAPE=outage (or steady, ramp, spike, soak)
	@$(BIN)/python -m loadtest $(SHAPE) --report var/loadtest-$(SHAPE).html

chaos: $(READY) ## break everything in turn under load, and prove that every guarantee held (STORE=mongo: on MongoDB)
	$(BIN)/python -m chaos run all --store $(STORE) --seed 1 --duration 12

docs: $(READY) ## build the documentation as a site, in build/docs; a link that leads nowhere is an error
	@$(BIN)/sphinx-build -b html -q -W -n --keep-going docs build/docs
	@echo "build/docs/index.html"

env: ## write a .env for docker compose, with random passwords; one that is there stays
	@deploy/compose/make-env

compose-smoke: $(READY) ## build the image, bring the compose file up for real, break it, and count what is left
	@$(BIN)/python -m tests.compose

tools: ## install what tests can use beyond the wheels, where this machine can have it
	@.ci/tools

clean: ## remove the data of the local stack
	rm -rf var

# uv from PATH, or one of our own beside the environment that it fills.
$(READY): pyproject.toml uv.lock
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3"; exit 1; }
	@echo "Installing what uv.lock names into $(VENV); the first time it takes a minute"
	@{ test -x "$(UV)" || { $(PYTHON) -m venv .tools/uv && .tools/uv/bin/pip install --quiet uv; }; } && \
	  $(UV) sync --quiet --frozen --all-extras $(if $(filter .tools/%,$(UV)),--python $(PYTHON)) || \
	  { echo "Not installed. It comes from PyPI: the first time this needs the network."; exit 1; }
	@touch $@
