# make run    a picture from workflows/text_to_image.json   (make run PROMPT="a blue car")
# make serve  the server on http://127.0.0.1:8188
# make test   the test suite                                (make test-all: the slow tests too)
# make fuzz   12,000 requests, sound and hostile, to a server made for it
# TORCH=SPEC chooses the build of torch that is installed; PYTHON=python3.12 the Python.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
TORCH ?= torch
WORKFLOW ?= workflows/text_to_image.json
PROMPT ?=
BIN = .venv/bin
export PROMPT

.PHONY: run serve test test-all fuzz lint format bench clean
.DEFAULT_GOAL := run

run: .venv/installed
	@$(BIN)/python main.py run "$(WORKFLOW)" $${PROMPT:+--prompt "$$PROMPT"} $(ARGS)

serve: .venv/installed
	@$(BIN)/python main.py serve $(ARGS)

test: .venv/installed-test
	@$(BIN)/python -m pytest -m "not slow" $(ARGS)

test-all: .venv/installed-test
	@$(BIN)/python -m pytest $(ARGS)

fuzz: .venv/installed-test
	@$(BIN)/python -m pytest -m slow -s tests/server/test_fuzz.py $(ARGS)

lint: .venv/installed-lint
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

format: .venv/installed-lint
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

bench: .venv/installed-test
	@$(BIN)/python benchmarks/graph.py
	@$(BIN)/python benchmarks/sampler.py
	@$(BIN)/python benchmarks/server.py

clean:
	rm -rf .venv

.venv/installed: pyproject.toml
	@$(if $(PYTHON),,echo "error: no Python 3.11 or newer found; install one, or say which: make PYTHON=/path/to/python3.12 …"; exit 1)
	@$(PYTHON) install.py --torch "$(TORCH)"

.venv/installed-%: pyproject.toml .venv/installed
	@$(BIN)/python install.py --torch "$(TORCH)" --extra $*
