# One entry point for people and CI. Every target installs what it lacks: Debian and Ubuntu by apt-get, elsewhere it says
# what is missing. Plain `./...` does not work at the root of a workspace; `work` names all modules.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

DATA     ?= .data
FUZZTIME ?= 5s
MODULES   = $(shell go list -m -f '{{.Dir}}')
PATTERNS  = $(patsubst $(CURDIR)/%,./%/...,$(MODULES))

.PHONY: help
help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build ## start everything, send sample documents to 20 sample people, show where all is; Ctrl-C ends it
	@deploy/setup.sh run
	@deploy/run.sh $(DATA)

.PHONY: build
build: workspace ## bin/filigree, every service on its own, and the sample documents' maker
	go build work
	go build -o bin/ ./services/cli/cmd/filigree ./services/*/cmd/* ./loadtest/cmd/samples

.PHONY: test
test: workspace bin/versitygw ## vet and test every module (FILIGREE_CORPUS names a folder of PDFs)
	@deploy/setup.sh test
	go vet work
	@deploy/test.sh

.PHONY: check
check: test tidy-check gen-check ## all that must hold before a commit

.PHONY: chaos
chaos: workspace ## kill -9 at ten seeds of seeded moments; every person has their mail in the end (2 min)
	@deploy/setup.sh test
	FILIGREE_CHAOS_SEEDS=10 go test -v -count=1 -timeout 30m ./loadtest/e2e -run TestChaos

.PHONY: deploy-check
deploy-check: ## Dockerfile, Compose and Kubernetes files against their schemas
	deploy/check.sh

.PHONY: fuzz
fuzz: workspace ## every fuzz target for FUZZTIME (5s) each
	@grep -rlE '^func Fuzz' --include='*_test.go' $(MODULES) | while read -r file; do \
	  for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$$file"); do \
	    echo "$$name, $${file#$(CURDIR)/}"; \
	    go test "$$(dirname "$$file")" -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x || exit 1; \
	  done; \
	done

.PHONY: bench
bench: workspace ## every benchmark
	@deploy/setup.sh test
	go test -run '^$$' -bench . -benchmem $$(go list work)

.PHONY: vet
vet: workspace ## go vet, every module
	go vet work

.PHONY: lint
lint: bin/golangci-lint ## golangci-lint, which is not part of test
	bin/golangci-lint run $(PATTERNS)

.PHONY: gen
gen: tools ## regenerate proto/gen
	@deploy/setup.sh gen
	deploy/gen.sh

.PHONY: gen-check
gen-check: workspace ## is proto/gen what the contracts say?
	go test ./proto/gensum

.PHONY: tidy
tidy: ## tidy every go.mod
	@set -e; for m in $(MODULES) deploy/tools deploy/tools/lint deploy/tools/s3 deploy/tools/manifests deploy/tools/probe; do GOWORK=off go -C $$m mod tidy; done

.PHONY: tidy-check
tidy-check: workspace ## is every go.mod tidy?
	@set -e; for m in $(MODULES); do echo "go mod tidy -diff $$m"; go -C $$m mod tidy -diff; done

.PHONY: tools
tools: bin/buf ## the pinned generators, into bin/

bin/versitygw: deploy/tools/s3/go.mod
	GOBIN=$(CURDIR)/bin GOWORK=off go -C deploy/tools/s3 install tool
	@touch $@

bin/buf: deploy/tools/go.mod
	GOBIN=$(CURDIR)/bin GOWORK=off go -C deploy/tools install tool
	@touch $@

bin/golangci-lint: deploy/tools/lint/go.mod
	GOBIN=$(CURDIR)/bin GOWORK=off go -C deploy/tools/lint install tool
	@touch $@

# With GOWORK=off, `go build work` matches nothing, warns, and succeeds.
.PHONY: workspace
workspace:
	@test -f "$$(go env GOWORK)" || { echo "GOWORK is '$$(go env GOWORK)': unset it, or no module is found" >&2; exit 1; }
