# The commands of README.md. Everything else is in scripts/ and `python -m local_cloud`.
.PHONY: help setup setup-images images demo down check test test-images test-serving test-tuning test-containers bench format

VENV := .venv/bin
export PYTHONUNBUFFERED = 1
# Bytecode is kept, whatever the shell says: the tests start Python some thousand times.
unexport PYTHONDONTWRITEBYTECODE
# Tests mostly wait for a cluster, so a few more workers than cores pay.
WORKERS ?= 4

help:                ## say what there is
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:               ## install what the next commands need into .venv
	@bash scripts/setup.sh

setup-images: setup  ## install what the images in serving_image/ and tuning_image/ need into .venv-images
	@bash scripts/setup-images.sh

images:              ## both container images for all hardware (BUILDS="cpu cu126 cu132") with docker, podman or buildah
	@bash scripts/images.sh

demo:                ## a model tuned, served and asked on a cloud on this machine; the quick start to its status table
	@bash scripts/demo.sh

down:                ## stop what `make demo` left running
	@if [ -x $(VENV)/python ]; then for name in demo demo-simulated; do $(VENV)/python -m local_cloud down --name $$name; done; fi

check: setup         ## the fast part of the tests: format, lint, types, layers, unit and component tests
	@$(VENV)/ruff format --check .
	@$(VENV)/ruff check .
	@$(VENV)/mypy
	@MYPYPATH=policy $(VENV)/mypy policy/resources.py policy/rules.py policy/__main__.py
	@$(VENV)/lint-imports
	@$(VENV)/pytest -n 2 tests/unit tests/wire

test: check          ## all tests; CI runs exactly this
	@$(VENV)/python -m local_cloud build --images
	@$(VENV)/pytest -n $(WORKERS) --dist worksteal --ignore tests/unit --ignore tests/wire \
		--ignore tests/serving --ignore tests/tuning --ignore tests/containers
	@$(MAKE) --no-print-directory test-serving
	@$(MAKE) --no-print-directory --jobs 2 test-tuning test-containers

test-images: test-serving test-tuning

# Each folder by itself: its tests import only its image and .venv-images, never tests/conftest.py.
# OpenMP: threads of the tests' own PyTorch that wait awake would take the cores from the servers that they ask.
test-serving test-tuning: test-%: setup-images
	@GOMP_SPINCOUNT=20000 .venv-images/bin/pytest -n 2 --dist worksteal --confcutdir tests/$* tests/$*

# One cloud with real nodes for all of them, one after the other; each says why it is skipped where that is not possible.
# They mostly wait, so `make test` runs them beside tests/tuning.
test-containers: setup
	@$(VENV)/python -m local_cloud build --images
	@$(VENV)/pytest -v -rs --no-fold-skipped tests/containers

bench: setup-images  ## the measurements of benchmarks/, as ratios in one run
	@$(VENV)/python -m local_cloud build
	@$(VENV)/python -m benchmarks

format: setup        ## format and fix what can be fixed
	@$(VENV)/ruff format .
	@$(VENV)/ruff check --fix .
