# make run    everything on this machine, at http://localhost:4000
# make test   every test, on a real PostgreSQL
# make check  style, types, imports
# make bench  the figures of docs/performance.md
# make lock   the newest packages that pyproject.toml allows, with their hashes
# make clean  forget the environment and all caches; the data in .livedrop stays

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help run test check bench lock clean
.DEFAULT_GOAL := help

help:
	@sed -n '/^$$/q; s/^# //p' Makefile

run: $(VENV)/for-run
	@exec $(BIN)/livedrop up --demo --with-parent

test: $(VENV)/for-test
	$(BIN)/pytest -n auto --maxprocesses 8

check: $(VENV)/for-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/for-test
	$(BIN)/livedrop bench

# The environment, made again when what it holds has changed. One that was moved or copied with its folder leads
# back to where it was made, so that is made again too; and so is one that another Python made.
PLACE := $(CURDIR) $(shell $(PYTHON) -c 'import sys; print(sys.base_prefix, sys.version.split()[0])' 2>/dev/null)
ifeq ($(shell cat $(VENV)/place 2>/dev/null),$(PLACE))
IN_PLACE := yes
else
.PHONY: $(VENV)/for-run $(VENV)/for-test
endif

$(VENV)/for-run: requirements.txt pyproject.toml
	$(call install,requirements.txt)

$(VENV)/for-test: requirements-dev.txt pyproject.toml
	$(call install,requirements-dev.txt)

define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "LiveDrop needs Python 3.11, and \"$(PYTHON)\" is none. On Debian or Ubuntu: apt install python3.11 python3.11-venv; or name another: make $(MAKECMDGOALS) PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "Python's venv module is missing. On Debian or Ubuntu: apt install python3.11-venv" >&2; exit 1; }
	@echo "Installing the packages of $(1) into $(VENV) (a minute or two, the first time) ..."
	@$(PYTHON) -m venv $(if $(wildcard $(VENV)/place),$(if $(IN_PLACE),,--clear)) $(VENV)
	@$(PIP) --require-hashes -r $(1)
	@$(PIP) --no-deps --no-build-isolation --editable .
	@printf '%s' "$(PLACE)" > $(VENV)/place
	@touch $@
endef

UV ?= $(shell command -v $(BIN)/uv || command -v uv || echo uv)
LOCK = UV_PYTHON_DOWNLOADS=never $(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock"

lock:
	@$(UV) --version >/dev/null || { echo "make lock needs uv (https://docs.astral.sh/uv)" >&2; exit 1; }
	$(LOCK) pyproject.toml --group build -o requirements.txt
	$(LOCK) pyproject.toml --group build --group dev --constraints requirements.txt -o requirements-dev.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find src tests migrations bench -name __pycache__ -type d -exec rm -rf {} +
