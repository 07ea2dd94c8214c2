# make episode: run one simulated episode.   make benchmark: a success rate and its report.   make test: check everything.
# Whichever comes first makes the environment; it is made again only when pyproject.toml or constraints.txt change.
# ARGS passes arguments, PYTHON picks the interpreter, VENV the environment's folder.
PYTHON ?= python3.11
VENV   ?= .venv
ARGS   ?=
bin    := $(VENV)/bin

.PHONY: episode benchmark test lint clean
episode: $(VENV)/.installed
	$(bin)/python scripts/run_episode.py $(ARGS)

benchmark: $(VENV)/.installed
	$(bin)/python scripts/benchmark.py suite=quick $(ARGS)

test: lint
	$(bin)/python -m pytest -q -n 2 $(ARGS)

lint: $(VENV)/.installed
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/pyright --pythonpath $(bin)/python
	$(bin)/lint-imports

# The stamp is written last, so that an interrupted installation starts anew.
$(VENV)/.installed: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: vla-runtime is tested with Python 3.11, the newest for which pybullet has a wheel; name another with PYTHON=" >&2; exit 1; }
	@echo "setting up $(VENV) (a few minutes, once)"
	$(PYTHON) -m venv --clear $(VENV)
	$(bin)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) outputs .pytest_cache .ruff_cache .hypothesis
