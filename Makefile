# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON := .venv/bin/python
READY := .venv/.ready

# Tests use real clocks and processes, so a test that fails beside others runs once more by itself. In CI it fails even if
# it passes then.
pytest = $(PYTHON) -m pytest -o cache_dir=.pytest_cache/$@ $(1) $(2) \
	|| { echo "$@: running the failed tests once more"; \
	$(PYTHON) -m pytest -o cache_dir=.pytest_cache/$@ --all --again --last-failed --last-failed-no-failures none $(2); }

# The environment of the development tools: each other, the linked collection, and nothing of the user's Ansible.
COLLECTIONS := $(CURDIR)/build/collections
LINKED := $(COLLECTIONS)/ansible_collections/herdops/alpacon
environ = export PATH="$(CURDIR)/.venv/bin:$$PATH" ANSIBLE_COLLECTIONS_PATH="$(COLLECTIONS)" \
	ANSIBLE_HOME="$(CURDIR)/build/home/.ansible" MYPYPATH="tests:tests/tools:$(COLLECTIONS)"

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^#: / {sub("#: ", ""); printf "\n%s\n", $$0} /^[a-z -]+:.*## / {printf "  make %-36s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

#: Use

.PHONY: setup
setup: $(READY) ## install the development tools into .venv and link the collection

$(READY): pyproject.toml uv.lock tests/tools/setup.sh
	@tests/tools/setup.sh
	@touch $@

.PHONY: demo
demo: $(READY) ## start a workspace with a small fleet and run the playbooks against it
	@$(PYTHON) tests/tools/demo.py

# The longest first.
SUITE := prove style build
REST := others signals sanity-newest sanity-oldest integration-oldest integration-newest \
	lint connection-oldest connection-newest unit-oldest unit-newest browser rulebook states-of-ci molecule-of-ci

.PHONY: test
test: $(READY) ## prove each promise once: style, types, tests, the tarball; some minutes
	@$(MAKE) steps STEPS='$(SUITE)' JOBS=2

