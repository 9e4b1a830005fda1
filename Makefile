# Everything here does its own set-up: a machine needs Python 3.11 or newer and make, and nothing typed before.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# The rooms that have no effects, and the habits of the house.
PURE := $(wildcard tests/domain tests/parse tests/judge tests/capacity tests/release tests/resilience tests/house)
BENCHES := switch services judge exposure scale failover

.PHONY: demo test long check bench soak digests lock clean

demo: $(STAMP)
	$(BIN)/celadon demo

test: $(STAMP)
	$(BIN)/python -m pytest -m "not long"

# The tests that live through whole stories with real processes: as many minutes as all others together.
long: $(STAMP)
	$(BIN)/python -m pytest -m long

docs/reference/service.schema.json: $(STAMP) src/celadon/parse/shape.py src/celadon/parse/fields.py src/celadon/parse/release_shape.py src/celadon/parse/defaults.py
	$(BIN)/python -c "import json; from celadon.parse.shape import json_schema; print(json.dumps(json_schema(), indent=2))" > $@

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q $(PURE)

bench: $(STAMP)
	@for name in $(BENCHES); do $(BIN)/python -m bench.$$name || exit $$?; done

# What comes to pass in the first thousand worlds, after a change that is meant to change it.
digests: $(STAMP)
	$(BIN)/python -m celadon.sim --seeds 1000 --write

# Two hours, so it is none of the benchmarks: does anything grow that should not?
soak: $(STAMP)
	$(BIN)/python -m bench.soak --minutes 120 --json
	$(BIN)/python -m bench.soak --draw build/soak.svg

# Made anew only when pyproject.toml changes; uv is used for nothing else, so it gets an environment of its own.
lock:
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet uv
	build/lock/bin/uv pip compile --quiet --universal --generate-hashes --all-extras --no-emit-index-url \
		--no-header --python-version 3.11 pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "celadon needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@
