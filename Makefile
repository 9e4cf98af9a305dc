# Every verb sets up .venv by itself, once, and again only when the packaging files change.
PYTHON ?= python3
RUN := .venv/bin
READY := .venv/installed

.PHONY: demo test test-fast check build bench tables clean

demo: $(READY)  ## train three tasks in a row, plainly and with retention; print both matrices, draw the picture
	rm -rf runs/demo
	$(RUN)/nestrl train quick-3 --method finetune --folder runs/demo/finetune
	$(RUN)/nestrl train quick-3 --method cloning --folder runs/demo/cloning
	$(RUN)/nestrl report runs/demo/finetune runs/demo/cloning --picture runs/demo/skills.png

test: $(READY)  ## the whole test suite
	$(RUN)/python -m pytest -n 2 --dist loadgroup

test-fast: $(READY)  ## about a minute
	$(RUN)/python -m pytest -n 2 --dist loadgroup -m fast

check: $(READY)  ## style and types
	$(RUN)/ruff check . && $(RUN)/ruff format --check . && $(RUN)/mypy

build: $(READY)  ## wheel and source archive in dist/
	$(RUN)/python -m build --no-isolation

bench: $(READY)  ## speed beside stable-baselines3's own vector environments -> results/benchmark.json
	$(RUN)/python scripts/benchmark.py

tables: $(READY)  ## rewrite docs/worlds/, docs/methods.md, docs/levels.md, docs/options.md and the tables of README and docs/ from the tasks and from results/
	$(RUN)/python scripts/task_docs.py && $(RUN)/python scripts/method_docs.py && $(RUN)/python scripts/learning_curves.py && $(RUN)/python scripts/regimes.py && $(RUN)/python scripts/fill_tables.py

clean:  ## build outputs and caches; never runs/, results/ or .venv
	rm -rf dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis && find nestrl envs scripts tests -name __pycache__ -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	test -x $(RUN)/python || $(PYTHON) -m venv .venv
	$(RUN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@
