# Everything here sets up what it needs: a virtual environment in .venv, this project in it with all extras, and the real
# parts (runtime clients, emulators) in the user's cache directory. `make doctor` says what is missing and how to get it.

PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$name; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# make test MARKS="" runs the slow tests too; make test ARGS="-k bucket" passes pytest anything else. JOBS processes share
# the files of tests, each with its own emulators: most tests wait rather than work.
MARKS ?= not slow
ARGS ?=
JOBS ?= 2

# Every process that a test starts would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: test test-slow conformance lint format demo doctor setup parts clean

test: lint parts
	$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m "$(MARKS)" $(ARGS)

test-slow:
	$(MAKE) --no-print-directory test MARKS=""

# Every case of the conformance suites with every driver: prints the matrix, and writes docs/conformance.md.
conformance: parts
	PORTABLE_REQUIRE_ALL=1 $(BIN)/pytest -m "" --conformance docs/conformance.md tests/adapters $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests/typing
	$(BIN)/pyright
	$(BIN)/lint-imports --no-logo

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The photographs are files that these two packages ship; their own dependencies are not needed. ARGS="--once" ends it.
demo: setup
	@$(BIN)/uv pip install --quiet --no-deps --python $(BIN)/python matplotlib scikit-image
	$(BIN)/python examples/thumbnails/demo.py $(ARGS)

doctor: setup
	$(BIN)/python -m portable.run.doctor

setup: $(READY)

# A part that cannot be had here is named, and whoever needs it says so again; the rest works without.
parts: setup
	@$(BIN)/python -m portable.run.doctor --install || true

$(READY): pyproject.toml Makefile
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed, and none is on PATH; or say make PYTHON=/path/to/python" >&2; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.5"
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --reinstall-package portable-functions \
		--group test --group lint --group bench --editable ".[aws,gcp,azure,azure-deploy,image,nats,redis,dev]"
	@touch $(READY)

clean:
	rm -rf $(VENV) dist build .portable .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find portable adapters tests examples -name __pycache__ -type d -prune -exec rm -rf {} +
