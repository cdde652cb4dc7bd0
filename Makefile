# `make demo` and `make test` install what they need; `make help` lists all targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null || echo .tools/uv/bin/uv)
RUN := $(UV) run --frozen --quiet

# Images with Python often set it. Then each run compiles all modules again, which takes longer than
# many of the tests, and so does each operator that a test starts.
unexport PYTHONDONTWRITEBYTECODE

# Of pytest-xdist: most of the time of a test with processes is waiting.
CORES := $(shell nproc 2>/dev/null || echo 2)
PROCESS_WORKERS ?= $(shell echo $$(($(CORES) * 2)))

# $(call side_by_side,TARGETS): the output of each appears as a whole, when it ends. If one fails, make
# waits for those that run, and fails. Inside a `make --jobs` it shares the jobs of that one.
side_by_side = $(MAKE) --no-print-directory --output-sync=target \
  $(if $(findstring jobserver,$(MAKEFLAGS)),,--jobs=$(CORES)) $(1)

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(UV):
	@dev/install-uv.sh "$(PYTHON)"

.venv/.synced: pyproject.toml uv.lock | $(UV)
	@echo "installing the locked dependencies into .venv"
	@$(UV) sync --frozen --quiet
	@touch $@

.PHONY: setup
setup: .venv/.synced ## install the locked tools and dependencies into .venv

# The unit tests in parts of similar length, each in one process of pytest: pytest-xdist collects all
# tests in each of its processes, and what it does for a test costs as much as most tests. `other`
# has the folders that no part names.
OF_CONTROLLER := tests/controller
OF_RENDEZVOUS := $(addprefix tests/,rendezvous wire)
OF_AGENT := $(addprefix tests/,agent files model mutants properties sim)
NOT_OTHER := $(addprefix --ignore=,$(OF_CONTROLLER) $(OF_RENDEZVOUS) $(OF_AGENT))

CHECKS := $(addprefix check-,controller other rendezvous agent types lint format imports dockerfile)
.PHONY: check $(CHECKS)
check: setup ## run the fast checks: format, lint, types, imports, generated files, unit tests
	+@$(call side_by_side,--keep-going $(CHECKS))

check-format:
	@$(RUN) ruff format --check --quiet .

check-lint:
	@$(RUN) ruff check --quiet .

check-types:
	@$(RUN) mypy

check-dockerfile:
	@$(RUN) hadolint Dockerfile

check-imports:
	@$(RUN) lint-imports --no-cache >.venv/imports.txt || { cat .venv/imports.txt; exit 1; }

# Each process has another temporary directory: pytest looks through those of earlier runs, which others may remove.
UNITS = place=$$(mktemp -d) && trap 'rm -rf "$$place"' EXIT && PYTEST_DEBUG_TEMPROOT=$$place \
  $(RUN) pytest -q -p no:xdist -m "not process and not e2e and not slow and not cluster"

check-controller:
	@$(UNITS) $(OF_CONTROLLER)

check-rendezvous:
	@$(UNITS) $(OF_RENDEZVOUS)

check-agent:
	@$(UNITS) $(OF_AGENT)

check-other:
	@$(UNITS) tests $(NOT_OTHER)

.PHONY: interpreters
interpreters: setup ## test wire, files, rendezvous and agent on each Python from 3.9 that is found
	@UV="$(UV)" dev/interpreters.sh

.PHONY: test test-interpreters test-processes
test: setup ## run all tests that need no cluster, with the local mode; up to 6 minutes
	@echo "== fast checks: format, lint, types, imports, generated files, unit tests"
	@$(MAKE) --no-print-directory check
	@echo "== an interpreter with torch"
	@TORCH_PYTHON=$$(UV="$(UV)" PYTHON="$(PYTHON)" dev/torch.sh) && export TORCH_PYTHON && \
	  echo "== simulation, processes, end to end; next to them the agent on each other interpreter" && \
	  $(MAKE) --no-print-directory --jobs=2 test-processes test-interpreters

