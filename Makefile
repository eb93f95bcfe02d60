# Two commands for a stranger: `make demo` (the whole pipeline on the embedded demo) and `make test`.

# Needs Python >= 3.11; `make demo PYTHON=python3.12` picks another.
PYTHON ?= python3
BIN := .venv/bin

# Stages find `python` on the PATH. The rest must be set before Python starts: freed memory is kept, which is worth a
# third of the time on CPU.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export MALLOC_MMAP_MAX_ := 0
export MALLOC_TRIM_THRESHOLD_ := 99999999999
export MALLOC_TOP_PAD_ := 67108864

.PHONY: demo test slow scale lint lock clean

demo: .venv/installed
	$(BIN)/dvc repro
	@$(BIN)/python -m pipeline.table
	@echo "report: $(CURDIR)/report/index.html"

# In as many processes as there are cores, one thread each: threads that wait for each other cost more than they bring.
test: export OMP_NUM_THREADS = 1
test: .venv/installed
	$(BIN)/python -m pytest -n auto --dist loadfile

slow: .venv/installed
	$(BIN)/python -m pytest -m slow

# Engines of many machines and the S3 remote, for which it installs requirements-scale.lock.
scale: export OMP_NUM_THREADS = 1
scale: .venv/installed-scale
	$(BIN)/python -m pytest -m scale -n 2 --dist loadfile

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11; name another: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --no-deps --require-hashes --disable-pip-version-check -r requirements.lock
	touch $@

.venv/installed-scale: .venv/installed requirements-scale.lock
	$(BIN)/python -m pip install --no-deps --require-hashes --disable-pip-version-check -r requirements-scale.lock
	touch $@

# After a change of requirements.txt or requirements-scale.txt; needs uv (pip install uv).
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes requirements.txt -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes requirements-scale.txt -c requirements.lock \
	  -o requirements-scale.lock

clean:
	rm -rf .venv .work
