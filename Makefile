# Everything runs in .venv, which each target makes or renews by itself.
PYTHON ?= python3.11
BIN := .venv/bin
INSTALL_LOCKED := bin/python -m pip install --no-deps --require-hashes --disable-pip-version-check -r
# The packages of this repository, in place; nothing is fetched.
INSTALL_OURS := bin/python -m pip install --quiet --no-deps --no-build-isolation --no-index --disable-pip-version-check --editable .
SCRIPTS := build_and_push.sh requirements/lock.sh .ci/run

.PHONY: demo launch test test-code test-image resume soak fuzz bench bench-serving recipe lint image weights audit lock clean

demo: .venv/local
	$(BIN)/python demo/demo.py $(if $(DATA),--data "$(DATA)")

launch: .venv/launch

test: test-code test-image

# A file's tests stay together, since they share its jobs and servers.
test-code: .venv/dev
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile tests/unit tests/functional

test-image: .venv/dev
	$(BIN)/python -m pytest tests/container

# Kills a training job 25 times at random moments; tests/functional has the short form.
resume: .venv/dev
	KILLS=25 $(BIN)/python -m pytest -s tests/functional/test_resume.py

# 50,000 requests to the real server, which takes minutes.
soak: .venv/dev
	$(BIN)/python tests/soak.py

# Five minutes; FUZZ="-max_total_time=3600" or another option of atheris takes their place.
fuzz: .venv-fuzz/ready
	.venv-fuzz/bin/python tests/fuzz.py $(or $(FUZZ),-max_total_time=300)

# Our server beside its peers; needs wrk and Java. MODEL is the folder of an artifact.
bench-serving: .venv-bench/ready
	.venv-bench/bin/python -W ignore benchmarks/exactness.py "$(DATA)" "$(MODEL)"
	.venv-bench/bin/python -W ignore benchmarks/parts.py "$(DATA)" "$(MODEL)"
	.venv-bench/bin/python -W ignore benchmarks/serving.py "$(DATA)" "$(MODEL)"

bench: .venv/dev
	$(BIN)/python benchmarks/debugger.py
	$(if $(DATA),$(BIN)/python benchmarks/training.py "$(DATA)",@echo "make bench DATA=folder: give it pictures")
	$(if $(DATA),$(BIN)/python benchmarks/growth.py "$(DATA)")
	$(if $(DATA),$(BIN)/python benchmarks/pretrained.py "$(DATA)")

# What each part of a training recipe gains; an hour and more. Interrupted, it goes on where it was: recipe/ has the runs.
recipe: .venv/dev
	$(if $(DATA),$(BIN)/python benchmarks/recipe.py "$(DATA)",@echo "make recipe DATA=folder: give it pictures")

lint: .venv/dev
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/pyright --warnings
	$(BIN)/hadolint Dockerfile
	@if command -v shellcheck > /dev/null || [ -n "$$CI" ]; then shellcheck $(SCRIPTS); \
		else echo "shellcheck is not installed: the shell scripts were not checked"; fi

image:
	./build_and_push.sh --no-push

weights: .venv/dev
	$(BIN)/python container/fetch_weights --url "$(WEIGHTS_URL)" --sha256 "$(WEIGHTS_SHA256)" container/weights

audit: .venv/dev
	$(BIN)/python requirements/audit.py

lock: .venv/dev
	requirements/lock.sh $(CURDIR)/$(BIN)/uv

clean:
	rm -rf .venv .venv-bench .venv-fuzz runs/demo-* recipe

# Environments of their own: what a benchmark or a fuzzer needs is neither in the image nor among the tests.
.venv-bench/ready .venv-fuzz/ready: .venv-%/ready: requirements/%.txt pyproject.toml
	$(PYTHON) -m venv .venv-$*
	.venv-$*/$(INSTALL_LOCKED) $<
	.venv-$*/$(INSTALL_OURS)
	touch $@

# demo needs local.txt alone; launch.txt is for AWS.
.venv/local .venv/launch .venv/dev: .venv/%: requirements/%.txt pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/$(INSTALL_LOCKED) $<
	.venv/$(INSTALL_OURS)
	touch $@
