# Everything a person types here. Needs a POSIX make and shell, and any python3: `make setup` says
# in words when that Python is too old, and installs everything else into .venv.

WORKERS ?= 2
SEEDS ?= 200
VENV = .venv/bin
# Never put the working directory on sys.path: services/signal must not hide the standard library's.
SAFELY = PYTHONSAFEPATH=1 $(VENV)
LOCK = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header

.PHONY: help setup run test chaos simulate simulate-mutants check format lock bench bench-orders bench-guards bench-venue bench-tape conformance fuzz faults feed-hours pnl-run bench-feed bench-feed-memory drift drill-containers scan-secrets audit sbom clean

help:
	@echo 'make setup    create .venv and install the locked requirements'
	@echo 'make run      trade on the built-in paper exchange until Ctrl-C (ARGS="--speed 20")'
	@echo 'make test     every test (PYTEST_ARGS="tests/unit -k intent")'
	@echo 'make chaos    kill every service in turn during a whole run, and leaders of the feed; judge both'
	@echo 'make simulate run the services under seeded faults (SEEDS=2000, ARGS="--seed 7" for one story)'
	@echo 'make simulate-mutants plant deliberate bugs and see each of them noticed'
	@echo 'make check    format, lint, types, import contracts, house rules'
	@echo 'make format   let ruff format and sort what it can'
	@echo 'make lock     resolve the requirements again, with hashes (needs uv)'
	@echo 'make bench    measure the pipeline (ARGS="--seconds 10")'
	@echo 'make bench-orders  what a client costs an order, beside python-binance and aiohttp'
	@echo 'make bench-guards  what a decision costs, beside eight Redis commands (needs redis-server)'
	@echo 'make bench-feed    the feed beside python-binance and a bare picows + msgspec loop'
	@echo 'make bench-feed-memory  the memory of the feed over an hour of market time, 300 symbols'
	@echo 'make conformance  let clients that others wrote judge the paper exchange (ARGS="--client ccxt")'
	@echo 'make bench-venue what the paper exchange bears: orders a second, subscribers'
	@echo 'make bench-tape  replay tapes, and see that nothing is lost (ARGS="--path FILE")'
	@echo 'make fuzz     ask the paper exchange 100,000 things, right and wrong (ARGS="--seed 7")'
	@echo 'make faults   inject every fault of streams, answers and keys, and see each detected and healed'
	@echo 'make feed-hours  six hours of market time under stream faults: candles equal the venue'
	@echo 'make pnl-run  trade at random, and compare our profit and loss with the venue (ARGS="--seed 7 --steps 200")'
	@echo 'make drift    do by hand all that can drift, and see it found and made good (ARGS="--only *stop*")'
	@echo 'make drill-containers  start everything with docker compose, kill each part, and judge'
	@echo 'make scan-secrets  look for secrets in every file and in the whole history (ARGS="--staged")'
	@echo 'make audit    known vulnerabilities of what we depend on, and faults of the workflows'
	@echo 'make sbom     write what we depend on as CycloneDX into build/sbom (ARGS="--image portcullis")'
	@echo 'make clean    remove .venv and every cache'
	@echo 'PYTHON=python3.12 chooses the Python for .venv; otherwise the newest of 3.13, 3.12, 3.11.'

setup:
	@PYTHON='$(PYTHON)'; export PYTHON; \
	$(VENV)/python -I -S scripts/setup.py --is-ready 2>/dev/null && exit 0; \
	for python in python3 python3.13 python3.12 python3.11 $$PYTHON; do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null; then \
	    exec "$$python" scripts/setup.py; \
	  fi; \
	done; \
	echo 'Portcullis needs Python 3.11, 3.12 or 3.13, and none runs here. Install one or set PYTHON=python3.12' >&2; \
	exit 1

run: setup
	@exec env $(SAFELY)/portcullis run $(ARGS)

test: setup
	@exec env $(SAFELY)/python -m pytest -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

chaos: setup
	@exec env $(SAFELY)/python -m pytest tests/chaos -m chaos $(PYTEST_ARGS)

simulate: setup
	@exec env PYTHONPATH=. $(SAFELY)/python -m sim simulate --seeds $(SEEDS) $(ARGS)

simulate-mutants: setup
	@exec env PYTHONPATH=. $(SAFELY)/python -m sim mutants $(ARGS)

check: setup
	@exec env $(SAFELY)/python scripts/check.py

format: setup
	@$(VENV)/ruff check --quiet --fix --exit-zero . && $(VENV)/ruff format .

lock:
	@command -v uv >/dev/null || { echo 'make lock needs uv: pip install uv' >&2; exit 1; }
	@$(LOCK) pyproject.toml --output-file requirements.lock
	@$(LOCK) pyproject.toml --group dev --constraint requirements.lock --output-file requirements-dev.lock
	@$(LOCK) scripts/supply.in --output-file scripts/supply.lock

bench: setup
	@exec env PYTHONPATH=. $(SAFELY)/python -m bench.pipeline $(ARGS)

bench-orders: setup
	@exec env PYTHONPATH=. $(SAFELY)/python -m bench.order_submission $(ARGS)

bench-guards: setup
	@exec env PYTHONPATH=. $(SAFELY)/python -m bench.guard_cost $(ARGS)

bench-feed: setup
	@exec env PYTHONPATH=. $(SAFELY)/python -m bench.feed_flood $(ARGS)

bench-feed-memory: setup
	@exec env PYTHONPATH=. $(SAFELY)/python -m bench.feed_memory $(ARGS)

pnl-run: setup
	@exec env PYTHONPATH=. $(SAFELY)/python -m drills.pnl $(ARGS)

conformance: setup
	@exec env PYTHONPATH=. $(SAFELY)/python -m conformance $(ARGS)

bench-venue: setup
	@exec env PYTHONPATH=. $(SAFELY)/python -m bench.venue_load $(ARGS)

bench-tape: setup
	@exec env PYTHONPATH=. $(SAFELY)/python -m bench.tape_replay $(ARGS)

drift: setup
	@exec env PYTHONPATH=. $(SAFELY)/python -m drills.drift $(ARGS)

drill-containers: setup
	@exec env PYTHONPATH=. $(SAFELY)/python -m scripts.container_drill $(ARGS)

fuzz: setup
	@PYTHONPATH=. $(SAFELY)/python -m fuzz requests $(ARGS)
	@PYTHONPATH=. $(SAFELY)/python -m fuzz sockets $(ARGS)
	@PYTHONPATH=. $(SAFELY)/python -m fuzz simulation $(ARGS)

faults: setup
	@exec env PYTHONPATH=. $(SAFELY)/python -m drills faults $(ARGS)

feed-hours: setup
	@exec env PYTHONPATH=. $(SAFELY)/python -m drills hours $(ARGS)

# Before any setup too: a hook must not wait for an installation.
scan-secrets:
	@exec "$$(command -v $(VENV)/python || command -v python3)" -I scripts/scan_secrets.py $(ARGS)

audit: setup
	@exec env $(SAFELY)/python scripts/supply.py audit

sbom: setup
	@exec env $(SAFELY)/python scripts/supply.py sbom $(ARGS)

clean:
	rm -rf .venv .venv-conformance .venv-fuzz .venv-supply build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
