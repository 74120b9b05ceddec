# Everything runs in .venv, which each target makes or renews by itself.
PYTHON ?= python3.11
BIN := .venv/bin
SCRIPTS := build_and_push.sh requirements/lock.sh .ci/run

.PHONY: demo test resume bench lint image weights audit lock clean

demo: .venv/ready
	$(BIN)/python launch/demo.py $(if $(DATA),--data "$(DATA)")

# A file's tests stay together, since they share its jobs and servers. The image is built and run by itself.
test: .venv/ready
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile tests/unit tests/functional
	$(BIN)/python -m pytest tests/container

# Kills a training job 25 times at random moments; tests/functional has the short form.
resume: .venv/ready
	KILLS=25 $(BIN)/python -m pytest -s tests/functional/test_resume.py

bench: .venv/ready
	$(BIN)/python benchmarks/debugger.py
	$(if $(DATA),$(BIN)/python benchmarks/pretrained.py "$(DATA)",@echo "make bench DATA=folder: give it pictures")

lint: .venv/ready
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/hadolint Dockerfile
	@if command -v shellcheck > /dev/null || [ -n "$$CI" ]; then shellcheck $(SCRIPTS); \
		else echo "shellcheck is not installed: the shell scripts were not checked"; fi

image:
	./build_and_push.sh --no-push

weights: .venv/ready
	$(BIN)/python container/fetch_weights --url "$(WEIGHTS_URL)" --sha256 "$(WEIGHTS_SHA256)" container/weights

audit: .venv/ready
	$(BIN)/python requirements/audit.py

lock: .venv/ready
	requirements/lock.sh $(CURDIR)/$(BIN)/uv

clean:
	rm -rf .venv demo

.venv/ready: requirements/dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --no-deps --require-hashes --disable-pip-version-check -r requirements/dev.txt
	touch $@
