# Two commands: `make demo` and `make test`. Both set up .venv first.
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: demo test check clean

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $@

demo: .venv/ready
	$(BIN)/latentdial train fcn-ae avatars --out demo/ae --epochs 20 --checkpoint 0 --overwrite
	$(BIN)/latentdial train fcn-vae avatars --out demo/vae --epochs 20 --checkpoint 0 --overwrite
	$(BIN)/latentdial compare demo/ae demo/vae --out demo/report.html

test: .venv/ready
	$(BIN)/python -m pytest

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv demo
