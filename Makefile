# `make` or `make help` lists the verbs.
.DEFAULT_GOAL := help
SHELL := /bin/bash

# The domain and `replay` build without the AWS SDK.
LOCAL := --no-default-features
LOGS ?= events/logs
EVENT ?= events/s3-put.json
RULES_DIR ?= rules

# The stack in AWS that the verbs below `Operate` work on.
STACK ?= bedrock-denial-watch
# Processor of the function: as answered at the last deployment from here, else arm64.
SAVED_ARCH := $(shell sed -n 's/^parameter_overrides.*Architecture=[\\"]*\(arm64\|x86_64\).*/\1/p' samconfig.toml)
ARCH ?= $(or $(SAVED_ARCH),arm64)
export SAM_CLI_TELEMETRY := 0
# sam finds cargo-lambda and zig in the project's own folder.
SAM := PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/sam

.PHONY: help
help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: replay
replay: ## Run the detector over the sample logs (or LOGS=path), without AWS
	@cargo run --release $(LOCAL) --bin replay -- "$(LOGS)"

.PHONY: test
test: test-domain test-aws $(if $(filter 1,$(SKIP_E2E)),e2e-skipped,e2e) ## Run all tests (SKIP_E2E=1: all but `e2e`)

.PHONY: test-domain
test-domain: ## Test the domain and `replay`, without the AWS SDK
	cargo test $(LOCAL)

.PHONY: test-aws
test-aws: ## Test everything that talks to AWS, against local stand-ins
	cargo test --lib --bins --test aws

.PHONY: rule-test
rule-test: ## Run the examples in the rule files of rules/ (or RULES_DIR=path)
	@cargo run --quiet --release $(LOCAL) --bin replay -- --test-rules --rules-dir "$(RULES_DIR)"

.PHONY: bench
bench: ## Compare reading with bare decompression, as ratios
	cargo bench $(LOCAL) --bench read

# The zip that Lambda would be given, by the tool that `sam build` uses, for this processor.
ZIP := target/lambda/bootstrap/bootstrap.zip
.PHONY: $(ZIP)
$(ZIP): .venv/.done
	.venv/bin/cargo-lambda lambda build --release --bin bootstrap --output-format zip --compiler cargo --skip-target-check

.PHONY: e2e
e2e: $(ZIP) ## Test the whole chain: template.yaml and the release build, in ministack
	.venv/bin/pytest -q tests/e2e

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

.PHONY: validate
validate: .venv/.done .venv-validate/.done ## Check the template: sam, cfn-lint, checkov, and against the code
	$(SAM) validate --lint --region us-east-1
	.venv/bin/python scripts/package.py --out target/validate
	.venv-validate/bin/cfn-lint template.yaml examples/*.yaml
	.venv-validate/bin/cfn-lint --ignore-checks W1030 --regions us-east-1 us-west-2 eu-west-1 ap-northeast-1 -- target/validate/template.json
	.venv-validate/bin/cfn-lint --ignore-checks W2001 --regions us-gov-east-1 us-gov-west-1 cn-north-1 cn-northwest-1 \
		-- target/validate/template-without-chat.json
	.venv-validate/bin/checkov --skip-download --compact --quiet -f template.yaml examples/*.yaml
	.venv/bin/pytest -q tests/template

# Operate. They need AWS credentials and a region, and the AWS CLI.

# What the stack says: $(call ask,Outputs,Output,TopicArn).
ask = aws cloudformation describe-stacks --stack-name $(STACK) --output text \
	--query "Stacks[0].$(1)[?$(2)Key=='$(3)'].$(2)Value"

# Parameters on the command line would make sam forget the answers in samconfig.toml: only when
# there are none yet.
FIRST_ANSWER = $(shell grep -q '^parameter_overrides' samconfig.toml || echo --parameter-overrides Architecture=$(ARCH))

.PHONY: build
build: .venv/.done ## Build the function for Lambda (ARCH=x86_64 where arm64 cannot be built)
	$(SAM) build --parameter-overrides Architecture=$(ARCH)

.PHONY: same-arch
same-arch:
	@test "$(ARCH)" = "$(or $(SAVED_ARCH),$(ARCH))" || { echo "ARCH=$(ARCH), but the answer Architecture in samconfig.toml is \
	$(SAVED_ARCH): the function could not start. Leave ARCH out, or change the answer there first."; exit 2; }

.PHONY: deploy
deploy: same-arch build ## The first time, or to change answers: ask, show what would change, deploy
	$(SAM) deploy --guided --stack-name $(STACK) $(FIRST_ANSWER)

# The command line, so that old answers in samconfig.toml are passed over: sam takes what is not
# said here from the stack.
.PHONY: redeploy
redeploy: .venv/.done ## Build and deploy again with the answers that the stack has
	arch=$$($(call ask,Parameters,Parameter,Architecture)) && test -n "$$arch" && \
		$(SAM) build --parameter-overrides Architecture=$$arch && \
		$(SAM) deploy --stack-name $(STACK) --parameter-overrides Architecture=$$arch

.PHONY: logging-command
logging-command: ## Print the command that turns on Bedrock's logging to the stack's bucket
	@$(call ask,Outputs,Output,BedrockLoggingCommand)

.PHONY: subscribe-email
subscribe-email: ## Send alerts to EMAIL=you@example.com too; the mail that comes must be confirmed
	@test -n "$(EMAIL)" || { echo "which address? make subscribe-email EMAIL=you@example.com"; exit 2; }
	aws sns subscribe --protocol email --notification-endpoint "$(EMAIL)" \
		--topic-arn "$$($(call ask,Outputs,Output,TopicArn))"

SINCE ?= 3h ago
.PHONY: logs
logs: .venv/.done ## Show warnings and errors of the function's log (SINCE="3h ago")
	$(SAM) logs --stack-name $(STACK) --name Function --start-time "$(SINCE)" \
		--filter '?WARN ?ERROR ?"timed out" ?"Runtime exited"'

.PHONY: logs-follow
logs-follow: .venv/.done ## Follow the function's log, all of it
	$(SAM) logs --stack-name $(STACK) --name Function --tail

.PHONY: redrive
redrive: .venv/.done ## Feed failed deliveries back, or OBJECTS=s3://bucket/prefix; nothing counts twice
	.venv/bin/python scripts/redrive.py --stack $(STACK) $(if $(OBJECTS),--objects "$(OBJECTS)")

.PHONY: delete
delete: .venv/.done ## Delete the stack; a log bucket that it made is kept
	$(SAM) delete --stack-name $(STACK)

# Python tools live in the project folder, with pinned versions. checkov and ministack want
# different versions of the same packages, so there are two folders.
.venv/.done: tests/requirements.txt
.venv-validate/.done: tests/requirements-validate.txt
.venv/.done .venv-validate/.done:
	python3 -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

.PHONY: clean
clean: ## Remove everything that was built or installed here
	rm -rf target .venv .venv-validate .aws-sam