test-processes:
	@SIM_SEEDS=40 EXAMPLES=100 $(RUN) pytest -q --numprocesses=$(PROCESS_WORKERS) --dist=worksteal --durations=10 \
	  -m "process or e2e or slow or sim or examples" tests

test-interpreters:
	@result=0; found=$$(UV="$(UV)" dev/interpreters.sh others) || result=$$?; \
	  printf '\n== the agent on each other interpreter\n%s\n' "$$found"; exit $$result

# The user's cluster. It counts only if it is named on make's command line, not in the environment.
NAMED := $(KUBE_CONTEXT)$(if $(filter command line,$(origin KUBECONFIG)),$(KUBECONFIG))

FUZZ_EXAMPLES ?= 1000
FUZZ_SEED ?= $(shell date +%s)

.PHONY: fuzz
fuzz: setup ## damage the input of every parser, on the oldest Python and on 3.12, for minutes
	@FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) FUZZ_SEED=$(FUZZ_SEED) UV="$(UV)" dev/fuzz.sh

SIM_ROUNDS ?= 1000000
SIM_STATE ?= .venv/sim-long.json

.PHONY: sim-long
sim-long: setup ## simulate 1,000,000 rounds of operator and agents with faults, for hours; continues where it was
	@$(RUN) python -m tests.sim.long --rounds=$(SIM_ROUNDS) --processes=$(CORES) --state=$(SIM_STATE)

MUTANTS ?=

.PHONY: mutants
mutants: setup ## remove each clause of the rules, seed bugs, and show which test finds each; ONLY=NAMES, MUTANTS=options
	@$(RUN) python -m tests.mutants $(if $(ONLY),--only='$(ONLY)') $(MUTANTS)

MODEL ?= --pods=2 --faults=1 --formed

.PHONY: model
model: setup ## search exhaustively through what agents, API server and operator can do; MODEL=options
	@$(RUN) python -m tests.model $(MODEL)

.PHONY: demo
demo: setup ## show four pods that train, lose a worker and a pod, and finish; KUBE_CONTEXT=… for your cluster
ifneq ($(NAMED),)
	@$(RUN) python -m dev.demo --cluster $(if $(KUBE_CONTEXT),--context=$(KUBE_CONTEXT))
else
	@TORCH_PYTHON=$$(UV="$(UV)" PYTHON="$(PYTHON)" dev/torch.sh) && export TORCH_PYTHON && \
	  $(RUN) python -m dev.demo
endif

.PHONY: bench
bench: setup ## measure the figures of the README on the local mode, and torchrun
	@TORCH_PYTHON=$$(UV="$(UV)" PYTHON="$(PYTHON)" dev/torch.sh) && export TORCH_PYTHON && \
	  $(RUN) python bench/run.py

.PHONY: bench-stderr
bench-stderr: setup ## measure what it costs a worker that its stderr passes through the agent
	@$(RUN) python -m bench.stderr

.PHONY: bench-cluster
bench-cluster: setup ## measure the figures of docs/performance.md on a kube-apiserver, and torchrun
	@TORCH_PYTHON=$$(UV="$(UV)" PYTHON="$(PYTHON)" dev/torch.sh) && export TORCH_PYTHON && \
	  $(CLUSTER) bare -- $(RUN) python -m bench.cluster $(BENCH)

CLUSTER = $(RUN) python -m dev.cluster
CLUSTER_NODES ?= 3
CLUSTER_LAN ?= 10.90.0.0/24
FEATURE_GATES ?=
PYTHON313 ?= $(firstword $(wildcard /usr/bin/python3.13 /usr/local/bin/python3.13 \
  $(HOME)/.pyenv/versions/3.13.*/bin/python $(HOME)/.local/share/uv/python/cpython-3.13.*/bin/python3))

.PHONY: cluster
cluster: setup ## start a Kubernetes on this machine, built from source; as root (docs/cluster.md)
	@$(CLUSTER) up --nodes=$(CLUSTER_NODES) --lan=$(CLUSTER_LAN) --feature-gates="$(FEATURE_GATES)"

.PHONY: cluster-images
cluster-images: setup ## build the images of operator and workers, and copy them to the nodes
	@$(CLUSTER) images

