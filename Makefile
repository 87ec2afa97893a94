# Thin calls of the scripts; see CONTRIBUTING.md.
.PHONY: build run test bench check setup clean

build:
	scripts/build
run:
	scripts/run
test:
	scripts/test
bench:
	scripts/bench
check:
	scripts/check
setup:
	scripts/setup test
clean:
	rm -rf build build-*
