# Everything a person does with this checkout. `make help` is the index.
# Built programs, data, logs and secrets of the local stack are below .stack/, which git ignores.

GO ?= go
STACK := .stack/bin
export CGO_ENABLED := 0

DEMO_CONTACTS ?= 10000
# The servers that tests run against; every run gets its own, on free ports.
TEST_SERVICES := postgres,redis,temporal,clamd,mailpit
PKG ?= ./...
ARGS ?=

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show every target
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do \
		printf '%-20s %s\n' "$$name" "$$text"; done

# go-is-here says what to do on a machine without Go; every target that needs it asks.
.PHONY: go-is-here
go-is-here:
	@command -v $(GO) >/dev/null || { echo "the program $(GO) is missing: install Go (the version is in go.mod)" \
		"from https://go.dev/dl/ and put its bin folder on the PATH"; exit 1; }

.PHONY: setup
setup: go-is-here ## Install missing Debian packages (nothing of them is started) and build the tools
	@$(GO) run ./tools/setup

.PHONY: packages
packages: go-is-here ## Install missing Debian packages only; the part of setup that needs root
	@$(GO) run ./tools/setup packages

.PHONY: build
build: go-is-here ## Build kloyst and metasim into .stack/bin
	@$(GO) run ./tools/setup kloyst metasim

.PHONY: temporal-server
temporal-server: go-is-here ## Build the real Temporal server, for `KLOYST_TEMPORAL=server make up` (minutes at first)
	@$(GO) run ./tools/setup temporal-server temporal-sql-tool temporal-ui

.PHONY: tctl
tctl: go-is-here ## Build tctl, Temporal's retired command line that docs/runbook.md uses (minutes at first)
	@$(GO) run ./tools/setup tctl

.PHONY: demo
demo: setup build up ## Set up, start the local stack, run one whole campaign (DEMO_CONTACTS=10000)
	@$(STACK)/kloyst demo --contacts $(DEMO_CONTACTS)

RUNS ?= 10
SEED ?= 0
.PHONY: chaos
chaos: setup build ## Kill and stall everything during campaigns, then count (RUNS=10 SEED=n replays, ARGS=-keep)
	$(GO) run ./tools/chaos -runs $(RUNS) -seed $(SEED) $(ARGS)

.PHONY: up
up: setup build ## Start the local stack and print its addresses
	@$(STACK)/kloyst dev up

.PHONY: status
status: ## Show what of the local stack runs, and its addresses
	@$(STACK)/kloyst dev status

.PHONY: down
down: ## Stop the local stack; its data stay
	@if [ -x $(STACK)/kloyst ]; then $(STACK)/kloyst dev down; fi

.PHONY: clean
clean: ## Stop the local stack and remove its data, logs and built programs
	@if [ -x $(STACK)/kloyst ]; then $(STACK)/kloyst dev down --purge; fi
	@rm -rf .stack

.PHONY: test
test: setup build ## Run every test against servers of its own (PKG=./store/... ARGS=-run=Name)
	@$(GO) run ./tools/setup gotestsum $(if $(filter ./... ./internal/e2e%,$(PKG)),tctl)
	$(GO) vet $(PKG)
	$(STACK)/kloyst dev exec --only $(TEST_SERVICES) -- \
		$(STACK)/gotestsum --format pkgname-and-test-fails --format-hide-empty-pkg -- -timeout 20m $(ARGS) $(PKG)

# The server costs about six minutes to build the first time, which is why `make test` leaves it out.
.PHONY: test-temporal-server
test-temporal-server: setup temporal-server ## Test the real Temporal server with the files of temporal-config
	KLOYST_TEST_TEMPORAL_SERVER=1 $(GO) test -count=1 -timeout 10m -run TestTemporalServer $(ARGS) ./internal/devstack

.PHONY: test-short
test-short: go-is-here ## Run the tests that need no servers
	$(GO) test -short $(ARGS) $(PKG)

# Benches: SCENARIO names one of tuned, webhooks, lone, fragmented, giant-and-small, paced (all
# without it), SCALE=0.1 a tenth of it, PROFILE=1 keeps CPU profiles and the costliest statements
# under .stack/profiles, BASELINE=FILE.jsonl prints another program's lines beside ours.
BENCH_FLAGS = $(if $(SCALE),--scale=$(SCALE)) $(if $(BASELINE),--baseline=$(BASELINE)) $(if $(KEEP),--keep)

.PHONY: bench-build
bench-build: setup build
	@$(GO) build -o $(STACK)/bench ./bench

.PHONY: bench-dispatch
bench-dispatch: bench-build ## Measure whole campaigns (SCENARIO=tuned SCALE=0.1 PROFILE=1 BASELINE=FILE.jsonl)
	@$(STACK)/bench dispatch $(SCENARIO) $(BENCH_FLAGS) $(if $(PROFILE),--profile)

.PHONY: bench-relay
bench-relay: bench-build ## Measure the outbox's claim at 1k, 100k and 1M pending rows (SCALE=0.1)
	@$(STACK)/bench relay $(BENCH_FLAGS)

.PHONY: bench-import
bench-import: bench-build ## Measure contact imports beside raw COPY (SCENARIO=csv SCALE=0.1 PROFILE=1 BASELINE=FILE.jsonl)
	@$(STACK)/bench import $(SCENARIO) $(BENCH_FLAGS) $(if $(PROFILE),--profile)

.PHONY: lint
lint: go-is-here ## Run golangci-lint, which also keeps the import diagram
	@$(GO) run ./tools/setup golangci-lint
	$(STACK)/golangci-lint run $(PKG)

.PHONY: fmt
fmt: go-is-here ## Format all Go files
	@$(GO) run ./tools/setup golangci-lint
	$(STACK)/golangci-lint fmt

.PHONY: fmt-check
fmt-check: go-is-here ## Fail when a Go file is not formatted
	@$(GO) run ./tools/setup golangci-lint
	$(STACK)/golangci-lint fmt --diff

.PHONY: workflowcheck
workflowcheck: go-is-here ## Look for code in workflows that would not replay
	@$(GO) run ./tools/setup workflowcheck
	$(STACK)/workflowcheck ./workflows/...

.PHONY: vuln
vuln: go-is-here ## Look for known vulnerabilities, where their database can be reached
	@$(GO) run ./tools/setup govulncheck
	@.ci/vuln $(STACK)/govulncheck ./...

.PHONY: check
check: fmt-check lint workflowcheck vuln test ## Everything a change must pass