.PHONY: cluster-status
cluster-status: setup ## list the running parts of the cluster
	@$(CLUSTER) status

.PHONY: cluster-down
cluster-down: setup ## remove everything that `make cluster` created
	@$(CLUSTER) down

.PHONY: e2e
e2e: setup ## run the end-to-end tests on `make cluster`, or on KUBE_CONTEXT=… (docs/cluster.md)
	@UV="$(UV)" NAMED="$(NAMED)" dev/e2e.sh $(TESTS)

.PHONY: e2e-long
e2e-long: ## run the same tests, with the API server away for ten minutes instead of two
	@API_AWAY_S=600 $(MAKE) --no-print-directory e2e

.PHONY: neighbour
neighbour: ## let a hostile neighbour attack a training job on `make cluster` for ten minutes
	@NEIGHBOUR_S=$${NEIGHBOUR_S:-600} $(MAKE) --no-print-directory e2e TESTS="-s -k hostile_neighbour"

.PHONY: programs
programs: setup ## build Helm and a kube-apiserver with kubectl for tests, unless the cache has them
	@$(CLUSTER) build hyperkube helm >.venv/programs.txt

CONTRACTS := $(addprefix contract-,api watch split-brain chart python)
.PHONY: contract $(CONTRACTS)
contract: programs ## run the tests of the local API server and of the chart on a kube-apiserver; no root
	+@$(call side_by_side,$(CONTRACTS))

contract-api:
	@echo "== contract tests"
	@$(CLUSTER) bare -- $(RUN) pytest -q tests/contract

contract-watch:
	@echo "== contract tests without initial events in watches"
	@$(CLUSTER) bare --feature-gates=WatchList=false -- $(RUN) pytest -q tests/contract

contract-split-brain:
	@echo "== agents behind a proxy with faults, and two API servers, of which one lags"
	@$(CLUSTER) bare -- $(RUN) pytest -q tests/splitbrain

contract-chart:
	@echo "== the chart, and attacks on its roles and policies"
	@$(CLUSTER) bare -- $(RUN) pytest -q tests/helm/test_install.py tests/attacks/test_policy.py \
	  tests/attacks/test_token.py

contract-python:
	@echo "== a CA without key identifiers, agents on Python 3.13"
	@if [ -n "$(PYTHON313)" ]; then $(CLUSTER) bare --no-key-identifiers -- \
	  $(RUN) --isolated --python=$(PYTHON313) pytest -q tests/contract/test_agent.py; \
	else echo "skipped: no Python 3.13 was found; name one with PYTHON313=PATH"; fi

ROUNDS ?= 10000
SEED ?= $(shell date +%s)

.PHONY: split-brain
split-brain: programs ## run agents behind a proxy with faults for 10,000 rounds; ROUNDS=… SEED=…; half an hour
	@$(CLUSTER) bare -- $(RUN) python -m tests.splitbrain --rounds=$(ROUNDS) --seed=$(SEED)

.PHONY: rights
rights: programs ## list in docs/security.md what the tokens of agents and operator may do; as `contract`
	@$(CLUSTER) bare -- $(RUN) python -m tests.attacks.rights

.PHONY: format
format: setup ## format the code and apply the automatic fixes of the linter
	@$(RUN) ruff format --quiet .
	@$(RUN) ruff check --quiet --fix .

.PHONY: generate
generate: setup ## write the generated files: CRD, docs/api.md, charlm.yaml, the chart's CRD and table
	@mkdir -p crds docs
	@$(RUN) python -m elasticjob.api.crd >.venv/crd.yaml
	@mv .venv/crd.yaml crds/elasticjob.dev_elasticjobs.yaml
	@cp crds/elasticjob.dev_elasticjobs.yaml helm/elasticjob/files/
	@$(RUN) dev/values_table.py helm/elasticjob/values.yaml helm/elasticjob/README.md
	@$(RUN) python -m elasticjob.api.reference >.venv/api.md
	@mv .venv/api.md docs/api.md
	@$(RUN) dev/embed.py examples/charlm.py examples/charlm.yaml
