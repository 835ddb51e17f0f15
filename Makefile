# Needs git, make and Python >= 3.11; everything else is installed into .venv by `make env`.
SHELL := /bin/sh
.DEFAULT_GOAL := help
export PYTHON TRACE_PATH

BIN := .venv/bin
SAY := printf '\n==> %s\n'
COMMA := ,
ENGINE_CHECK = $(if $(filter-out batsim,$(ENGINE)),$(error ENGINE=$(ENGINE) is unknown: pass ENGINE=batsim, or none for the engine of this project))
STRIP := $(BIN)/nbstripout --keep-count --extra-keys metadata.language_info

.PHONY: help env book test outputs data train plot simulate-KTH simulate-LLNL bench serve lock clean

help: ## list the targets
	@echo 'make TARGET, where TARGET is one of'
	@awk -F ':.*## ' '/^[A-Za-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile

env: ## create or refresh .venv (PYTHON=python3.12 chooses the interpreter)
	@sh scripts/make_env.sh

# Threads of trees and processes wait for each other busily; on a machine that does other work too
# two of them take five times the processor time of one, and longer.
book: export OMP_NUM_THREADS := $(or $(OMP_NUM_THREADS),1)
book: env ## execute the chapters and build the HTML book
	@$(SAY) 'Building the book (chapters run through the execution cache)'
	@rm -rf _build/html/reports _build/html/index.html
	@trap 'echo "Interrupted. Finished chapters are kept: make book goes on from here." >&2; exit 130' INT; \
	status=0; $(BIN)/jupyter-book build . -W -n --keep-going || status=$$?; \
	if [ $$status -ne 0 ]; then \
		for log in _build/html/reports/*.err.log _build/html/reports/*/*.err.log; do \
			if [ -f "$$log" ]; then $(SAY) "$$log (its end)"; tail -n 25 "$$log"; fi; \
		done; \
		echo 'The book was not built: see the warnings and logs above.' >&2; exit $$status; \
	fi
	@test -f _build/html/index.html || { echo 'The build wrote no _build/html/index.html.' >&2; exit 1; }
	@$(SAY) 'The book is ready:'; echo "$$(pwd)/_build/html/index.html"

test: export OMP_NUM_THREADS = 1
test: env ## lint, types, unit and property tests, then the chapters as tests
	@$(SAY) 'Lint and types'
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(SAY) 'Unit, property and integration tests'
	@$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder tests
	@$(SAY) 'Chapters carry no outputs but the compared ones'
	@$(STRIP) --verify chapters/*.ipynb || { echo 'Clean them with: make outputs' >&2; exit 1; }
	@$(SAY) 'Chapters as tests'
	@EXAWATT_EFFORT=test $(BIN)/pytest --nbval-lax --nbval-cell-timeout=600 --timeout=1200 chapters/*.ipynb

outputs: env ## refresh the outputs that the chapters keep for comparison, and strip the others
	@EXAWATT_EFFORT=test $(BIN)/jupyter nbconvert --to notebook --execute --inplace chapters/*.ipynb
	@$(STRIP) chapters/*.ipynb

data: env ## download the traces and series that are not here yet, and check them
	@$(BIN)/exawatt traces fetch --all

train: export OMP_NUM_THREADS = 1
train: env ## make the stored results again, where the real logs are (stopped, it goes on)
	@$(SAY) 'Tables of the chapter on prediction: about an hour'
	@$(BIN)/python experiments/train_prediction.py
	@$(SAY) 'Models of the energy of jobs, in _build/models'
	@for data in kabre zeus; do $(BIN)/python scripts/train_energy_surrogate.py --data $$data --output _build/models/energy-$$data || exit $$?; done

plot: env ## one-page energy report of any trace: make plot TRACE_PATH=my.swf
	@$(BIN)/python scripts/plot_report.py "$$TRACE_PATH"

simulate-KTH: env ## replay the KTH trace under FCFS and EASY (ENGINE=batsim: EASY through pybatsim)
	$(ENGINE_CHECK)
	@$(if $(filter batsim,$(ENGINE)),sh batsim/run_replay.sh batsim/config_kth.json --output _build/batsim-kth,$(BIN)/exawatt compare KTH-SP2 --policies fcfs$(COMMA)easy)

simulate-LLNL: env ## replay the LLNL Thunder trace under FCFS and EASY (or ENGINE=batsim)
	$(ENGINE_CHECK)
	@$(if $(filter batsim,$(ENGINE)),sh batsim/run_replay.sh batsim/config_llnl.json --output _build/batsim-llnl,$(BIN)/exawatt compare LLNL-Thunder --policies fcfs$(COMMA)easy)

bench: env ## run every benchmark
	@for script in benchmarks/*.py; do \
		if [ -f "$$script" ]; then $(SAY) "$$script"; $(BIN)/python "$$script" || exit 1; fi; \
	done

serve: ## show the built book in a browser (PORT=8000)
	@test -f _build/html/index.html || { echo 'Nothing built yet: run make book first.' >&2; exit 1; }
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html $(or $(PORT),8000)

lock: env ## refresh requirements.txt from pyproject.toml (UPGRADE=1 takes newer versions)
	@$(SAY) 'Resolving'
	@test -x _build/lock/bin/uv || { $(BIN)/python -m venv --clear _build/lock && _build/lock/bin/python -m pip install -q uv; }
	@_build/lock/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --all-extras \
		--no-emit-index-url --no-annotate --custom-compile-command 'make lock  (or make lock UPGRADE=1)' \
		$(if $(UPGRADE),--upgrade) --output-file requirements.txt

clean: ## remove the built book and caches (.venv stays)
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache .hypothesis
