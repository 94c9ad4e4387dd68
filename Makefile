# make run     install what is missing, build, start the system and print its address
# make test    install what is missing, build, run unit, parity, integration and page tests
# make test-all   the slow proofs besides: sanitizers, fuzzing, independent clients and oracles
#
# SETUP=skip: install no Debian packages (systems other than Debian 12).

SETUP ?= install
SHELL := /bin/bash
setup = SETUP=$(SETUP) scripts/setup.sh $(1)

.PHONY: help setup build run test test-all oracles bench bench-peers format lint clean

help:
	@sed -n 's/^# //p' Makefile

setup:
	@$(call setup,build)

build: setup
	@scripts/build.sh release

run: build
	@exec build/release/bin/emotion serve $(ARGS)

test:
	@$(call setup,test)
	@scripts/build.sh release
	@scripts/test.sh

test-all: oracles
	@$(call setup,test-all)
	@scripts/test_all.sh

# A Python environment of its own for the reference implementations; never needed to run the product.
oracles:
	@$(call setup,test-all)
	@scripts/oracles.sh

# Writes docs/benchmarks.md; see bench/README.md.
bench: build
	@scripts/bench.sh

# Beside other runtimes; downloads them from PyPI.
bench-peers: build
	@$(call setup,test-all)
	@scripts/bench_peers.sh

format:
	@git ls-files '*.h' '*.cc' | xargs clang-format -i

lint:
	@$(call setup,test-all)
	@scripts/lint.sh

clean:
	rm -rf build
