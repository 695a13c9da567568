# Every target does its own set-up: a clean clone needs Python 3.11 or newer and nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin
UV := infra/uv.sh
PROJECTS := pyproject.toml uv.lock $(wildcard libs/*/pyproject.toml services/*/pyproject.toml infra/*/pyproject.toml)

.PHONY: help demo test check asyncapi attacks failures conformance keycloak bench-authserver bench-broker fmt clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 28

demo: .venv/.runtime ## run the whole system and an agent through it (ARGS=--help for options)
	@exec $(BIN)/python -m demo $(ARGS)

check: .venv/.development ## format, lint, types, imports, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	@echo "authcore by itself: everything it imports is declared by it"
	@$(UV) run --quiet --isolated --no-project --with ./libs/authcore python -W error::ImportWarning -c \
		'import authcore, importlib, pkgutil; [importlib.import_module("authcore." + m.name) for m in pkgutil.iter_modules(authcore.__path__)]'
	$(BIN)/pytest

test: check ## what CI runs: the same as check

conformance: .venv/.development ## run the MCP conformance suite (needs Node 22) and write docs/conformance.md
	@$(BIN)/python -m tests.conformance

keycloak: .venv/.development ## the journey against a real Keycloak (needs Java 17, Maven and the network)
	@KEYCLOAK_HOME="$$(tests/conformance/keycloak/fetch.sh)" $(BIN)/pytest tests/conformance/keycloak

asyncapi: .venv/.development ## write docs/asyncapi.json, what the price streams carry
	@$(BIN)/python -m stocks.asyncapi docs/asyncapi.json

failures: .venv/.development ## write docs/failures.md from the tests of what fails
	@$(BIN)/python -m tests.failures

attacks: .venv/.development ## write docs/attacks.md from the attack suite
	@$(BIN)/python -m tests.attacks

bench-authserver: .venv/.runtime ## what a token exchange and an introspection cost (ARGS=--help for options)
	@exec $(BIN)/python -m loadtest authserver $(ARGS)

bench-broker: .venv/.runtime ## what an exchange at the broker costs, asked for and remembered
	@exec $(BIN)/python -m loadtest broker $(ARGS)

fmt: .venv/.development ## format, and fix what the linter can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove everything that the other targets made
	rm -rf .venv .uv .cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The demo does without the development tools; --inexact keeps them where they are installed already.
.venv/.runtime: $(PROJECTS) $(UV)
	@$(UV) sync --frozen --no-dev --inexact
	@touch $@

.venv/.development: $(PROJECTS) $(UV)
	@$(UV) sync --frozen
	@touch $@ .venv/.runtime
