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
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

WEB     = services/console/web
WEBTEST = services/console/test

.PHONY: run
run: build ## start everything, send sample documents to 20 sample people, show where all is; Ctrl-C ends it
	@deploy/setup.sh run
	@deploy/run.sh $(DATA)

.PHONY: build
build: workspace ## bin/filigree, every service on its own, the load tool, and the sample documents' maker
	go build work
	go build -o bin/ ./services/cli/cmd/filigree ./services/*/cmd/* ./loadtest/cmd/*

.PHONY: test
test: workspace bin/versitygw $(WEBTEST)/node_modules/.package-lock.json ## vet and test every module (FILIGREE_CORPUS names a folder of PDFs)
	@deploy/setup.sh test
	go vet work
	@deploy/test.sh

.PHONY: check
check: test tidy-check gen-check web-check ## all that must hold before a commit

.PHONY: model
model: workspace ## 1,000,000 random transitions on a real Redis against the model of what the store promises (FILIGREE_TRANSITIONS, FILIGREE_SEED; half an hour and more)
	@deploy/setup.sh test
	FILIGREE_TRANSITIONS=$${FILIGREE_TRANSITIONS:-1000000} go test -v -count=1 -timeout 3h ./services/orchestrator/internal/store/model -run 'TestModel$$'

.PHONY: mutants
mutants: workspace ## breaks the store's scripts in 23 ways, one at a time: the model finds each (10 min)
	@deploy/setup.sh test
	FILIGREE_MUTANTS=1 go test -v -count=1 -timeout 1h ./services/orchestrator/internal/store/model -run 'TestMutants$$'

.PHONY: chaos
chaos: workspace ## kill -9 at ten seeds of seeded moments; every person has their mail in the end (2 min)
	@deploy/setup.sh test
	FILIGREE_CHAOS_SEEDS=10 go test -v -count=1 -timeout 30m ./loadtest/e2e -run TestChaos

.PHONY: faults
faults: workspace ## cancel at 50 moments, stand 100 mail workers still past their leases, roll through all processes, fail one call of five (20 min)
	@deploy/setup.sh test
	FILIGREE_CANCEL_SEEDS=$${FILIGREE_CANCEL_SEEDS:-50} FILIGREE_ZOMBIES=$${FILIGREE_ZOMBIES:-100} FILIGREE_ROLLING=$${FILIGREE_ROLLING:-3} go test -v -count=1 -timeout 2h ./loadtest/e2e -run 'TestCancelAndPause|TestStoppedPast|TestRolling|TestOneKey'
	FILIGREE_FAULT_RECIPIENTS=$${FILIGREE_FAULT_RECIPIENTS:-400} go test -v -count=1 -timeout 1h ./services/orchestrator ./services/standalone -run 'TestCallsThatFail|TestLateWords|TestEveryMethod|TestAKey|Quota'
	go test -v -count=1 -timeout 1h ./services/orchestrator/internal/store -run TestEveryScriptRunTwice

.PHONY: flood
flood: build ## small distributions beside 20,000 items, of steps that do next to nothing, and on the whole road; memory (10 min)
	@deploy/setup.sh test
	FILIGREE_FLOOD=$${FILIGREE_FLOOD:-20000} go test -v -count=1 -timeout 30m ./services/orchestrator -run TestSmallOnesBesideAFlood
	bin/loadtest beside --recipients 2000

.PHONY: broken
broken: workspace ## breaks the source in one place at a time and runs the fault test that is to notice (20 min)
	@deploy/setup.sh test
	go run ./loadtest/cmd/broken

.PHONY: gauntlet
gauntlet: workspace ## 20,000 damaged PDFs and all of FILIGREE_CORPUS against programs that are not ours (FILIGREE_MUTANTS, FILIGREE_SEED, FILIGREE_KEEP)
	@deploy/setup.sh test
	@test -n "$$FILIGREE_CORPUS" || echo "FILIGREE_CORPUS names no folder of PDFs: only documents made here are damaged"
	FILIGREE_MUTANTS=$${FILIGREE_MUTANTS:-20000} go test -v -count=1 -timeout 12h ./services/watermark -run 'TestGauntlet|Corpus$$'

.PHONY: trace
trace: workspace ## copies of three files for 1,000 people, traced after all that they should survive (FILIGREE_RECIPIENTS; takes an hour)
	@deploy/setup.sh test
	FILIGREE_RECIPIENTS=$${FILIGREE_RECIPIENTS:-1000} go test -v -count=1 -timeout 6h ./services/watermark -run 'TestTrace$$'

.PHONY: removal
removal: workspace ## attacks that take marks off PDFs, on all of FILIGREE_CORPUS (half an hour)
	@deploy/setup.sh test
	@test -n "$$FILIGREE_CORPUS" || { echo "FILIGREE_CORPUS names no folder of PDFs" >&2; exit 1; }
	FILIGREE_REMOVAL=all go test -v -count=1 -timeout 3h ./services/watermark/internal/removal -run 'TestRemoval|TestLimits'

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

.PHONY: arm64
arm64: workspace ## are copies the same bytes on arm64? (emulated; installs qemu)
	@deploy/setup.sh arm64
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && for p in pkg/mark services/watermark/internal/stamp services/watermark/internal/picture; do \
	  CGO_ENABLED=0 GOARCH=arm64 go test -c -o $$dir/t ./$$p || exit 1; \
	  (cd $$p && qemu-aarch64-static $$dir/t -test.short -test.v -test.run 'TestScripts|Golden|TheEngineWrites|SameEachTime') >$$dir/out 2>&1 || { cat $$dir/out; exit 1; }; \
	  grep '^--- ' $$dir/out || { echo "$$p: none of its tests ran" >&2; exit 1; }; \
	done

.PHONY: bench
bench: build ## what copies cost beside pdfcpu and qpdf, steps beside asynq, the whole road, then every benchmark (FILIGREE_FIGURES=20 rounds)
	@deploy/setup.sh test
	FILIGREE_FIGURES=$${FILIGREE_FIGURES:-20} nice go test -v -count=1 -timeout 60m ./services/watermark/internal/figures
	FILIGREE_FIGURES=1 go test -v -count=1 -timeout 40m ./services/observer -run TestFigures
	$(MAKE) bench-load
	go test -run '^$$' -bench . -benchmem $$(go list work)

.PHONY: bench-load
bench-load: build ## of bench: steps beside asynq, how time grows, and the whole road from request to mail server
	@deploy/setup.sh test
	bin/loadtest engine --rounds $${FILIGREE_FIGURES:-20} --asynq --fsync everysec
	bin/loadtest engine --rounds $${FILIGREE_FIGURES:-20} --asynq --fsync always
	bin/loadtest growth --plot docs/growth.svg
	bin/loadtest send --recipients 1000 --password --mode link
	bin/loadtest send --files 10 --recipients 1000
	bin/loadtest send --profile many --recipients 1 --count 200
	bin/loadtest beside

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

.PHONY: web
web: $(WEB)/node_modules/.package-lock.json ## build the console's and the reader's files (npm), which are committed
	npm --prefix $(WEB) run types
	npm --prefix $(WEB) run build

.PHONY: web-check
web-check: web ## are these committed files what their source makes?
	@git diff --exit-code --stat -- $(WEB)/dist services/link/reader $(WEB)/src/api/schema.d.ts || { echo "the console's or the reader's built files are not those of their source: make web, and commit them" >&2; exit 1; }

.PHONY: web-test
web-test: build $(WEBTEST)/node_modules/.package-lock.json ## the console in a browser: every page at three widths, light and dark; 10,000 items for 10 minutes (FILIGREE_SCREENSHOTS; 20 min)
	@deploy/setup.sh test
	FILIGREE_PAGES=all FILIGREE_PEOPLE=1000 FILIGREE_MINUTES=10 FILIGREE_STRICT=1 npm --prefix $(WEBTEST) test

$(WEBTEST)/node_modules/.package-lock.json: $(WEBTEST)/package-lock.json
	@deploy/setup.sh gen
	npm --prefix $(WEBTEST) ci --no-audit --no-fund

$(WEB)/node_modules/.package-lock.json: $(WEB)/package-lock.json
	@deploy/setup.sh gen
	npm --prefix $(WEB) ci --no-audit --no-fund

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
