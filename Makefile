# Everything a person types in a checkout. `make help` lists the targets.
#   LAB=name      which lab (default "lab"); two can live side by side
#   ARGS="..."    more arguments for ansible-playbook (cluster, lab) or kubectl
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

LAB ?= lab
ARGS ?=
export NODEWISE_LAB := $(LAB)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

INVENTORY := inventories/lab
COLLECTIONS := .ansible/collections/ansible_collections
LINK := $(COLLECTIONS)/nodewise/cluster
# ansible-test refuses a link and wants the path ansible_collections/nodewise/cluster: it gets a copy.
COPY := .ansible/test/ansible_collections/nodewise/cluster

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

# -- setting up ---------------------------------------------------------------------------------------------------------

.PHONY: packages
packages: ## Install the Debian packages that the lab and the builds need, if missing
	@scripts/packages

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
requirements: ## Pin requirements.in anew (pip-compile) into requirements.txt
	"$$(scripts/find-python)" -m venv .ansible/pip-tools
	.ansible/pip-tools/bin/pip install --quiet pip-tools==7.6.2
	.ansible/pip-tools/bin/pip-compile --quiet --strip-extras --generate-hashes --allow-unsafe --no-emit-options --no-emit-find-links \
	  --output-file=requirements.txt requirements.in

# -- the lab and the cluster ----------------------------------------------------------------------------------------------

.PHONY: lab
lab: packages venv ## Bring the lab's hosts up: cp1, w1, w2, s1
	@ansible-playbook -i $(INVENTORY) playbooks/lab_up.yml $(ARGS)

.PHONY: lab-down
lab-down: venv ## Remove the lab and say what stays
	@ansible-playbook -i $(INVENTORY) playbooks/lab_down.yml $(ARGS)

.PHONY: cluster
cluster: packages venv ## Bring up a verified Kubernetes cluster on the lab's hosts
	@ansible-playbook -i $(INVENTORY) playbooks/lab_up.yml
	@ansible-playbook -i $(INVENTORY) playbooks/site.yml $(ARGS)
	@ansible-playbook -i $(INVENTORY) playbooks/lab_kubeconfig.yml
	@echo "export KUBECONFIG=$(CURDIR)/.lab/$(LAB)/kubeconfig    # then kubectl, or: make kubectl ARGS='get pods -A'"

.PHONY: cluster-down
cluster-down: lab-down ## The same as lab-down

.PHONY: kubectl
kubectl: ## kubectl ARGS="..." on the lab's cluster
	@scripts/lab-kubectl $(ARGS)
