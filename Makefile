# Everything here works on a machine with Python >= 3.11 and nothing else: uv and all packages come into this folder.

VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8
INSTALLED := $(VENV)/.installed
ARGS ?=

# The first Python on the path that is new enough and can make environments.
find_python = for python in $(PYTHON) python3.11 python3.12 python3.13 python3 python; do \
	"$$python" -c 'import sys, ensurepip; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null && break; python=; done; \
	if [ -z "$$python" ]; then echo 'No Python >= 3.11 with its venv module was found (set PYTHON=...).' >&2; exit 1; fi

# uv from the path, else a pinned one in an environment of its own.
find_uv = uv=$$(command -v uv || true); if [ -z "$$uv" ]; then uv=.cache/uv/bin/uv; \
	if [ ! -x "$$uv" ]; then echo 'installing uv into .cache/uv'; "$$python" -m venv --clear .cache/uv && \
	.cache/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) || exit 1; fi; fi

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9_-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: install
install: $(INSTALLED) ## Install the locked packages into .venv (all other targets do it by themselves)

$(INSTALLED): requirements.lock pyproject.toml
	@$(find_python); $(find_uv); set -e; \
	echo "installing the locked packages into $(VENV)"; \
	[ -x $(BIN)/python ] || UV_PYTHON_DOWNLOADS=never "$$uv" venv --quiet --python "$$(command -v "$$python")" $(VENV); \
	VIRTUAL_ENV=$(VENV) "$$uv" pip sync --quiet --compile-bytecode --require-hashes requirements.lock; \
	VIRTUAL_ENV=$(VENV) "$$uv" pip install --quiet --no-deps --no-build-isolation --editable .; \
	touch $@

.PHONY: run
run: $(INSTALLED) ## Run the whole product here: broker, database, API, workers, sandbox (ARGS="--port 8080")
	@exec $(BIN)/billing up $(ARGS)

.PHONY: test
test: $(INSTALLED) ## Run the whole test suite
	@$(BIN)/pytest -rR -n 3 --dist loadfile $(ARGS)

.PHONY: test-unit
test-unit: $(INSTALLED) ## Run the tests that need no broker and no database
	@$(BIN)/pytest -n 2 tests/domain tests/processors tests/schemas $(ARGS)

.PHONY: check
check: lint types schemas-check ## All that CI checks besides the tests

.PHONY: lint
lint: $(INSTALLED) ## Formatting, rules, layers, dependencies
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports
	@$(BIN)/deptry .

.PHONY: format
format: $(INSTALLED) ## Format, and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: types
types: $(INSTALLED) ## mypy, strict, on the whole tree
	@$(BIN)/mypy

.PHONY: schemas
schemas: $(INSTALLED) ## Write JSON Schemas, AsyncAPI and OpenAPI anew from the code
	@$(BIN)/billing schemas write

.PHONY: schemas-check
schemas-check: $(INSTALLED)
	@$(BIN)/billing schemas check

.PHONY: chaos
chaos: $(INSTALLED) ## Kill and freeze everything under load, then verify every account (minutes)
	@$(BIN)/python -m tests.chaos $(ARGS)

SEEDS ?= 2000
.PHONY: simulate
simulate: $(INSTALLED) ## Histories in virtual time (SEEDS=2000; SEED=7 one again; YEARS=10 CUSTOMERS=1000 one long one)
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(if $(SEED),--seed $(SEED)) $(if $(YEARS),--years $(YEARS)) \
		$(if $(CUSTOMERS),--customers $(CUSTOMERS)) $(ARGS)

.PHONY: bench
bench: $(INSTALLED) ## Measure, beside the limits of the machine
	@$(BIN)/python -m tests.bench $(ARGS)

.PHONY: judges
judges: $(INSTALLED) ## The outside judges of the sandbox provider: stripe-mock (needs Go), localstripe
	@$(BIN)/python -m tests.judges $(ARGS)

.PHONY: e2e
e2e: $(INSTALLED) ## A purchase through every door, on a stack of its own
	@$(BIN)/pytest tests/e2e $(ARGS)

.PHONY: up_all
up_all: ## Run everything in Docker
	docker compose up --build --detach --wait

.PHONY: down
down: ## Stop what up_all started; its data stays (docker compose down --volumes removes it)
	docker compose down

.PHONY: clean
clean: ## Remove environments and caches (not .billing, which holds data)
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
