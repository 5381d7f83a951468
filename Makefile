# Every target works from a clean clone: what is missing is installed first (see tools/setup.sh).
.PHONY: help setup check unit kernel test test-long fuzz demo bench install install-program install-rules uninstall clean

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
READY   := $(VENV)/.ready
# More than cores: what the kernel tests do most is wait.
WORKERS ?= 5
PREFIX  ?= /usr/local
DESTDIR ?=
# Root needs no sudo, and may not have it. -n: never wait for a password where nobody types.
SUDO    := $(if $(filter 0,$(shell id -u)),,sudo -n)
# What runs as root writes nothing into the tree, for it would belong to root; so the byte code is made before.
AS_ROOT  = $(SUDO) env PATH="$$PATH" PYTHONDONTWRITEBYTECODE=1
COMPILE  = $(BIN)/python -m compileall -q reconciler tests benchmarks

# Debian keeps ip, nft and iptables where an ordinary user's PATH does not look.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin

help:
	@echo 'make demo       a web shop in a throwaway host, from nothing to nothing (KEEP=1: leave it there)'
	@echo 'make test       all checks and tests; .ci/run does the same'
	@echo 'make bench      how long it takes: netapply against the kernel alone'
	@echo 'make fuzz       the property tests with many more examples'
	@echo 'make test-long  the tests that take minutes'
	@echo 'make install    the command, and rules that keep udev, NetworkManager and networkd off its links'

setup: $(READY)

$(READY): pyproject.toml tools/setup.sh
	PYTHON='$(PYTHON)' SUDO='$(SUDO)' sh tools/setup.sh $(VENV)
	touch $@

check: $(READY)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(READY)
	$(BIN)/pytest tests --ignore=tests/kernel -m 'not long' -n $(WORKERS)

# As root, in mount and network namespaces that the tests make for themselves (tests/kernel/isolation.py).
kernel: $(READY)
	$(COMPILE)
	$(AS_ROOT) \
	    $(BIN)/python -m pytest tests/kernel -m 'not long' -n $(WORKERS) -p no:cacheprovider

test: check unit kernel

test-long: $(READY)
	$(COMPILE)
	$(AS_ROOT) \
	    $(BIN)/python -m pytest tests -m long -n $(WORKERS) -p no:cacheprovider --timeout=1800

fuzz: $(READY)
	$(BIN)/pytest tests --ignore=tests/kernel -n $(WORKERS) --hypothesis-profile=fuzz --timeout=3600

demo: $(READY)
	$(COMPILE)
	$(AS_ROOT) KEEP='$(KEEP)' $(BIN)/python tools/demo.py

bench: $(READY)
	$(COMPILE)
	$(AS_ROOT) $(BIN)/python -m benchmarks.bench $(BENCH)
	$(AS_ROOT) $(BIN)/python -m benchmarks.watching $(BENCH_WATCH)

install: install-program install-rules

install-program:
	install -d '$(DESTDIR)$(PREFIX)/lib/netapply' '$(DESTDIR)$(PREFIX)/bin'
	$(PYTHON) -m venv '$(DESTDIR)$(PREFIX)/lib/netapply'
	'$(DESTDIR)$(PREFIX)/lib/netapply/bin/pip' install --quiet --disable-pip-version-check .
	ln -sf ../lib/netapply/bin/netapply '$(DESTDIR)$(PREFIX)/bin/netapply'

# What keeps udev, NetworkManager and networkd off our links (docs/living-with-others.md). They read it at the next
# boot, or after: udevadm control --reload; networkctl reload; nmcli general reload. install-service brings it too.
RULES := reconciler/cli/host_rules

install-rules:
	install -D -m 644 $(RULES)/75-netapply.rules '$(DESTDIR)/etc/udev/rules.d/75-netapply.rules'
	install -D -m 644 $(RULES)/10-netapply.link '$(DESTDIR)/etc/systemd/network/10-netapply.link'
	install -D -m 644 $(RULES)/10-netapply.network '$(DESTDIR)/etc/systemd/network/10-netapply.network'
	install -D -m 644 $(RULES)/10-netapply-marked.network '$(DESTDIR)/etc/systemd/network/10-netapply-marked.network'
	install -D -m 644 $(RULES)/90-netapply.conf '$(DESTDIR)/etc/NetworkManager/conf.d/90-netapply.conf'

# A service that runs from here goes first; containers go on.
uninstall:
	@if grep -qsF '$(PREFIX)/lib/netapply/' '$(DESTDIR)/etc/systemd/system/netapply-watch.service'; then \
	    '$(PREFIX)/bin/netapply' install-service --remove; fi
	rm -rf '$(DESTDIR)$(PREFIX)/lib/netapply'
	rm -f '$(DESTDIR)$(PREFIX)/bin/netapply' '$(DESTDIR)/etc/udev/rules.d/75-netapply.rules' \
	    '$(DESTDIR)/etc/systemd/network/10-netapply.link' '$(DESTDIR)/etc/systemd/network/10-netapply.network' \
	    '$(DESTDIR)/etc/systemd/network/10-netapply-marked.network' \
	    '$(DESTDIR)/etc/NetworkManager/conf.d/90-netapply.conf'

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
