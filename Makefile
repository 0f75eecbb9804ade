# make          what there is
# make test     everything that CI checks, with what it needs installed first
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

TOOLS := $(CURDIR)/.bin

# The linter is pinned: another version finds other things. It holds gofumpt and goimports too.
LINT_VERSION := v2.15.0
LINT := $(TOOLS)/golangci-lint-$(LINT_VERSION)

# Summaries and comparisons of benchmarks.
BENCHSTAT_VERSION := v0.0.0-20260908200009-22c9c6c9d4da
BENCHSTAT := $(TOOLS)/benchstat-$(BENCHSTAT_VERSION)

# One of the servers that Tidings is compared with. It takes minutes to build, once.
CENTRIFUGO := $(TOOLS)/centrifugo

# Folders with a package.json whose modules the tests need.
NODE_FOLDERS := client docs/examples/node loadtest/peers/socketio
NODE_MODULES := $(addsuffix /node_modules,$(NODE_FOLDERS))

# A tag names a release; without one the binary tells its commit.
VERSION := $(shell git describe --tags --dirty 2>/dev/null)

FUZZTIME ?= 30s
SCENARIO ?=
SEEDS ?= 1,2
CHAOS_OUT ?= chaos-reports
BENCH ?= .
BENCHCOUNT ?= 1
BASE ?=
ROUNDS ?=
CLIENTS ?= 10000
QUICK ?=
TESTTIMEOUT ?= 10m

# Packages with tests that the race detector would falsify (memory, latency) run a second time without it.
WITHOUT_RACE = $(sort $(dir $(shell grep -rlE --include='*_test.go' '^//go:build .*!race' . 2>/dev/null)))

# Packages with benchmarks, of whichever commit it is run in.
WITH_BENCHMARKS = grep -rlE --include='*_test.go' '^func Benchmark' . | xargs -n 1 dirname | sort -u

.PHONY: help
help: ## show this
	@if [ -t 1 ]; then c=$$'\e[36m' n=$$'\e[0m'; else c= n=; fi; \
	awk -v c="$$c" -v n="$$n" -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %smake %-11s%s %s\n", c, $$1, n, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## build, start the demo, print where to look and what to do next
	bin/tidings demo

.PHONY: build
build: ## build bin/tidings
	go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/tidings ./cmd/tidings

.PHONY: test
test: system $(NODE_MODULES) lint client race ## install what is needed, then everything that CI checks

.PHONY: lint
lint: $(LINT) ## formatting, vet, the linters, the arrows between packages, a tidy go.mod
	go mod tidy -diff
	go vet ./...
	$(LINT) run

.PHONY: fmt
fmt: $(LINT) ## format all Go code
	$(LINT) fmt

.PHONY: race
race: system $(NODE_MODULES) $(CENTRIFUGO) ## all tests, fuzz seeds included, with the race detector
	go test -race -count=1 -timeout $(TESTTIMEOUT) ./...
	$(if $(WITHOUT_RACE),go test -count=1 -timeout $(TESTTIMEOUT) $(WITHOUT_RACE))

.PHONY: client
client: system client/node_modules build ## build the browser library and run its tests, some of them against bin/tidings
	cd client && npm run --silent build && npm run --silent check && npm run --silent test

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (30s)
	@go list ./... | while read -r package; do \
		listed=$$(go test -list '^Fuzz' "$$package"); \
		for target in $$(grep '^Fuzz' <<<"$$listed" || true); do \
			echo "fuzz $$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package" </dev/null; \
		done; \
	done

.PHONY: chaos
chaos: ## break everything again and again with SEEDS (1,2), compare each client with the stream; needs root for the full disk
	@mkdir -p $(CHAOS_OUT)
	go test -count=1 -v -timeout 60m ./loadtest/chaos -args -full -seeds $(SEEDS) -out $(abspath $(CHAOS_OUT))

# Both sides of a comparison are measured in turns, so that a machine that gets busier does not look like a change.
.PHONY: bench
bench: $(BENCHSTAT) ## benchmarks matching BENCH (all), BENCHCOUNT times (1), and their summary; BASE=<git ref> compares with that commit
	@results=$$(mktemp -d); base="$$results/base"; \
	trap 'rm -r "$$results"' EXIT; \
	$(if $(BASE),git rev-parse --quiet --verify '$(BASE)^{commit}' >/dev/null || { echo 'make: BASE=$(BASE) names no commit' >&2; exit 1; };) \
	$(if $(BASE),mkdir "$$base"; git archive '$(BASE)' | tar -x -C "$$base";) \
	measure() { (cd "$$1" && go test -run '^$$' -bench '$(BENCH)' -benchmem $$($(WITH_BENCHMARKS))) | tee -a "$$2"; }; \
	for i in $$(seq $(BENCHCOUNT)); do \
		$(if $(BASE),measure "$$base" "$$results/before.txt";) \
		measure . "$$results/now.txt"; \
	done; \
	echo; $(BENCHSTAT) $(if $(BASE),'$(BASE)'="$$results/before.txt" )now="$$results/now.txt"

.PHONY: bench-peers
bench-peers: system $(NODE_MODULES) $(CENTRIFUGO) ## Tidings beside the floor and its peers, into docs/benchmarks.md: ROUNDS (4), CLIENTS (10000), QUICK=1 for a try
	go build -o bin/bench-peers ./loadtest/peers/bench
	bin/bench-peers --rounds $(or $(ROUNDS),4) --clients $(CLIENTS) $(if $(QUICK),--quick)

.PHONY: growth
growth: build ## what a delivery costs with more connections, rooms and edges, into docs/scaling.md: ROUNDS (3), QUICK=1 for a try
	go build -trimpath -o bin/nats-server github.com/nats-io/nats-server/v2
	go build -trimpath -o bin/growth ./loadtest/growth
	bin/growth --rounds $(or $(ROUNDS),3) $(if $(QUICK),--quick)

.PHONY: profile
profile: build ## CPU and heap profiles of an edge under SCENARIO of the load test (each bundled one), into profiles/
	go build -o bin/nats-server github.com/nats-io/nats-server/v2
	go run ./loadtest/profile $(SCENARIO)

$(LINT):
	GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	mv $(TOOLS)/golangci-lint $@

$(BENCHSTAT):
	GOBIN=$(TOOLS) go install golang.org/x/perf/cmd/benchstat@$(BENCHSTAT_VERSION)
	mv $(TOOLS)/benchstat $@

$(CENTRIFUGO): loadtest/peers/centrifugo/go.sum
	cd loadtest/peers/centrifugo && go build -trimpath -o $@ github.com/centrifugal/centrifugo/v6
	touch $@

%/node_modules: %/package-lock.json
	cd $* && npm ci --no-audit --no-fund
	touch $@

# system installs what the tests use beside Go: a C compiler for the race detector, Node and Chromium as foreign clients, Redis for
# the servers that Tidings is compared with.
.PHONY: system
system:
	@missing=(); \
	command -v gcc >/dev/null || missing+=(gcc libc6-dev); \
	command -v node >/dev/null || missing+=(nodejs); \
	command -v npm >/dev/null || missing+=(npm); \
	command -v redis-server >/dev/null || missing+=(redis-server); \
	[ -x /usr/bin/chromium ] || missing+=(chromium); \
	[ $${#missing[@]} -gt 0 ] || exit 0; \
	command -v apt-get >/dev/null || { echo "make: the tests need $${missing[*]}; install them and try again" >&2; exit 1; }; \
	root=; [ "$$(id -u)" = 0 ] || root=sudo; \
	$$root apt-get update -qq; \
	$$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}"
