# Chat4All. `make run` starts a chat on this machine, `make test` runs every test.
# Needs: Python 3.11 or newer with its venv module, and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
ARGS ?=
# Set in many containers, it makes every process compile every module anew: seconds each for tests,
# whose assertions are rewritten first.
export PYTHONDONTWRITEBYTECODE =
# A file's tests share what they start; tests/conftest.py says which file comes first.
BY_TWO := --numprocesses 2 --dist loadfile --no-loadscope-reorder
# Where the fast tests have their files: a disk that is busy otherwise makes each commit wait. A
# container's /dev/shm is often too small (64 MB): at least 2 GiB have to be free.
IN_MEMORY := $(shell df -Pm /dev/shm 2>/dev/null | \
	awk 'NR == 2 && $$4 >= 2048 {print "PYTEST_DEBUG_TEMPROOT=/dev/shm"}')

# They wait for each other's threads more than they compute.
IN_THIS_PROCESS = $(IN_MEMORY) $(BIN)/pytest --quiet --numprocesses 4 -p no:schemathesis

.PHONY: run test tools fetched in-this-process endurance check lint types fast image-test cluster engines \
	engines-down format lock clean help

run: $(VENV)/run.stamp ## start everything on this machine
	@exec $(BIN)/chat4all up $(ARGS)

# Engines come while packages are installed and what needs none of them is tested.
test: ## every test, real processes and engines included
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=line fetched in-this-process
	$(BIN)/pytest -m "slow and not engines and not alone and not image and not endurance" $(BY_TWO)
	$(BIN)/pytest -m "engines and not alone and not endurance" $(BY_TWO)
	$(BIN)/pytest -m "alone and not endurance"

tools: $(VENV)/made # the programs that tests start
	@$(BIN)/python -m tests.have_tools

fetched: tools
	@$(BIN)/python -m engines fetch

in-this-process: tools lint types
	$(IN_THIS_PROCESS) -m "not slow"

endurance: $(VENV)/dev.stamp ## what takes long: failures again and again, for many minutes
	@$(BIN)/python -m engines fetch
	$(BIN)/pytest -m endurance -rP

check: lint types fast ## lint, types and fast tests

lint: $(VENV)/dev.stamp
	$(BIN)/ruff format --check --quiet . || { echo "run 'make format'"; exit 1; }
	$(BIN)/ruff check --quiet .
	$(BIN)/lint-imports > $(VENV)/imports.log || { cat $(VENV)/imports.log; exit 1; }

types: $(VENV)/dev.stamp
	$(BIN)/mypy

fast: $(VENV)/dev.stamp
	$(IN_THIS_PROCESS) -m "not slow and not thorough"

image-test: $(VENV)/dev.stamp ## build the image, start docker-compose.yml (root, Debian 12)
	$(BIN)/pytest -m image --capture=no tests/image

cluster: $(VENV)/cluster.stamp ## start engines and the three services; Ctrl-C stops all
	@exec $(BIN)/python -m engines cluster

engines: $(VENV)/made ## start Kafka, Cassandra, PostgreSQL, S3: eval "$(make -s engines)"
	@$(BIN)/python -m engines up

engines-down: $(VENV)/made ## stop them
	@$(BIN)/python -m engines down

format: $(VENV)/dev.stamp ## format and mend what can be mended
	$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

lock: $(VENV)/dev.stamp ## choose the newest versions anew
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --upgrade --python-version 3.11 \
		pyproject.toml -o requirements/run.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --upgrade --python-version 3.11 \
		pyproject.toml --group dev -c requirements/run.txt -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --upgrade --python-version 3.11 \
		pyproject.toml --extra cluster -c requirements/dev.txt -o requirements/cluster.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --upgrade --python-version 3.11 \
		--group build -c requirements/dev.txt -o requirements/build.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --upgrade --python-version 3.11 \
		--group install -o requirements/install.txt

clean: ## forget the virtual environment (never the data)
	rm -rf $(VENV)

help:
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' Makefile

$(VENV)/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Chat4All needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

# `--no-deps -e .`: what it needs came from the lock file, hashes checked.
$(VENV)/run.stamp: $(VENV)/made requirements/run.txt pyproject.toml
	@echo "Installing Chat4All into $(VENV) (once) ..."
	@$(PIP) --require-hashes -r requirements/run.txt
	@$(PIP) --no-deps -e .
	@touch $@

$(VENV)/cluster.stamp: $(VENV)/run.stamp requirements/cluster.txt
	@echo "Installing chat4all[cluster] into $(VENV) (once) ..."
	@$(PIP) --require-hashes -r requirements/cluster.txt
	@touch $@

# All that run.txt has is in dev.txt. pip where uv gets nothing: it does not read pip's settings.
$(VENV)/dev.stamp: $(VENV)/made requirements/install.txt requirements/dev.txt pyproject.toml
	@echo "Installing Chat4All and what its tests need into $(VENV) (once) ..."
	@$(PIP) --require-hashes -r requirements/install.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes \
		-r requirements/dev.txt || $(PIP) --require-hashes -r requirements/dev.txt
	@$(PIP) --no-deps -e .
	@touch $(VENV)/run.stamp $@
