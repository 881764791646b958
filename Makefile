# What one does with this repository. "make help" lists the targets.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
MAKEFLAGS += --warn-undefined-variables --no-builtin-rules

GO       ?= go
FUZZTIME ?= 30s
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# Tools come from a module of their own, so that the product depends on none of them.
TOOL := $(GO) tool -modfile=tools/go.mod

# Every Go file but what is installed for tests, committed or not.
GO_FILES := find . -name '.?*' -prune -o -name '*.go' -print

.DEFAULT_GOAL := build

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the static binary into bin/headgate
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/headgate ./cmd/headgate

.PHONY: test
test: peers ## Install what the tests need, then run all of them with the race detector
	$(GO) test -race ./...
	$(GO) test ./rpc/socket # whose calls are others under the race detector

.PHONY: peers
peers: ## Install the foreign clients and servers that the tests meet (needs Node.js 20 with npm, and apt-get, or websocketd and g++)
	$(GO) run ./test/peer/install

.PHONY: check
check: ## Run everything that CI runs
	.ci/run

.PHONY: format
format: ## Format the Go files
	$(GO_FILES) | xargs $(TOOL) gofumpt -w

.PHONY: format-check
format-check: ## Fail when a Go file is not formatted
	@unformatted=$$($(GO_FILES) | xargs $(TOOL) gofumpt -l)
	if [ -n "$$unformatted" ]; then
		printf 'not formatted (make format):\n%s\n' "$$unformatted" >&2
		exit 1
	fi

.PHONY: staticcheck
staticcheck: ## Run staticcheck
	$(TOOL) staticcheck ./...

.PHONY: lint
lint: format-check staticcheck ## Run every linter (installs golangci-lint into bin once: some minutes)
	@if [ ! -x bin/golangci-lint ]; then
		GOBIN=$(CURDIR)/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
	fi
	bin/golangci-lint run ./...

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME (30s, or a count such as 3000x)
	@grep -rH --include='*_test.go' --exclude-dir='.*' '^func Fuzz' -- */ |
	sed -E 's|^(.*)/[^/]+_test\.go:func (Fuzz[A-Za-z0-9_]*)\(.*|\1 \2|' |
	while read -r package target; do
		echo "$$package $$target"
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "./$$package" </dev/null
	done

.PHONY: conformance
conformance: peers ## Run the official suite directly and through Headgate; writes test/conformance/RESULTS.md
	$(GO) run ./test/conformance -write test/conformance/RESULTS.md

.PHONY: faults
faults: ## Make every fault as often as the ledger promises (about twenty minutes); writes docs/faults.md
	$(GO) test ./test/fault -count=1 -timeout 2h -full -ledger $(CURDIR)/docs/faults.md

.PHONY: soak
soak: ## Run what is statistical, random or destructive as often as is promised (about a quarter of an hour)
	HEADGATE_SOAK=1 $(GO) test ./state/embedded -count=1 -timeout 1h -rapid.checks 4000 -v
	HEADGATE_SOAK=1 $(GO) test ./policy -count=1 -timeout 1h -v -run T27_
	$(GO) test ./policy/auth -count=1 -timeout 1h -v -run T6_ -full
	$(GO) test ./test/e2e -count=1 -timeout 1h -v -run T4_Time -full
	HEADGATE_SOAK=1 $(GO) test ./test/e2e -count=1 -timeout 1h -v -run T33_

.PHONY: bench
bench: ## Measure direct, through a tuned reverse proxy and through Headgate in one run: calls, then streams of tokens
	$(GO) run ./test/load/bench
	$(GO) run ./test/load/bench -streams 100 -duration 5s

.PHONY: bench-models
bench-models: ## Measure how calls are divided among four simulated engines, one of them ten times slower, beside round robin (about four minutes)
	$(GO) test ./test/load/balance -count=1 -timeout 1h -v -full

.PHONY: cluster
cluster: ## Send equal requests to simulated inference engines in each way there is to choose (about ten minutes)
	$(GO) run ./test/load/engines -duration 1m
	$(GO) run ./test/load/engines -duration 1m -slow 10

.PHONY: schema
schema: ## Generate the configuration's JSON Schema anew
	$(GO) generate ./config

.PHONY: clean
clean: ## Remove what the other targets made
	rm -rf bin test/.peers
