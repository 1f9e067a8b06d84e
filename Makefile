# Everything a person types in a checkout. `make help` lists the targets.
#   LAB=name      which lab (default "lab"); two can live side by side
#   ARGS="..."    more arguments: for ansible-playbook (cluster, lab), kubectl, pytest (test-unit), ansible-test (test-sanity), molecule
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

LAB ?= lab
ARGS ?=
export NODEWISE_LAB := $(LAB)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

INVENTORY := inventories/lab
LINK := .ansible/collections/ansible_collections/nodewise/cluster
STAGE := scripts/stage

# "command or file:Debian package that has it"
LAB_PACKAGES := podman:podman runc:runc mmdebstrap:mmdebstrap ssh:openssh-client ssh-keygen:openssh-client mkfs.ext4:e2fsprogs \
  iptables:iptables /usr/lib/cni/bridge:containernetworking-plugins
# runc is built with cgo against libseccomp.
BUILD_PACKAGES := gcc:gcc git:git /usr/include/seccomp.h:libseccomp-dev
TEST_PACKAGES := shellcheck:shellcheck

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

# -- setting up --------------------------------------------------------------------------------------------------------

.PHONY: packages
packages: ## Install the Debian packages that the lab and the builds need, if missing
	@scripts/packages $(LAB_PACKAGES) $(BUILD_PACKAGES)

.PHONY: venv
venv: .venv/.requirements $(LINK) ## Make .venv with the pinned requirements

.venv/.requirements: requirements.txt
	@test -x .venv/bin/python || "$$(scripts/find-python)" -m venv .venv
	@echo "Installing requirements.txt into .venv"
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(LINK):
	@mkdir -p $(@D)
	@ln -sfn ../../../.. $@

.PHONY: requirements
requirements: ## Pin requirements.in anew into requirements.txt
	"$$(scripts/find-python)" -m venv .ansible/pip-tools
	.ansible/pip-tools/bin/pip install --quiet pip-tools==7.6.2
	.ansible/pip-tools/bin/pip-compile --quiet --strip-extras --generate-hashes --allow-unsafe --no-emit-options --no-emit-find-links \
	  --output-file=requirements.txt requirements.in

# -- the lab and the cluster -------------------------------------------------------------------------------------------

.PHONY: lab
lab: packages venv ## Bring the lab's hosts up: cp1, w1, w2, s1
	@ansible-playbook -i $(INVENTORY) playbooks/lab_up.yml $(ARGS)

.PHONY: lab-down
lab-down: venv ## Remove the lab, and say what stays
	@ansible-playbook -i $(INVENTORY) playbooks/lab_down.yml

.PHONY: cluster
cluster: packages venv ## Bring up a verified Kubernetes cluster on the lab's hosts
	@ansible-playbook -i $(INVENTORY) playbooks/lab_up.yml
	@ansible-playbook -i $(INVENTORY) playbooks/site.yml $(ARGS)
	@ansible-playbook -i $(INVENTORY) playbooks/lab_access.yml > .lab/$(LAB)/access.log || { cat .lab/$(LAB)/access.log; exit 1; }
	@echo
	@echo "export KUBECONFIG=$(CURDIR)/.lab/$(LAB)/kubeconfig PATH=$(CURDIR)/.lab/$(LAB):\$$PATH    # then: kubectl get nodes"

.PHONY: cluster-down
cluster-down: lab-down ## The same as lab-down

.PHONY: kubectl
kubectl: ## kubectl ARGS="..." on the lab's cluster
	@test -x .lab/$(LAB)/kubectl || { echo "Lab $(LAB) has no cluster here. Remedy: make cluster LAB=$(LAB)" >&2; exit 1; }
	@KUBECONFIG=.lab/$(LAB)/kubeconfig .lab/$(LAB)/kubectl $(ARGS)

# -- tests -------------------------------------------------------------------------------------------------------------

.PHONY: test
test: ## All tests of a submission: lint, unit, sanity, the installed collection, molecule
	@rm -f .ansible/stages
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test-unit
	@$(MAKE) --no-print-directory test-sanity
	@$(MAKE) --no-print-directory test-molecule

.PHONY: test-all
test-all: test ## `test`, and what takes longer: faults of the lab, Kubernetes 1.36, the newest ansible-core

LINTS := lint-ruff lint-format lint-mypy lint-ansible lint-changelog lint-docs
.PHONY: lint $(LINTS)
lint: $(LINTS) ## ruff, mypy --strict, ansible-lint (production), docs and changelog (make -k lint: all, whatever fails)
$(LINTS): venv
lint-ruff:
	@$(STAGE) ruff ruff check .
lint-format:
	@$(STAGE) ruff-format ruff format --check .
lint-mypy:
	@$(STAGE) mypy mypy --package ansible_collections.nodewise.cluster.plugins
lint-ansible:
	@$(STAGE) ansible-lint ansible-lint
lint-changelog:
	@$(STAGE) changelog antsibull-changelog lint
lint-docs:
	@$(STAGE) docs scripts/lint-docs

.PHONY: test-unit
test-unit: venv ## pytest
	@$(STAGE) unit pytest --numprocesses=2 $(ARGS)

.PHONY: test-sanity
test-sanity: venv ## ansible-test sanity, all tests, no ignores
	@scripts/packages $(TEST_PACKAGES)
	@$(STAGE) sanity scripts/sanity $(ARGS)

.PHONY: test-molecule
test-molecule: packages venv ## molecule test: the whole site on lab hosts, its faults and its drift
	@$(STAGE) molecule-default molecule test --scenario-name default $(ARGS)
