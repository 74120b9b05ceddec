# Everything runs in .venv, which each target creates or updates when needed.
PYTHON ?= python3.11
BIN := .venv/bin
INSTALL_LOCKED := bin/python -m pip install --no-deps --require-hashes --disable-pip-version-check -r
# Makes the packages of this repository importable, by paths from .venv, so that a checkout may be moved or copied with it.
LINK_OURS := bin/python -c 'import sysconfig, pathlib; pathlib.Path(sysconfig.get_path("purelib"), "checkout.pth").write_text("../../../..\n../../../../container\n")'
# With TORCH=cpu PyTorch comes from its own index of wheels without CUDA. The locked files lack their hashes, so of them only the
# version is checked.
CPU_WHEELS := https://download.pytorch.org/whl/cpu
TORCH_VERSIONS = $(shell sed -n 's/^\(torch\|torchvision\)==\([0-9.]*\).*/\1==\2/p' $<)
WITHOUT_CUDA := awk '/^[a-z]/ { is_kept = !/^(torch|torchvision|triton|cuda-.*|nvidia-.*-cu[0-9]+)==/ } is_kept'
$(if $(filter-out cpu,$(TORCH)),$(error TORCH is $(TORCH); accepted: cpu))
SCRIPTS := build_and_push.sh requirements/lock.sh .ci/run

.PHONY: demo launch test test-code test-image test-gpu resume samples soak fuzz bench bench-multi bench-serving bench-gpu recipe lint image weights audit lock clean

demo: .venv/local
	$(BIN)/python demo/demo.py $(if $(DATA),--data "$$DATA")

launch: .venv/launch

test: test-code test-image

# Tests of one file run in one process, since they share its jobs and servers: the long files first, so that none is left to
# one process at the end. The image is built and run separately.
test-code: .venv/dev
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder tests/functional tests/unit

test-image: .venv/dev
	$(BIN)/python -m pytest tests/container

# Both where there is a GPU: under 4 and under 8 minutes. Most of a test's time is the start of a job, so several run.
# At the end of its time it is interrupted, and says what failed until then.
test-gpu: .venv/dev
	timeout --foreground --signal=INT --kill-after=30 360 $(BIN)/python -m pytest --numprocesses 3 --dist loadfile tests/gpu

bench-gpu: .venv/dev
	$(BIN)/python benchmarks/gpu.py $(if $(DATA),--data "$$DATA")

# Kills a training job 25 times at random moments; tests/functional has the short form.
resume: .venv/dev
	KILLS=25 $(BIN)/python -m pytest -s tests/functional/test_resume.py

# Trains and tunes on the digits, which takes minutes, and renews the sample pages and the pictures in docs/.
samples: .venv/dev
	$(BIN)/python tests/samples.py

# Sends 50,000 requests to the real server, which takes minutes.
soak: .venv/dev
	$(BIN)/python tests/soak.py

# Five minutes by default; FUZZ="-max_total_time=3600" or another option of atheris replaces that.
fuzz: .venv-fuzz/ready
	.venv-fuzz/bin/python tests/fuzz.py $(or $(FUZZ),-max_total_time=300)

# Compares our server with others; needs wrk. MODEL is the folder of an artifact. PART=serving, for example, runs one part.
bench-serving: .venv-bench/ready
	for part in $(or $(PART),exactness models parts serving); do \
		.venv-bench/bin/python -W ignore benchmarks/$$part.py "$$DATA" "$$MODEL" || exit; done

bench: .venv/dev
	$(BIN)/python benchmarks/debugger.py
	$(if $(DATA),$(BIN)/python benchmarks/training.py "$$DATA",@echo "make bench DATA=folder: a folder of pictures is needed")
	$(if $(DATA),$(BIN)/python benchmarks/decoding.py "$$DATA")
	$(if $(DATA),$(BIN)/python benchmarks/growth.py "$$DATA")
	$(if $(DATA),$(BIN)/python benchmarks/pretrained.py "$$DATA")

# Trains ten models for it. ROOT=folder keeps them for another run.
bench-multi: .venv/dev
	$(if $(DATA),$(BIN)/python benchmarks/multi.py "$$DATA" $(if $(ROOT),--root "$$ROOT"),@echo "make bench-multi DATA=folder: a folder of photos is needed")

# Measures what each part of a training recipe gains, which takes an hour or more. Finished runs are kept in recipe/ and
# not repeated.
recipe: .venv/dev
	$(if $(DATA),$(BIN)/python benchmarks/recipe.py "$$DATA",@echo "make recipe DATA=folder: a folder of pictures is needed")

lint: .venv/dev
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/pyright --warnings
	$(BIN)/hadolint Dockerfile
	@if command -v shellcheck > /dev/null || [ -n "$$CI" ]; then shellcheck $(SCRIPTS); \
		else echo "shellcheck is not installed: the shell scripts were not checked"; fi

image:
	./build_and_push.sh --no-push

weights: .venv/dev
	$(BIN)/python container/fetch_weights --url "$$WEIGHTS_URL" --sha256 "$$WEIGHTS_SHA256" container/weights

audit: .venv/dev
	$(BIN)/python requirements/audit.py

lock: .venv/dev
	requirements/lock.sh $(CURDIR)/$(BIN)/uv

clean:
	rm -rf .venv .venv-bench .venv-fuzz runs/demo-* recipe

# Separate environments: neither the image nor the tests need the packages of a benchmark or a fuzzer.
.venv-bench/ready .venv-fuzz/ready: .venv-%/ready: requirements/%.txt pyproject.toml
	$(PYTHON) -m venv .venv-$*
	.venv-$*/$(INSTALL_LOCKED) $<
	.venv-$*/$(LINK_OURS)
	touch $@

# demo needs only local.txt; launch.txt is for AWS.
.venv/local .venv/launch .venv/dev: .venv/%: requirements/%.txt pyproject.toml
	$(PYTHON) -m venv .venv
ifeq ($(TORCH),cpu)
	$(if $(TORCH_VERSIONS),.venv/bin/python -m pip install --no-deps --disable-pip-version-check --index-url $(CPU_WHEELS) $(TORCH_VERSIONS))
	$(WITHOUT_CUDA) $< | .venv/$(INSTALL_LOCKED) /dev/stdin
else
	.venv/$(INSTALL_LOCKED) $<
endif
	.venv/$(LINK_OURS)
	touch $@
