# Every target installs what it needs into $(VENV) first; only Python 3.11 or newer is assumed.
PYTHON ?= python3
VENV ?= .venv

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := runs/demo
SBOM := $(BIN)/cyclonedx-py environment --of JSON --output-reproducible -o build/sbom.json \
	$(BIN)/python
# One file's tests stay in one process: what they share is made once. Files with runs come first.
TESTS := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder
SECONDS ?= 60

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-fast test-base lint docs audit fuzz bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  variables: PYTHON=$(PYTHON) VENV=$(VENV)"

demo: $(STAMP) ## train on the embedded scenes and write a report, offline, on the CPU
	$(BIN)/boxless train scenes:train=1210,test=300 --tags 150 --recipe demo --out $(DEMO)
	@echo "The report is $(CURDIR)/$(DEMO)/report.html"

test: $(STAMP) ## run all tests
	$(TESTS)

test-fast: $(STAMP) ## run the tests that need no whole run, cluster or browser
	$(TESTS) -m 'not slow'

test-base: $(STAMP) ## install the package alone into a fresh environment and predict with it
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/cli/test_base_install.py

lint: $(STAMP) ## check format, style, types, layers and dependencies; write build/sbom.json
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry src
	@mkdir -p build
	$(SBOM) --no-validate
	@echo "build/sbom.json lists what it is built on; known vulnerabilities of that: make audit"

docs: $(STAMP) ## build the site build/docs: notebooks and doctests run, warnings are errors
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		-e '.[docs]'
	$(BIN)/sphinx-build -W --keep-going -q -d build/doctrees docs build/docs
	$(BIN)/sphinx-build -W --keep-going -q -b doctest -d build/doctrees docs build/doctests
	@! grep -rnE '<(script|link|img)[^>]+(src|href)="(https?:)?//' build/docs --include '*.html' || { \
		echo "make: the pages above ask another host for something" >&2; exit 1; }
	@echo "The site is $(CURDIR)/build/docs/index.html"

audit: $(STAMP) ## look for known vulnerabilities of what is installed (needs the network)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		-e '.[audit]'
	mkdir -p build
	$(SBOM)
	$(BIN)/pip-audit --local --skip-editable --format json --output build/audit.json \
		--progress-spinner off || true
	$(BIN)/python .ci/audited.py build/audit.json

fuzz: $(STAMP) ## feed every reader with damaged files: make fuzz SECONDS=60 (for each)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		-e '.[fuzz]'
	$(BIN)/python fuzz/run.py --seconds $(SECONDS) --out build/fuzz.json

bench: $(STAMP) ## run the benchmarks
	$(BIN)/python benchmarks/run_all.py

clean: ## remove the environment, caches and the demo run
	rm -rf $(VENV) $(DEMO) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { \
		echo "make: there is no '$(PYTHON)'; name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "make: boxless needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
		echo "      Name another one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	@touch $@
