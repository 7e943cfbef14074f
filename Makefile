# Two commands: `make demo` and `make test`. Both set up .venv first.
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: demo demo/pca demo/ae demo/vae demo/directions demo/odd demo/explorer demo/report test check lock audit mutate clean tables docs web web-check

.venv/bin/python:
	$(PYTHON) -m venv .venv

# What the demo needs, and what its authors need: `make demo` installs the first alone. pip compiles all 20,000 files, one
# after the other: Python compiles those that are imported.
.venv/demo: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/pip install -q --no-compile -c constraints.txt -e '.[demo,explorer,features]'
	touch $@

# With hashes; then torch in the build that this machine's index has, and what other systems than the lock's need besides.
.venv/ready: pyproject.toml constraints.txt requirements.lock | .venv/bin/python
	$(BIN)/pip install -q --no-compile --no-deps --require-hashes -r requirements.lock
	$(BIN)/pip install -q --no-compile --no-build-isolation -c constraints.txt -e '.[dev]'
	-$(BIN)/python -W ignore -m compileall -qq -j 0 -x '/tests?/' $(BIN)/../lib # over all cores, where pip takes one
	touch $@

# Two trainings at a time, one thread each: two cores do more that way than with two threads for one.
demo: .venv/demo
	OMP_WAIT_POLICY=PASSIVE $(MAKE) -j2 --no-print-directory demo/vae demo/report demo/explorer
	@echo 'open demo/index.html in a browser'

demo/report: demo/pca demo/ae demo/directions demo/odd
	$(BIN)/latentdial report demo/pca demo/ae demo/vae --explorer explorer.html --out demo/index.html

# Its codes need no fitted prior: what is drawn from the nets' codes is what the demo shows.
demo/pca:
	OMP_NUM_THREADS=1 $(BIN)/latentdial train pca avatars --out $@ --priors false --overwrite

demo/ae demo/vae: demo/%:
	OMP_NUM_THREADS=1 $(BIN)/latentdial train fcn-$* avatars --out $@ --epochs 10 --lr 0.001 --overwrite

demo/directions: demo/vae
	$(BIN)/latentdial directions demo/vae --labels data --out $@.png

# What is odd: the report shows it, and finds what was fitted here while the directions were.
demo/odd: demo/ae
	$(BIN)/latentdial anomalies demo/ae --out $@.csv

demo/explorer: demo/directions
	$(BIN)/latentdial explore demo/vae --out $@.html

test: .venv/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# docs/benchmarks.md from benchmarks/results/*.json.
tables:
	$(BIN)/python docs/tables.py

# What share of small faults the tests notice; some core-seconds a fault, an hour for all.
mutate: .venv/ready
	$(BIN)/pip install -q -c constraints.txt -e '.[mutate]'
	$(BIN)/python benchmarks/mutate.py

# The documentation, into site/: it opens from disk. Exercises run the first time, which takes minutes.
docs: .venv/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The explorer's front end: its built files are committed, so only its authors need Node.
web/node_modules/ready: web/package-lock.json
	cd web && npm ci --ignore-scripts --no-audit --no-fund
	touch $@

web: web/node_modules/ready
	cd web && node build.mjs

web-check: web/node_modules/ready
	cd web && node check.mjs

# What authors install, locked with hashes; torch is left to the machine.
.venv/audit: pyproject.toml | .venv/bin/python
	$(BIN)/pip install -q -c constraints.txt 'pip-audit>=2.9' 'pip-tools>=7.5'
	touch $@

lock: .venv/audit
	$(BIN)/pip-compile -q --extra dev --generate-hashes --strip-extras --no-header --no-annotate --no-emit-index-url \
	  --no-emit-find-links --no-emit-trusted-host --unsafe-package torch --unsafe-package latentdial \
	  -c constraints.txt -o .venv/lock pyproject.toml
	echo '# Made by `make lock`: what authors install, with hashes. torch comes in the build that the machine has of it.' > requirements.lock
	grep -v '^#' .venv/lock >> requirements.lock

# Fails where a package has a known hole, and also where one cannot be looked up; torch under its public version.
audit: .venv/audit .venv/ready
	$(BIN)/pip-audit --strict --disable-pip --require-hashes -r requirements.lock
	$(BIN)/python -c "import torch; print('torch==' + torch.__version__.split('+')[0])" > .venv/torch.txt
	$(BIN)/pip-audit --strict --disable-pip --no-deps -r .venv/torch.txt

clean:
	rm -rf .venv demo
