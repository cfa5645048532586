# make run    draw a picture from workflows/text_to_image.json   (make run PROMPT="a blue car")
# make serve  start the server and its editor at http://127.0.0.1:8188   (make web: only build the editor)
# make test   run the fast tests   (make test-all: also the slow ones)
# make lint   check the Python with ruff and mypy, web/ with Biome   (make format: let them rewrite the files)
# make front-ends   fetch the releases of ComfyUI's front end that the browser tests try
# make fuzz   send 12,000 valid and hostile requests to a server of its own
# make bench  measure the figures in README.md
# make lesson  make the pictures in docs/lesson.md
# make tiny-pictures   make the captioned pictures that train the embedded model
# make bench-model     measure how well the embedded model follows its prompts
# make clip   train the small CLIP; make bench-clip measures it
# make lcm    distil the embedded model into models/loras/sumi-tiny-lcm.safetensors, which draws in four steps
# make model  train the embedded model from scratch; stop it at any time, and run it again to continue
# Without make: python install.py, then python main.py.
# TORCH=SPEC chooses the build of torch to install, PYTHON=python3.12 the Python.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
TORCH ?= torch
WORKFLOW ?= workflows/text_to_image.json
PROMPT ?=
BIN = .venv/bin
export PROMPT

.PHONY: run serve web test test-all test-web front-ends fuzz lint format bench docs lesson tiny-pictures model lcm bench-model clip bench-clip clean
.DEFAULT_GOAL := run

run: .venv/installed
	@$(BIN)/python main.py run "$(WORKFLOW)" $${PROMPT:+--prompt "$$PROMPT"} $(ARGS)

serve: .venv/installed
	@$(MAKE) --no-print-directory web || echo "error: cannot build the editor; the server runs without it"
	@$(BIN)/python main.py serve $(ARGS)

web: web/dist/index.html

# install.py finds Node.js, or installs one into .venv, whose programs come first.
WITH_NODE = PATH="$(CURDIR)/$(BIN):$$PATH"
NPM = cd web && $(WITH_NODE) npm
WEB_SOURCES = $(shell find web/src workflows -type f 2>/dev/null) $(wildcard docs/lesson*.md) web/index.html web/vite.config.ts web/package.json

web/dist/index.html: web/node_modules/.package-lock.json $(WEB_SOURCES)
	@$(PYTHON) install.py --only editor

web/node_modules/.package-lock.json: web/package-lock.json
	@$(PYTHON) install.py --only npm

test-web: web/node_modules/.package-lock.json
	@$(NPM) test --silent

FRONT_ENDS = 1.27.10 1.58.1
front-ends: $(FRONT_ENDS:%=.front-ends/%/index.html)

.front-ends/%/index.html: .venv/installed
	@mkdir -p .front-ends/wheels
	@$(BIN)/pip download --quiet --no-deps --dest .front-ends/wheels comfyui-frontend-package==$*
	@$(BIN)/python -m zipfile -e .front-ends/wheels/comfyui_frontend_package-$*-py3-none-any.whl .front-ends/wheels/$*
	@mv .front-ends/wheels/$*/comfyui_frontend_package/static .front-ends/$* && touch $@

# Two processes with a thread each: most slow tests wait for a browser or a server.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test: .venv/installed-test
	@$(PYTEST) -m "not slow" $(ARGS)

test-all: test
	@$(PYTEST) -m slow $(ARGS)

fuzz: .venv/installed-test
	@$(BIN)/python -m pytest -m slow -s tests/server/test_fuzz.py $(ARGS)

lint: .venv/installed-lint web/node_modules/.package-lock.json
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	@$(NPM) run --silent lint

format: .venv/installed-lint web/node_modules/.package-lock.json
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .
	@$(NPM) run --silent format

bench: .venv/installed-test
	@$(BIN)/python benchmarks/first_picture.py
	@$(BIN)/python benchmarks/graph.py
	@$(BIN)/python benchmarks/nodes.py
	@$(BIN)/python benchmarks/sampler.py
	@$(BIN)/python benchmarks/vae.py
	@$(BIN)/python benchmarks/memory.py
	@$(BIN)/python benchmarks/text.py
	@$(BIN)/python benchmarks/gpu.py
	@$(BIN)/python benchmarks/fewer_calls.py --sd15
	@$(BIN)/python benchmarks/lora.py
	@$(BIN)/python benchmarks/server.py
	@$(BIN)/python benchmarks/training.py

docs: .venv/installed
	@$(BIN)/python -m commands.node_docs && $(BIN)/python -m commands.wiring_tables

lesson: .venv/installed
	@$(BIN)/python -m workflows.make_lesson

tiny-pictures: models/tiny/pictures/metadata.jsonl

models/tiny/pictures/metadata.jsonl: .venv/installed-pictures models/tiny/node_modules/.package-lock.json \
		$(wildcard models/tiny/*.py models/tiny/*.toml models/tiny/*.json)
	@$(BIN)/python models/tiny/make_pictures.py

models/tiny/node_modules/.package-lock.json: models/tiny/package-lock.json
	@$(PYTHON) install.py --only node
	@cd models/tiny && $(WITH_NODE) npm ci --silent && touch node_modules/.package-lock.json

model: .venv/installed tiny-pictures
	@$(BIN)/python main.py run workflows/train_tiny.json --input-directory models/tiny $(ARGS)

# A finished run is removed, so that the next one starts from the present checkpoint; a stopped one continues.
lcm: .venv/installed tiny-pictures
	@$(BIN)/python main.py run workflows/train_lcm.json --input-directory models/tiny $(ARGS)
	@mkdir -p models/loras && mv output/training/lcm/lora.safetensors models/loras/sumi-tiny-lcm.safetensors
	@rm -r output/training/lcm

bench-model: tiny-pictures
	@$(BIN)/python benchmarks/model.py $(ARGS)

clip: .venv/installed tiny-pictures
	@$(BIN)/python models/tiny/hold_out.py models/tiny/pictures models/tiny/pictures/clip
	@$(BIN)/python main.py run models/tiny/train_clip.json --input-directory models/tiny/pictures $(ARGS)

bench-clip: .venv/installed tiny-pictures
	@$(BIN)/python benchmarks/clip.py $(ARGS)

clean:
	rm -rf .venv .front-ends web/node_modules web/dist models/tiny/node_modules models/tiny/pictures

.venv/installed: pyproject.toml
	@$(if $(PYTHON),,echo "error: found no Python 3.11 or newer; install one, or choose it: make PYTHON=/path/to/python3.12 …"; exit 1)
	@$(PYTHON) install.py --only packages --torch "$(TORCH)"

.venv/installed-%: pyproject.toml .venv/installed
	@$(BIN)/python install.py --only packages --torch "$(TORCH)" --extra $*
