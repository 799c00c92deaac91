# The front desk. The building is Meson's; see meson.build.

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
PYTHON := /usr/bin/python3
# Seconds for each target of `make fuzz`.
FUZZ_SECONDS ?= 60

.PHONY: all setup deps run test bench install clean format fuzz help

all: setup
	@ninja -C $(BUILD)

# Meson sets itself up again when a meson.build has changed.
setup:
	@command -v meson >/dev/null || { echo "meson is missing: 'make deps' installs what is needed." >&2; exit 1; }
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD) -Dprefix=$(PREFIX)

deps:
	@tools/deps build run

run: deps setup
	@ninja -C $(BUILD) sonde sonde-capture
	@printf '%s\n' "" \
	    "An echo server is about to start. In another terminal, type:" "" \
	    "    printf 'hello\n' | nc -N 127.0.0.1 7007" \
	    "    $(BUILD)/sonde connect --trace tcp://127.0.0.1:7007" \
	    "    $(BUILD)/sonde watch" ""
	@if $(BUILD)/sonde version | grep -q '^page yes'; then page=--page; \
	    printf '%s\n' "The line that begins with \"page\" is an address for a browser: it shows all this there." \
	        "Ctrl-C ends it." ""; \
	else page=; \
	    printf '%s\n' "There is no page for a browser in this build: that takes Node.js, npm, and once their packages from the network." \
	        "Ctrl-C ends it." ""; \
	fi; \
	$(BUILD)/sonde serve echo any://127.0.0.1:7007 $$page || [ $$? = 130 ]

# STEPS="unit e2e" runs only these; tools/test --list names them.
test:
	@tools/deps build run test
	@$(PYTHON) tools/test $(STEPS)

# BENCH="--quick" are options of tests/bench/run.py.
bench: setup
	@tools/deps build bench
	@meson setup --reconfigure $(BUILD) >/dev/null
	@ninja -C $(BUILD) sonde bench-programs
	@$(PYTHON) tests/bench/run.py $(BENCH)

install: setup
	@meson configure $(BUILD) -Dprefix=$(PREFIX)
	@ninja -C $(BUILD)
	@DESTDIR="$(DESTDIR)" meson install -C $(BUILD) --no-rebuild
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ]; then ldconfig; fi

format:
	@find include lib src examples tests -name '*.[ch]' -exec clang-format -i {} +

fuzz:
	@tools/deps build test
	@tools/fuzz $(FUZZ_SECONDS)

clean:
	@rm -rf build build-asan build-tsan build-fuzz

help:
	@echo "make                          build; the command is then $(BUILD)/sonde"
	@echo "make run                      install what is missing, build, start an echo server and its page"
	@echo "make test [STEPS='unit e2e']  install what is missing, build, run all tests (or these)"
	@echo "make bench [BENCH=--quick]    measure against other event libraries' echo servers"
	@echo "make fuzz [FUZZ_SECONDS=60]   run each fuzz target for so long"
	@echo "make install [PREFIX=/usr/local] [DESTDIR=]"
	@echo "make deps                     install what building needs (Debian)"
	@echo "make format                   put the sources into shape"
	@echo "make clean                    remove what was built"
