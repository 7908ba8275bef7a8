# `make` lists the targets. What each does in detail stands at the top of its script in scripts/.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup build deny demo test test-rabbitmq4 conformance pictures console-pictures soak lint listings verify bench compare broker broker-stop clean-broker clean

BROKER := .cache/broker

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what the tests need and this machine lacks (RabbitMQ, PostgreSQL, Python and node packages)
	@scripts/setup.sh

build: ## the release binary, target/release/reveille
	cargo build --release

demo: ## the art event, live on the terminal; needs no server
	cargo demo

test: ## all tests on a private broker and PostgreSQL; T=name runs those whose name contains it
	@scripts/test.sh $(T)

test-rabbitmq4: ## what concerns the broker, on RabbitMQ 4 in a chroot that it installs (root); PART="bus crash" runs some
	@scripts/rabbitmq4.sh test $(PART)

conformance: ## the cases recorded on AWS, on the embedded bus; ARGS="--only choice -v" goes to their runner
	@scripts/conformance.sh $(ARGS)

pictures: ## renew the pictures of a session, a trace and the dashboard from a server that runs for them
	@scripts/setup.sh broker python monitoring
	cargo build
	.venv/bin/python scripts/pictures.py

console-pictures: ## renew the pictures of docs/CONSOLE.md from the console's browser tests
	@scripts/console.sh --pictures docs/pictures

soak: ## the long crash campaign: 200 kills of the engine, 20 of the broker, under load; ARGS=… goes to tests/soak/crash.py
	@scripts/setup.sh
	cargo build --release
	.venv/bin/python tests/soak/crash.py --binary target/release/reveille --engine-kills 200 --broker-kills 20 $(ARGS)

lint: ## formatting, clippy, fuzzers that compile, documentation and shell scripts; any warning fails
	cargo fmt --check -p reveille -p reveille-core
	cargo clippy --workspace --all-targets -- -D warnings
	cargo check --manifest-path fuzz/Cargo.toml --target-dir target/fuzz --features objects,wire
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items
	python3 scripts/listings.py --check
	@if command -v shellcheck >/dev/null; then shellcheck -x scripts/*.sh .ci/run; else echo "shellcheck is not installed: scripts not checked"; fi

listings: ## renew the listings in the documents from the files that they show
	@python3 scripts/listings.py

deny: ## licences, sources and doubles of all crates against deny.toml, where cargo-deny is installed (scripts/setup.sh deny)
	@scripts/deny.sh

verify: lint deny test ## what must pass before a change goes in: lint, deny, then test

bench: ## rates and memory, beside the bare broker's, in release mode; ARGS=… goes to `reveille bench`
	@scripts/bench.sh $(ARGS)

compare: ## durable callbacks beside those of Restate (from npm), in turn; ARGS=… goes to tests/compare/restate.mjs
	@scripts/compare.sh $(ARGS)

broker: ## a private RabbitMQ to play with, with its management page (guest / guest)
	@scripts/setup.sh broker
	@mkdir -p $(BROKER)
	@BROKER_PLUGINS=$${BROKER_PLUGINS-rabbitmq_management,rabbitmq_prometheus} scripts/broker.sh start $(BROKER)
	@if [ -f $(BROKER)/management-url ]; then echo "management page: $$(cat $(BROKER)/management-url)"; fi
	@echo "stop it with: make broker-stop"

broker-stop: ## stop that broker; its queues stay for the next start
	@scripts/broker.sh stop $(BROKER)

clean-broker: ## stop that broker and delete its data
	@if [ -d $(BROKER) ]; then scripts/broker.sh discard $(BROKER); fi

clean: clean-broker ## delete everything that was built or installed here
	cargo clean
	rm -rf .venv .cache examples/workers/node/node_modules tests/console/node_modules
