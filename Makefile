# Everything runs in .venv, which each target makes or renews by itself.
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: demo test lint lock clean

demo: .venv/ready
	$(BIN)/python launch/demo.py $(if $(DATA),--data "$(DATA)")

test: .venv/ready
	$(BIN)/python -m pytest

lint: .venv/ready
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

lock: .venv/ready
	requirements/lock.sh $(BIN)/uv

clean:
	rm -rf .venv opt_ml

.venv/ready: requirements/dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --require-hashes --disable-pip-version-check -r requirements/dev.txt
	touch $@
