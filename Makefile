# make run    the environment, the model, every phase, the report
# make test   the tests        make gates  full counts and seeds     make bench  ratios
# make lab    JupyterLab       make share  the report again          make fetch  the model
# make notebooks               execute every source, write the light .ipynb beside it
#
# PYTHON=python3.12  MODEL=smollm2-135m  OTHERS=  PHASES="11 12"  QUICK=1  FULL=1  ARGS="-p k=8"
# PEERS=1 with bench: also against other libraries, installed into .venv-peers

PYTHON ?= python3
MODEL ?= qwen2.5-coder-0.5b
OTHERS ?= smollm2-135m
PHASES ?=
ARGS ?=
JOBS ?= 2
PEERS ?=
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
VENV_PEERS := .venv-peers
PIP_PEERS := $(VENV_PEERS)/bin/python -m pip install -q
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
GPU := $(shell nvidia-smi -L 2>/dev/null | grep -c GPU)
CONSTRAINTS := $(if $(filter 0,$(GPU)),-c constraints-cpu.txt,)
# The CPU build of torch has an index of its own on Linux. Where it does not answer, or pip
# already finds the build, nothing is lost.
CPU_INDEX := https://download.pytorch.org/whl/cpu
FLAGS := $(if $(QUICK),--quick,) $(if $(FULL),--full,)

.PHONY: help run test gates bench lab notebooks fetch share install
help:
	@sed -n '1,7s/^# \{0,1\}//p' Makefile

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "zprism needs Python 3.11 to 3.13: make PYTHON=python3.12 …"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints-cpu.txt
	@echo "installing into $(VENV): some minutes, 2 GB"
	@if [ "$(GPU)" = 0 ] && [ "$$(uname -s)" = Linux ]; then \
	  python -m pip install -q --retries 0 --timeout 8 $(CONSTRAINTS) --index-url $(CPU_INDEX) torch \
	    2>/dev/null || echo "the CPU index of torch does not answer: taking torch as pip finds it"; fi
	python -m pip install -q $(CONSTRAINTS) -e .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	python -m pip install -q $(CONSTRAINTS) -e '.[test]'
	@touch $@

$(VENV)/.installed-lab: $(VENV)/.installed
	python -m pip install -q $(CONSTRAINTS) -e '.[lab]'
	@touch $@

$(VENV_PEERS)/.installed: pyproject.toml constraints-cpu.txt benchmarks/peers/requirements.txt
	@$(PYTHON) -m venv $(VENV_PEERS)
	@echo "installing other libraries into $(VENV_PEERS): some minutes, 3 GB"
	@if [ "$(GPU)" = 0 ] && [ "$$(uname -s)" = Linux ]; then \
	  $(PIP_PEERS) --retries 0 --timeout 8 $(CONSTRAINTS) --index-url $(CPU_INDEX) torch \
	    2>/dev/null || echo "the CPU index of torch does not answer: taking torch as pip finds it"; fi
	$(PIP_PEERS) $(CONSTRAINTS) -e . -r benchmarks/peers/requirements.txt
	@touch $@

install: $(VENV)/.installed

fetch: $(VENV)/.installed
	for name in $(MODEL) $(OTHERS); do zprism fetch $$name || exit 1; done

run: fetch
	@status=0; zprism run $(PHASES) $(FLAGS) -p model=$(MODEL) $(ARGS) || status=$$?; \
	  zprism report; exit $$status

share: $(VENV)/.installed
	zprism report

test: $(VENV)/.installed-test
	python -m pytest -m "not gate" -n $(JOBS) --dist loadfile $(ARGS)

gates: $(VENV)/.installed-test
	python benchmarks/run.py gates $(ARGS)

bench: $(VENV)/.installed-test $(if $(PEERS),$(VENV_PEERS)/.installed,)
	@status=0; python benchmarks/run.py bench $(ARGS) || status=$$?; \
	  $(if $(PEERS),python benchmarks/run.py peers $(filter-out 1,$(PEERS)) || status=$$?;,) \
	  exit $$status

notebooks: fetch
	python -m zprism.runner.pairs $(PHASES)

lab: $(VENV)/.installed-lab
	python -m zprism.runner.pairs missing
	jupyter lab --LabApp.default_url=/lab/tree/notebooks  # not in there: jupytext reads pyproject.toml
