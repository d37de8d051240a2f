# SPDX-License-Identifier: Apache-2.0
#
# The same commands everywhere: CI runs these targets and nothing else.

GO ?= go
PKGS ?= ./...
BENCH ?= .
FUZZTIME ?= 30s
LINT := bin/golangci-lint

.DEFAULT_GOAL := help
.PHONY: help demo test test-system test-root test-mariadb test-vm test-ceph test-arrays check fmt vet lint generate generated bench fuzz cover functional tidy clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## run the main job on the embedded default: create, attach, snapshot, clone, dump, load
	@$(GO) run ./internal/demo

test: ## everything that needs no server, no root and no hardware, under the race detector
	$(GO) test -race -timeout 20m $(PKGS)

test-system: ## what needs root, a real kernel, MariaDB, Ceph or Cinder: all that follows, two at a time (Debian 12)
	tools/test-system.sh

test-root: ## loop devices, reflinks, a full disk; what compares with Cinder; the hermetic tests as an ordinary user; as root
	tools/test-root.sh

test-mariadb: ## the database store on a real MariaDB, its server killed in every verb
	tools/test-mariadb.sh

test-vm: ## LVM, LIO, iSCSI and multipath on a real kernel, in VMs, and what test-arrays does; as root
	tools/test-vm.sh

test-ceph: ## librbd, the driver rbd and its attachments on a real Ceph, also in a VM; as root
	tools/test-ceph.sh

test-arrays: ## the drivers of arrays on simulated ones, with real data, in a VM; as root
	tools/test-vm.sh arrays

check: fmt vet lint generated ## format, vet, lint, generated files current

fmt:
	@out=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); test -z "$$out" || { echo "not gofmt-ed:"; echo "$$out"; exit 1; }

vet:
	$(GO) vet ./...
	cd tools/docgen && $(GO) vet ./...
	CGO_ENABLED=0 $(GO) build . ./drivers/... ./connector/... ./persistence/...

lint: $(LINT)
	$(LINT) run
	cd tools/docgen && ../../$(LINT) run -c ../../.golangci.yml ./...

$(LINT): tools/lint/go.mod tools/lint/go.sum
	@echo "building golangci-lint: some minutes, once"
	cd tools/lint && $(GO) build -o ../../$(LINT) github.com/golangci/golangci-lint/v2/cmd/golangci-lint

generate: ## write the generated pages and the code blocks of the documentation
	cd tools/docgen && $(GO) run .

generated:
	cd tools/docgen && $(GO) run . -check
	cd tools/docgen && $(GO) test ./...

bench: ## benchmarks with allocations; BENCH=regexp and PKGS choose; of all packages as root on MariaDB and Ceph, too
	$(GO) test -p 1 -run '^$$' -bench '$(BENCH)' -benchmem $(PKGS)
	@test '$(PKGS)' != ./... -o "$$(id -u)" != 0 || { BENCH='$(BENCH)' tools/test-mariadb.sh && BENCH='$(BENCH)' tools/test-ceph.sh host; }

fuzz: ## each fuzz target for FUZZTIME
	@set -e; for pkg in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s $$pkg; \
		done; done

cover: ## coverage of the tests
	$(GO) test -coverpkg=./... -coverprofile=bin/cover.out $(PKGS)
	$(GO) tool cover -func=bin/cover.out | tail -1

functional: ## the functional suite; CL_FTEST_CFG chooses the backends
	$(GO) test -count=1 -v ./functional/

tidy: ## go.mod and go.sum of the modules: the library's, and those of what checks it
	$(GO) mod tidy
	cd tools/docgen && $(GO) mod tidy
	cd tools/lint && $(GO) mod tidy

clean: ## what the targets left
	rm -rf bin