.PHONY: docs
docs: $(READY) ## build the HTML documentation into build/docs
	@rm -rf build/docs && mkdir -p build/docs/rst
	@$(environ); antsibull-docs collection --use-current --fail-on-error --dest-dir build/docs/rst herdops.alpacon; \
		cp docs/docsite/rst/*.webp docs/docsite/rst/*.svg build/docs/rst/collections/herdops/alpacon/docsite; \
		python tests/tools/complete_docs.py build/docs/rst/collections/herdops/alpacon; \
		sphinx-build --quiet --fail-on-warning -c docs/docsite build/docs/rst build/docs/html
	@echo '<meta http-equiv="refresh" content="0; url=collections/herdops/alpacon/">' > build/docs/html/index.html
	@echo The documentation is in build/docs/html/collections/herdops/alpacon/index.html

.PHONY: build
build: $(READY) ## build the tarball into build/ and check that it installs
	@$(PYTHON) tests/tools/check_build.py

.PHONY: clean
clean: ## remove all files that make created
	@rm -rf build .venv .ansible .nox .mypy_cache .pytest_cache .ruff_cache tests/output changelogs/.plugin-cache.yaml

#: Develop

.PHONY: style
style: $(READY) ## check style and types
	@$(environ); ruff check --output-format=concise .; ruff format --check .; \
		mypy "$(LINKED)/plugins" "$(LINKED)/extensions/eda"; mypy $(filter-out tests/integration tests/config.yml tests/conftest.py,$(wildcard tests/*))

.PHONY: unit
unit: $(READY) ## run the unit tests, which need no workspace
	@$(PYTHON) -m pytest -o cache_dir=.pytest_cache/$@ -n 2 tests/unit

.PHONY: prove
prove: $(READY) ## run the tests that prove a promise, on the development ansible-core and in today's dialect
	@$(call pytest,-n 4 --dist worksteal,tests/unit tests/system tests/hostile tests/workspace/contract)

.PHONY: acceptance
acceptance: $(READY) ## run integration targets against the workspace of tests/integration/integration_config.yml
	@$(PYTHON) tests/acceptance

# Killed workers leave empty files, about which coverage warns.
.PHONY: coverage
coverage: $(READY) ## measure which lines of plugins/ the tests of make test run
	@mkdir -p build/coverage
	@.venv/bin/coverage erase
	@result=0; .venv/bin/coverage run -m pytest -o cache_dir=.pytest_cache/$@ -n 3 tests/unit tests/system tests/hostile || result=$$?; \
	.venv/bin/coverage combine --quiet 2>/dev/null || true; rm -f build/coverage/data.*; \
	.venv/bin/coverage report; exit $$result

.PHONY: lint
lint: style ## check style, types, documentation, changelog and metadata
	@$(environ); yamllint --strict .; \
		shellcheck tests/tools/setup.sh .ci/run tests/agent/package/{postinst,postrm,prerm} tests/*/systems/*.sh; \
		check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml; \
		check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml; \
		ansible-lint --nocolor -q; \
		uv export --quiet --locked --only-group uv --no-annotate --no-header | diff tests/tools/uv.txt -; \
		antsibull-changelog lint; \
		antsibull-docs lint-collection-docs . --plugin-docs --validate-collection-refs=self
	@$(environ) GALAXY_IMPORTER_RUN_ANSIBLE_LINT=false; nox --no-venv --no-color --envdir build/nox

.PHONY: format
format: $(READY) ## format the Python code
	@.venv/bin/ruff check --fix-only --quiet .
	@.venv/bin/ruff format .

.PHONY: screenshot
screenshot: $(READY) ## take the picture of the report that the documentation shows
	@$(environ) PYTHONPATH="tests:$(COLLECTIONS)"; python tests/browser/screenshot.py

#: Long

.PHONY: test-all
test-all: $(READY) ## run what make test leaves out: every ansible-core and dialect, signals, sanity, browser, hosts; as root on Debian
	@$(PYTHON) tests/tools/ansible_cores.py
	@$(MAKE) steps STEPS='$(REST)' JOBS=3

.PHONY: others
others: $(READY) ## run the system tests that make test leaves out: slow ones, every ansible-core, every dialect
	@$(call pytest,-n 3 --dist worksteal --others,tests/system tests/hostile tests/workspace/contract)

.PHONY: unit-oldest unit-newest
unit-oldest unit-newest: $(READY) ## run the unit tests by ansible-test on that ansible-core
	@$(PYTHON) tests/tools/ansible_test.py units $(@:unit-%=%)

.PHONY: integration-oldest
integration-oldest: $(READY) ## run the integration targets by ansible-test on the oldest ansible-core
	@$(PYTHON) tests/tools/ansible_test.py integration oldest

.PHONY: integration-newest
integration-newest: $(READY) ## run the integration targets as plays on the newest ansible-core
	@$(PYTHON) tests/tools/ansible_test.py plays newest

.PHONY: connection-oldest connection-newest
connection-oldest connection-newest: $(READY) ## run ansible-core's own targets over the connection plugin on that ansible-core
	@$(PYTHON) tests/tools/run_connection.py $(@:connection-%=%)

.PHONY: sanity-oldest sanity-newest
sanity-oldest sanity-newest: $(READY) ## run ansible-test sanity on that ansible-core
	@$(PYTHON) tests/tools/ansible_test.py sanity $(@:sanity-%=%)

.PHONY: signals
signals: $(READY) ## interrupt and kill runs, on the oldest and the newest ansible-core
	@$(call pytest,,tests/signals)

.PHONY: browser
browser: $(READY) ## open the audit's report in Chromium: tests, accessibility, HTML validation
	@$(PYTHON) -m pytest -o cache_dir=.pytest_cache/$@ -n 2 tests/browser

.PHONY: rulebook
rulebook: $(READY) ## run the rulebook of the documentation with ansible-rulebook; needs Java
	@$(PYTHON) tests/tools/run_rulebook.py

.PHONY: states
states: $(READY) ## try the audit's checks on disposable systems in hundreds of states, as root (ON=debian12)
	@$(PYTHON) -m pytest -o cache_dir=.pytest_cache/$@ -n 2 tests/checks $(ON:%=-k %)

.PHONY: states-of-ci
states-of-ci:
	@$(MAKE) states ON=debian12

.PHONY: molecule
molecule: $(READY) ## run the roles on hosts with systemd, as root (SCENARIO=name, SET=ci)
	@$(PYTHON) tests/tools/run_molecule.py $(SET:%=--set=%) $(SCENARIO)

.PHONY: molecule-of-ci
molecule-of-ci:
	@$(MAKE) molecule SET=ci

.PHONY: bench
bench: $(READY) ## measure what commands cost and write docs/benchmarks.md (ONLY=name: one scenario, CHECK=1: fail if a goal is missed)
	@$(PYTHON) tests/benchmark $(foreach name,$(ONLY),--only="$(name)") $(if $(CHECK),--check)

.PHONY: faults
faults: $(READY) ## run thousands of commands and hundreds of modules under random faults (SEED=n, COMMANDS=5000, TASKS=500, ONLY=connection)
	@$(PYTHON) tests/faults $(SEED:%=--seed=%) $(COMMANDS:%=--commands=%) $(TASKS:%=--tasks=%) $(ONLY:%=--only=%)

.PHONY: mutants
mutants: $(READY) ## break the core on a sample and list what no test notices (SEED=n, SAMPLE=40, ONLY=_api, WORKERS=2)
	@$(PYTHON) tests/mutants $(SEED:%=--seed=%) $(SAMPLE:%=--sample=%) $(ONLY:%=--only=%) $(WORKERS:%=--workers=%)

# The audit's checks give way to all other processes, so those of the steps give way too: else checks run out of time.
# A failing step stops no other. The output of each lies in build/suite; that of a failing step is shown too. The end shows
# a line for each step, the numbers of tests, and the command that runs each failed test alone. A step without tests counts
# as one.
.PHONY: steps
steps:
	@rm -rf build/suite && mkdir -p build/suite
	@nice -n 18 $(MAKE) -j$(JOBS) $(STEPS:%=step-%); \
		cd build/suite; printf '\n'; cat *.result; printf '%-20s %6s s\n\n' all $$SECONDS; \
		awk '{passed += $$1; failed += $$2; skipped += $$3} \
			END {printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped}' *.counts; \
		cat /dev/null $$(ls *.again *.failed 2>/dev/null) | awk 'NR <= 20; END {if (NR > 20) print "... and " NR - 20 " lines more"}'; \
		! grep -q FAILED *.result

step-%:
	@printf '%-20s started, output in build/suite/%s.log\n' $* $*
	@export SUITE_STEP="$(CURDIR)/build/suite/$*"; result=passed; $(MAKE) $* </dev/null >"$$SUITE_STEP.log" 2>&1 || result=FAILED; \
		case $$result$$(cat "$$SUITE_STEP.counts" 2>/dev/null) in \
			passed) echo 1 0 0 > "$$SUITE_STEP.counts";; FAILED) echo 0 1 0 > "$$SUITE_STEP.counts";; \
			"passed0 0 1") result="skipped: $$(sed -n 's/^SKIPPED: //p' "$$SUITE_STEP.log")";; esac; \
		if [ $${result%%:*} = FAILED ]; then cat "$$SUITE_STEP.log"; \
			[ -s "$$SUITE_STEP.failed" ] || echo "FAILED make $*" > "$$SUITE_STEP.failed"; fi; \
		printf '%-20s %6s s  %s\n' $* $$SECONDS "$$result" | tee "$$SUITE_STEP.result"
