# Everything runs in .venv, made from requirements.lock. Needed: Python 3.11, a C compiler, a package index.
PYTHON ?= python3.11
BIN := .venv/bin
WORKERS ?= 2
BENCH_ARGS ?=
FUZZ_SECONDS ?= 60
SOAK_ARGS ?=
.DEFAULT_GOAL := test
.PHONY: demo test lint slow bench fuzz soak docs figures clean

.venv/stamp: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	touch $@

demo: .venv/stamp        ## walk-forward forecast of the WTI price: table, fan chart, report in demo_output/
	$(BIN)/python -m benchmarks.demo

test: .venv/stamp        ## the suite and the doctests (statistical suites: make slow)
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadscope --durations=10

lint: .venv/stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

slow: .venv/stamp        ## statistical guarantees, minutes to an hour
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal --durations=20 tests/slow

bench: .venv/stamp       ## accuracy on the benchmark series (../shared/bench or $$USP_BENCH), then speed
	$(BIN)/python benchmarks/accuracy.py --split synth_public $(BENCH_ARGS)
	$(BIN)/python benchmarks/accuracy.py --split public $(BENCH_ARGS)
	$(BIN)/python benchmarks/batch.py
	$(BIN)/python benchmarks/latency.py
	$(BIN)/python benchmarks/export.py
	$(BIN)/python -m benchmarks.stable
	$(BIN)/python benchmarks/ablation.py
	$(BIN)/python benchmarks/guide.py

fuzz: .venv/stamp        ## every parser of files and the command line under random input, FUZZ_SECONDS each
	for target in snapshot content manifest series command; do \
	  $(BIN)/python -m tests.fuzz.run $$target -max_total_time=$(FUZZ_SECONDS) -print_final_stats=0 || exit 1; done

soak: .venv/stamp       ## a million steps: memory, latency, the last ones again from a snapshot (SOAK_ARGS="--through update_predict")
	$(BIN)/python benchmarks/soak.py $(SOAK_ARGS)

docs: .venv/stamp        ## the documentation, its gallery run, warnings as errors: docs/_build/html/index.html
	$(BIN)/python docs/check_links.py
	rm -rf docs/generated
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

figures: .venv/stamp    ## redraws the figures of docs/math, ours over the oracle
	$(BIN)/python -m docs.math.figures

clean:
	rm -rf build dist demo_output docs/_build docs/generated docs/auto_gallery .pytest_cache .ruff_cache .mypy_cache .hypothesis benchmarks/results
	find usp_sklearn tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +
