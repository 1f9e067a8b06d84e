# Everything a person types in a checkout. `make help` lists the targets.
#   LAB=name      which lab (default "lab"); two can live side by side
#   ARGS="..."    more arguments: for ansible-playbook (cluster, lab), kubectl, pytest (test-unit), ansible-test (test-sanity), molecule
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

LAB ?= lab
ARGS ?=
# What of ARGS says that nothing may be changed.
CHECK := $(filter --check -C,$(ARGS))
export NODEWISE_LAB := $(LAB)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

INVENTORY := inventories/lab
LINK := .ansible/collections/ansible_collections/nodewise/cluster
STAGE := scripts/stage

# "command or file:Debian package that has it"
LAB_PACKAGES := podman:podman runc:runc mmdebstrap:mmdebstrap ssh:openssh-client ssh-keygen:openssh-client mkfs.ext4:e2fsprogs \
  iptables:iptables /usr/lib/cni/bridge:containernetworking-plugins
# runc is built with cgo against libseccomp, which pkg-config finds; pause is linked with libc.a; zstd compresses the images' layers; Go and
# git trust the system's authorities. A Debian without recommended packages has none of them.
BUILD_PACKAGES := gcc:gcc git:git /usr/include/seccomp.h:libseccomp-dev /usr/include/stdlib.h:libc6-dev pkg-config:pkg-config zstd:zstd \
  /etc/ssl/certs/ca-certificates.crt:ca-certificates
TEST_PACKAGES := shellcheck:shellcheck
INTEGRATION_PACKAGES := skopeo:skopeo docker-registry:docker-registry chromium:chromium

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

# -- setting up --------------------------------------------------------------------------------------------------------

.PHONY: packages
packages: ## Install the Debian packages that the lab and the builds need, if missing
	@scripts/packages $(LAB_PACKAGES) $(BUILD_PACKAGES)
	@scripts/find-python > /dev/null 2>&1 || scripts/packages python3-venv:python3-venv # no command of that name: it is missing

.PHONY: venv
venv: .venv/.requirements $(LINK) ## Make .venv with the pinned requirements

.venv/.requirements: requirements.txt
	@scripts/venv .venv 3.11 $<
	@touch $@

# A second ansible-core, for test-newest.
.venv-newest/.requirements: requirements-newest.txt
	@scripts/venv .venv-newest 3.12 $<
	@touch $@

$(LINK):
	@mkdir -p $(@D)
	@ln -sfn ../../../.. $@

.PHONY: requirements
requirements: ## Pin requirements*.in anew into requirements*.txt
	@scripts/pin-requirements requirements 3.11
	@scripts/pin-requirements requirements-newest 3.12

# -- the lab and the cluster -------------------------------------------------------------------------------------------

.PHONY: lab
lab: packages venv ## Bring the lab's hosts up: cp1, w1, w2, s1
	@ansible-playbook -i $(INVENTORY) playbooks/lab_up.yml $(ARGS)

.PHONY: lab-down
lab-down: venv ## Remove the lab, and say what stays
	@ansible-playbook -i $(INVENTORY) playbooks/lab_down.yml

.PHONY: cluster
cluster: packages venv ## Bring up a verified Kubernetes cluster on the lab's hosts (ARGS=--check: say what that would change)
	@ansible-playbook -i $(INVENTORY) playbooks/lab_up.yml $(CHECK)
ifneq ($(CHECK),)
	@test -e .lab/$(LAB)/id_ed25519 || { echo "There is no lab $(LAB) whose hosts could be checked. Remedy: make lab LAB=$(LAB)" >&2; exit 1; }
	@ansible-playbook -i $(INVENTORY) playbooks/site.yml $(ARGS)
else
	@ansible-playbook -i $(INVENTORY) playbooks/site.yml $(ARGS)
	@ansible-playbook -i $(INVENTORY) playbooks/lab_access.yml > .lab/$(LAB)/access.log || { cat .lab/$(LAB)/access.log; exit 1; }
	@echo
	@echo "export KUBECONFIG=$(CURDIR)/.lab/$(LAB)/kubeconfig PATH=$(CURDIR)/.lab/$(LAB):\$$PATH    # then: kubectl get nodes"
endif

.PHONY: cluster-down
cluster-down: lab-down ## The same as lab-down

.PHONY: kubectl
kubectl: ## kubectl ARGS="..." on the lab's cluster
	@test -x .lab/$(LAB)/kubectl || { echo "Lab $(LAB) has no cluster here. Remedy: make cluster LAB=$(LAB)" >&2; exit 1; }
	@KUBECONFIG=.lab/$(LAB)/kubeconfig .lab/$(LAB)/kubectl $(ARGS)

# -- tests -------------------------------------------------------------------------------------------------------------

.PHONY: test
test: ## All tests of a submission: lint, unit, sanity, molecule
	@rm -f .ansible/stages
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test-unit
	@$(MAKE) --no-print-directory test-sanity
	@$(MAKE) --no-print-directory test-molecule

.PHONY: test-all
test-all: ## `test`, and what takes longer: admission, autoscaler, real parts of the library, faults of the lab, the newest ansible-core with Kubernetes 1.36
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory test-admission
	@$(MAKE) --no-print-directory test-autoscaler
	@$(MAKE) --no-print-directory test-integration
	@$(MAKE) --no-print-directory test-newest

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
test-molecule: packages venv ## molecule: the whole site on lab hosts, its faults and its drift
	@$(STAGE) molecule-default scripts/molecule-test --scenario-name default $(ARGS)

.PHONY: test-admission
test-admission: packages venv ## molecule: the API server's admission plugins changed on a living control plane
	@$(STAGE) molecule-admission scripts/molecule-test --scenario-name admission $(ARGS)

.PHONY: test-autoscaler
test-autoscaler: packages venv ## molecule: a pending pod makes the standby host join, and idle it leaves again
	@$(STAGE) molecule-autoscaler scripts/molecule-test --scenario-name autoscaler $(ARGS)

ON_CLUSTER := nodes readings nodereports reporter verify_resources cluster_resources_info page guard guard_lab metrics_server monitoring_rules monitoring \
  autoscaler_provider
.PHONY: test-integration
test-integration: packages venv ## pytest: the artifacts' builds, a lab's and a killed run's faults; then on the lab's cluster, the nodes' and their reports' faults
	@scripts/packages $(INTEGRATION_PACKAGES)
	@$(STAGE) integration pytest tests/integration/artifacts tests/integration/test_lab.py tests/integration/test_killed_site.py $(ARGS)
	@$(MAKE) --no-print-directory cluster ARGS=
	@NODEWISE_LONG=1 $(STAGE) integration-cluster pytest $(addprefix tests/integration/test_,$(addsuffix .py,$(ON_CLUSTER))) $(ARGS)

NEWEST := PATH=$(CURDIR)/.venv-newest/bin:$(PATH)
.PHONY: test-newest
test-newest: packages venv .venv-newest/.requirements ## The newest ansible-core: unit, sanity, and molecule with Kubernetes 1.36
	@$(NEWEST) $(STAGE) newest-unit pytest --numprocesses=2
	@$(NEWEST) $(STAGE) newest-sanity scripts/sanity
	@$(NEWEST) $(STAGE) newest-molecule-kubernetes-1.36 scripts/molecule-test --scenario-name kubernetes-1.36

.PHONY: bench
bench: packages venv ## Measure bring-up: a shell script, the site playbook, the site playbook again
	@python benchmarks/bring-up/run.py $(ARGS)
