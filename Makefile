# `make` or `make help` lists the verbs.
.DEFAULT_GOAL := help
SHELL := /bin/bash

# The domain and `replay` build without the AWS SDK.
LOCAL := --no-default-features
LOGS ?= events/logs

.PHONY: help
help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: replay
replay: ## Run the detector over the sample logs (or LOGS=path), without AWS
	@cargo run --release $(LOCAL) --bin replay -- "$(LOGS)"

.PHONY: test
test: test-domain test-aws ## Run all tests

.PHONY: test-domain
test-domain: ## Test the domain and `replay`, without the AWS SDK
	cargo test $(LOCAL)

.PHONY: test-aws
test-aws: ## Test everything that talks to AWS, against local stand-ins
	cargo test

.PHONY: bench
bench: ## Compare reading with bare decompression, as ratios
	cargo bench $(LOCAL) --bench read

.PHONY: lint
lint: ## Check format and lints, warnings as errors
	cargo fmt --check
	cargo clippy $(LOCAL) --all-targets -- -D warnings
	cargo clippy --all-targets -- -D warnings

# Python tools live in the project folder, with pinned versions.
.venv/.done: tests/requirements.txt
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

.PHONY: clean
clean: ## Remove everything that was built or installed here
	rm -rf target .venv
