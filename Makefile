# Commands of the README and of CONTRIBUTING.md. To use another interpreter, run
# `make demo PYTHON=python3.12 VENV=.venv-3.12`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= runs/demo
TRAIN_DEMO ?= runs/train-demo
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: demo train-demo test test-all soak style types lint

demo: $(VENV)/.run  ## Draw four colourisations of each photograph in photos/.
	$(BIN)/python -m pic_jax colorize photos -o $(OUT)

train-demo: $(VENV)/.run  ## Train, evaluate and sample on patches of photos/.
	$(BIN)/python main.py --config=configs/demo.py --workdir=$(TRAIN_DEMO)
	$(BIN)/python main.py --mode=eval --workdir=$(TRAIN_DEMO)
	$(BIN)/python main.py --mode=sample --workdir=$(TRAIN_DEMO)

# The quick tests spend most of their time in the compiler, which takes half as
# long without optimisation. `make test-all` tests optimised programs.
test: $(VENV)/.test style  ## Run ruff and the quick tests.
	XLA_FLAGS="$$XLA_FLAGS --xla_backend_optimization_level=0" \
	  $(PYTEST) -m 'not slow' tests

test-all: $(VENV)/.test style types  ## Run ruff, pyright and all tests, as CI does.
	$(PYTEST) tests

soak: $(VENV)/.test  ## Kill a training run 30 times, and colouring 20 times.
	PIC_JAX_NUM_KILLS=30 $(BIN)/python -m pytest -s tests/processes/survival_test.py \
	  -k kill_9
	PIC_JAX_NUM_KILLS=20 $(BIN)/python -m pytest -s \
	  tests/photos/colorize_folder_test.py -k kill_9

style: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	for version in 3.11 3.12 3.13; do \
	  $(BIN)/pyright --pythonpath $(BIN)/python --pythonversion $$version \
	    --level error || exit 1; \
	done

lint: style types  ## Run ruff, pyright, and tsc on the JavaScript of the web app.
	@if command -v npx >/dev/null; then \
	  npx --yes --package typescript@5.9.3 tsc -p tests/app/jsconfig.json; \
	else echo 'No npx: the types of the JavaScript are not checked.' >&2; fi

$(VENV)/.run: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -r requirements.txt
	touch $@

$(VENV)/.test: $(VENV)/.run tests/requirements.txt
	$(BIN)/pip install --quiet -r tests/requirements.txt
	touch $@
