# One command per need, the same on a laptop and in continuous integration. `make` lists them.

.DEFAULT_GOAL := help
.PHONY: help up setup check check-deployment test test-unit test-services test-containers chaos bench lock clean

# The first Python on PATH that is new enough; PYTHON=… names another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$python; break; fi; done)

BIN := .venv/bin
# Further arguments for the command: make up ARGS='--port 9000', make test ARGS='-k position'.
ARGS ?=

# Tests start `penstock` as a user would, hundreds of times: what it imports is compiled once, whatever the environment says.
TESTING := PYTHONDONTWRITEBYTECODE= PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m
PYTEST := $(TESTING) pytest

# Three processes, a file each: many tests wait for something most of the time. Each process starts services of its own.
SIDE_BY_SIDE := -n 3 --dist loadfile

define bootstrap
	@python="$(PYTHON)"; if ! "$${python:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo "penstock needs Python 3.11 or newer, and $${python:-python3} is $$("$${python:-python3}" -c 'import platform; print(platform.python_version())' 2>/dev/null || echo missing). Install one (Debian, Ubuntu: apt-get install python3 python3-venv; macOS: brew install python), or name it: make PYTHON=/path/to/python3" >&2; exit 1; fi; \
	"$$python" tools/bootstrap.py $(1)
endef

help: ## List the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "  make %-16s %s\n", $$1, $$2 }'

up: ## Start penstock: everything in one process, data in ./penstock-data (ARGS='--port 9000')
	$(call bootstrap)
	@exec $(BIN)/penstock up $(ARGS)

setup: ## Make .venv with all that development needs
	$(call bootstrap,--dev)

check: setup check-deployment ## Formatting, lint, types, direction of imports, deployment files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check-deployment: setup
	$(BIN)/hadolint Dockerfile tests/containers/stand_ins/*/Dockerfile
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yml
	@{ sed -n 's/.*$${\([A-Z]*_IMAGE\):-\([^}]*\)}.*/\1=\2/p' docker-compose.yml; sed -n 's/^ARG \([A-Z]*_IMAGE\)=/\1=/p' Dockerfile; } \
		| sort -u | grep -v '^PENSTOCK_IMAGE=' > .venv/images && grep -v '^#' images.env | sort | diff - .venv/images \
		|| { echo "Dockerfile or docker-compose.yml name other images than images.env" >&2; exit 1; }

test: check ## All checks and all tests, with a real Kafka and a ClickHouse engine (ARGS='-k position')
	$(PYTEST) -m "not bench" $(SIDE_BY_SIDE) $(ARGS)

test-unit: setup ## The tests that need no service: seconds
	$(PYTEST) -m "not services and not bench" $(ARGS)

test-services: setup ## The tests that need a service, which they start
	$(PYTEST) -m "services and not bench" $(ARGS)

test-containers: setup ## Proves Dockerfile and docker-compose.yml: used, scaled, killed, replaced under load, verified
	$(TESTING) tests.containers $(ARGS)

# Each is an option of `python -m tests.chaos`, and empty here: its default.
FORM ?=
SEED ?=
MINUTES ?=
EVENTS ?=
KILLS ?=
CHAOS := $(foreach name,FORM SEED MINUTES EVENTS KILLS,$(if $($(name)),--$(shell echo $(name) | tr A-Z a-z) $($(name))))

chaos: setup ## Load and random faults, then every event is looked for (FORM=embedded|kafka MINUTES=… EVENTS=… KILLS=… SEED=…)
	$(TESTING) tests.chaos $(CHAOS) $(ARGS)

bench: setup ## The benchmarks
	$(PYTEST) -m bench -s -o python_files="test_*.py bench_*.py" --timeout 1800 tests/bench $(ARGS)

lock: setup ## Renew uv.lock from pyproject.toml (ARGS=--upgrade for newer versions)
	$(BIN)/uv lock $(ARGS)

clean: ## Remove what was built and installed here; data stays
	rm -rf .venv build dist .mypy_cache .ruff_cache .import_linter_cache .hypothesis .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
