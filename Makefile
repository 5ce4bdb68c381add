# make up      builds Lian, makes a four-node network in ./net if there is none, and runs it; Ctrl-C stops it.
#              Options of `lian up` go into ARGS: make up ARGS="--nodes 7 --port-offset 100"
# make test    every check that CI runs, from formatting to real client libraries against a real network.
# make release packs the program of a clean checkout with its documents into dist/.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help up build tools test fmt clippy unit mutants deny examples operations tutorial upgrade contracts release

ARGS ?=
TARGET := $(or $(CARGO_TARGET_DIR),target)
LIAN := $(TARGET)/release/lian
# Checks licences, sources and duplicates of everything that is linked in. Built once, kept between runs.
DENY_VERSION := 0.20.2
DENY := target/tools/bin/cargo-deny

help:
	@echo 'make up     run a local network (options: ARGS="--nodes 7 --port-offset 100")'
	@echo 'make test   run every check'
	@echo 'make release   pack the program into dist/'

up: build
	@exec $(LIAN) up $(ARGS)

build: tools
	@echo '== building lian (some minutes the first time)'
	@cargo build --release --locked --package lian

tools:
	@tests/tools.sh

test: tools fmt clippy unit mutants deny examples operations tutorial upgrade contracts
	@echo '== all checks passed'

fmt:
	@echo '== formatting'
	@cargo fmt --all --check

clippy:
	@echo '== lints'
	@cargo clippy --release --locked --workspace --all-targets -- -D warnings

unit:
	@echo '== unit and integration tests'
	@cargo test --release --locked --workspace --quiet

# Plants the bugs of mutants/ into a copy of the workspace and checks that each is caught. The copy is linked with the
# dependencies of the tests' build, which are compiled already after `unit`.
mutants: tools
	@cargo test --release --locked --workspace --no-run --quiet
	@echo '== planted bugs are caught'
	@mutants/run.sh

deny: $(DENY)
	@echo '== licences and sources of dependencies'
	@$(DENY) --log-level error check bans licenses sources

$(DENY):
	@echo '== building cargo-deny $(DENY_VERSION) into target/tools (once)'
	@cargo install --locked --quiet --root target/tools --version $(DENY_VERSION) cargo-deny

# The program comes from the tests' build, whose dependencies are compiled already; `build` selects other features.
examples: tools
	@cargo test --release --locked --workspace --no-run --quiet
	@echo '== ethers, viem, web3.py and cast against a network of four nodes'
	@tests/examples.sh $(LIAN)

# As `examples`: the tests' own build of the program.
operations: tools
	@cargo test --release --locked --workspace --no-run --quiet
	@echo '== every command of docs/operations.md'
	@tests/operations.sh $(LIAN)

tutorial: tools
	@cargo test --release --locked --workspace --no-run --quiet
	@echo '== every command of docs/tutorial.md'
	@tests/tutorial.sh $(LIAN)

upgrade: tools
	@cargo test --release --locked --workspace --no-run --quiet
	@echo '== from the previous program to this one, node by node, under load'
	@tests/upgrade.sh $(LIAN)

release: tools
	@git diff --quiet HEAD -- && [ -z "$$(git status --porcelain)" ] || { echo 'lian: the checkout has changes: commit or remove them, so that the archive is that of a commit' >&2; exit 1; }
	@cargo build --release --locked --package lian
	@packaging/release.sh $(LIAN) dist

contracts:
	@echo '== committed contract artifacts are what their sources compile to'
	@tests/contracts.sh
