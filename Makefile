# redrill: 'make' alone says what there is.
FLEET ?= fixtures/fleets/lab.yml
MODE ?= replace
ENVIRONMENT ?= lab
VENV := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help drill test bench check clean

help: ## say what there is to make
	@echo "redrill: redeploy endpoints, restore only /home, /etc and /var, judge what came back"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST)
	@echo "  FLEET=FILE	the fleet that 'make drill' drills; fixtures/fleets/tree.yml needs no root"

drill: $(READY) ## redeploy the lab fleet (or FLEET=…), judge it, report; exit 0 = APPROVE
	@sh .make/drill.sh $(FLEET) $(MODE) $(ENVIRONMENT)

test: $(READY) ## run all self-tests; they boot real endpoints and need root
	@sh .make/test.sh $(ARGS)

bench: $(READY) ## measure against floors and peers, as ratios of one run; needs root
	@sh .make/bench.sh $(ARGS)

check: $(READY) ## run the linters and the type checker
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy

clean: ## remove the virtual environment and caches, keep the reports
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis reports/node_modules

$(READY): pyproject.toml
	@sh .make/need.sh python3-venv:python:ensurepip:"makes the virtual environment"
	@test -x $(VENV)/python || python3 -m venv .venv
	@echo "installing redrill into .venv"
	@$(VENV)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
