# Two commands matter: `make run` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
UI := annotator_ui/frontend
STAMPS := .make
# CPU builds of torch: on Linux the default index serves a CUDA build of several GB.
# Where the network allows, `make run PIP_ARGS='--extra-index-url URL'` names an index of CPU builds.
PIP_ARGS ?=
PIP := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check $(PIP_ARGS) -c deploy/constraints.txt
# In a checkout nothing is installed but dependencies, from pyproject.toml; `make wheel` is for elsewhere.
NEEDS := $(BIN)/python -c 'import sys, tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; print("\n".join(p["optional-dependencies"][sys.argv[1]] if sys.argv[1:] else p["dependencies"]))'
# The machine's Node.js when it is new enough (20.19+), else the one installed as a Python package.
NODE_OK := $(shell node -e 'const [a,b]=process.versions.node.split(".").map(Number);process.stdout.write(a>20||(a===20&&b>=19)?"yes":"no")' 2>/dev/null || echo no)
NPM := PATH="$(if $(filter yes,$(NODE_OK)),,$(abspath $(BIN)):)$$PATH" npm --prefix $(UI)

.PHONY: help
help: ## print this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

.PHONY: run
run: setup ui ## set everything up and start Segloop with sample photos on http://127.0.0.1:8000
	@exec $(BIN)/python manage.py up --port $(PORT)

.PHONY: test
test: services check test-ui test-py test-postgres ## set everything up and run every check and test

# --- setting up -----------------------------------------------------------------------------
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3,11) <= sys.version_info[:2] < (3,14) else "Segloop needs Python 3.11 to 3.13; this is " + sys.version.split()[0] + ". Name another with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(STAMPS)/runtime: pyproject.toml deploy/constraints.txt | $(BIN)/python
	@echo "installing the Python packages (a minute or two the first time) ..."
	@$(PIP) -r <($(NEEDS))
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/dev: $(STAMPS)/runtime
	@echo "installing the test and lint packages ..."
	@$(PIP) -r <($(NEEDS) dev)
	@touch $@

$(STAMPS)/node: $(STAMPS)/runtime
	@if [ "$(NODE_OK)" != yes ]; then echo "no Node.js 20.19+ found: installing it as a Python package ..."; $(PIP) -r <($(NEEDS) frontend); fi
	@touch $@

$(UI)/node_modules/.package-lock.json: $(UI)/package-lock.json $(STAMPS)/node
	@echo "installing the front end's packages ..."
	@$(NPM) ci --no-audit --no-fund --loglevel=error
	@touch $@

UI_SOURCES := $(shell find $(UI)/src $(UI)/scripts $(UI)/*.json $(UI)/*.ts -type f 2>/dev/null)
$(UI)/dist/manifest.json: $(UI_SOURCES) $(UI)/node_modules/.package-lock.json
	@echo "building the front end ..."
	@$(NPM) run --silent build
	@touch $@

.PHONY: setup setup-dev ui services
setup: $(STAMPS)/runtime ## install what the product needs into .venv
setup-dev: $(STAMPS)/dev ## install what tests and checks need too
ui: $(UI)/dist/manifest.json ## build the front end
services: ## find (or, as root with apt, install) the browser, PostgreSQL and Redis that tests use
	@bash tests/services.sh

# What is generated from the API's schemas: its published form, the page's types, the client's models.
API_FILES := docs/openapi.json $(UI)/src/api/schema.gen.ts client/segloop_client/models.py
.PHONY: contracts contracts-check
contracts: setup-dev $(UI)/node_modules/.package-lock.json ## rewrite what is generated from the API's schemas
	@$(BIN)/python manage.py export_openapi_schema --api annotator_ui.api.api --indent 1 --sorted --output docs/openapi.json
	@$(NPM) run --silent api-types
	@$(BIN)/python client/generate_models.py docs/openapi.json client/segloop_client/models.py
contracts-check: setup-dev $(UI)/node_modules/.package-lock.json
	@old=$$(cksum $(API_FILES)); $(MAKE) --no-print-directory contracts; \
	  [ "$$old" = "$$(cksum $(API_FILES))" ] || { echo "generated files were out of date and are rewritten: look at them and commit"; exit 1; }

# --- publishing -----------------------------------------------------------------------------
$(STAMPS)/docs: $(STAMPS)/runtime
	@echo "installing the documentation's packages ..."
	@$(PIP) -r <($(NEEDS) docs)
	@touch $@

$(STAMPS)/wheel: $(STAMPS)/runtime
	@$(PIP) -r <($(NEEDS) wheel)
	@touch $@

.PHONY: docs docs-serve wheel
docs: $(STAMPS)/docs ## build the documentation into site/; any warning is an error
	@$(BIN)/python -m mkdocs build --strict --quiet && echo "documentation: site/index.html"
docs-serve: $(STAMPS)/docs ## show the documentation on http://127.0.0.1:8001 while it is written
	@$(BIN)/python -m mkdocs serve --dev-addr 127.0.0.1:8001
wheel: $(STAMPS)/wheel ui ## build dist/segloop-*.whl, with the front end and the starter inside
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist . && ls dist/segloop-*.whl

# --- checking -------------------------------------------------------------------------------
.PHONY: check format lint types imports migrations
check: lint types imports migrations contracts-check ## lint, types, import contracts, migrations, generated files
format: setup-dev $(UI)/node_modules/.package-lock.json ## format the code
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .
	@$(NPM) run --silent format
lint: setup-dev
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
types: setup-dev
	@$(BIN)/mypy
imports: setup-dev
	@$(BIN)/lint-imports
migrations: setup-dev
	@$(BIN)/python manage.py makemigrations --check --dry-run

# One process a core, whole files each; `make test-py JOBS=0` runs them one after another.
JOBS ?= auto
SIDE_BY_SIDE := -n $(JOBS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: test-py test-ui test-postgres test-fast faults
test-ui: setup-dev ui ## lint, type-check and test the front end
	@$(NPM) run --silent lint && $(NPM) run --silent typecheck && $(NPM) test --silent
test-py: setup-dev ui ## every Python test: libraries, services, real workers, real browser
	@$(BIN)/pytest -q $(SIDE_BY_SIDE)
test-postgres: setup-dev ## the tests of tables, services and pages once more, on PostgreSQL
	@$(BIN)/python -m tests.on_postgres pytest -q $(SIDE_BY_SIDE) tests/engine tests/annotator_ui
faults: setup-dev ## the full fault test: 60 kills, 150 jobs, 2,000 saves on each database (minutes)
	@SEGLOOP_FAULTS=full SEGLOOP_FAULTS_REPORT=faults-report.jsonl $(BIN)/pytest -q -s --timeout 1800 tests/faults
test-fast: setup-dev ## without browser, Celery and other long tests
	@$(BIN)/pytest -q $(SIDE_BY_SIDE) -m "not e2e and not postgres and not slow"

.PHONY: clean
clean: ## remove everything that was installed or built (not the data in var/)
	rm -rf $(VENV) $(STAMPS) $(UI)/node_modules $(UI)/dist dist site .mypy_cache .ruff_cache .pytest_cache
