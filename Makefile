# `make demo` sets everything up and shows tagger at work; `make test` runs all tests.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# PyTorch's own index has builds without CUDA, which a home server cannot use.
CPU_INDEX := https://download.pytorch.org/whl/cpu
PHOTOS ?=
BENCHES := bench/label_quality.py bench/home.py bench/embedding.py bench/engine_speed.py bench/decode_agreement.py \
  bench/first_photo.py bench/throughput.py bench/latency.py bench/startup.py bench/memory.py bench/memory_growth.py \
  bench/query_startup.py bench/index_scale.py bench/query_planner.py bench/rescan.py \
  bench/predict.py bench/gallery.py bench/teach.py

# Every file that the code knows how to write: docs, the example config, the ready vocabulary.
generate: $(VENV)/installed
	$(BIN)/python -m tools.generate

# The moving picture of the demo. The README's other pictures are taken by the browser tests.
pictures: $(VENV)/installed
	$(BIN)/python -m tools.cast
	$(BIN)/python -m pytest -n 0 tests/end_to_end/browser/test_pages.py tests/end_to_end/browser/test_teach.py \
	  tests/end_to_end/browser/test_boxes.py
	$(BIN)/python -m tools.screenshots

.PHONY: demo dist deb test generate pictures test-systemd test-install test-deb test-nas test-programs torture lint types check bench clean

# An sdist and a wheel in dist/, of what git knows, the same at each build.
dist: $(VENV)/installed
	$(BIN)/python -m tools.dist

# Debian packages for bookworm and trixie, amd64 and arm64; ARGS="--suite trixie" for some.
deb: $(VENV)/installed
	$(BIN)/python -m tools.deb $(ARGS)

demo: $(VENV)/installed
	@$(BIN)/tagger demo $(PHOTOS)

test: $(VENV)/installed
	$(BIN)/python -m pytest -n auto $(ARGS)

# The service under a real systemd, in a container. Needs root and Debian's packages
# debootstrap and systemd-container.
test-systemd: $(VENV)/installed
	TAGGER_SYSTEMD=1 $(BIN)/python -m pytest -s -v $(wildcard tests/machine/test_systemd_*.py) $(ARGS)

# docs/install.md in a fresh bookworm and a fresh trixie, likewise; it takes a network.
# ARGS="-k without_torch" for the small way.
test-install: $(VENV)/installed
	TAGGER_INSTALL=1 $(BIN)/python -m pytest -s -v tests/machine/test_install.py $(ARGS)

# NFS and SMB with the kernel's own clients, in a virtual machine: Debian's qemu-system-x86, root,
# ten minutes and a network.
test-nas: $(VENV)/installed
	TAGGER_NAS=1 $(BIN)/python -m pytest -s -v tests/machine/test_nas.py $(ARGS)

# The Debian packages, installed, upgraded and purged in a bookworm and a trixie; lintian.
test-deb: $(VENV)/installed
	TAGGER_DEB=1 $(BIN)/python -m pytest -s -v tests/machine/test_deb.py $(ARGS)

# digiKam, darktable and others in a Debian 13, under a virtual display: debootstrap,
# systemd-container, root, an hour and a network. It writes build/programs.md.
test-programs: $(VENV)/installed
	TAGGER_PROGRAMS=1 $(BIN)/python -m pytest -s -v tests/machine/test_programs.py $(ARGS)

# The long part of tests/faults: kills, power cuts, hostile files, a soak. An hour or more; root.
torture: $(VENV)/installed
	TAGGER_TORTURE=1 $(BIN)/python -m pytest tests/faults -m torture -s $(ARGS)

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/installed
	$(BIN)/mypy

check: lint types test

bench: $(VENV)/installed
	@for script in $(BENCHES); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/installed: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "tagger needs Python 3.11 or newer; say which: make PYTHON=python3.12 demo"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@# Six seconds to find out whether that index can be reached; plain pip otherwise.
	@if $(BIN)/python -c 'import signal, urllib.request; signal.alarm(6); \
	      urllib.request.urlopen("$(CPU_INDEX)/torch/", timeout=5)' >/dev/null 2>&1 \
	  && $(BIN)/pip install -q -c requirements.lock --extra-index-url $(CPU_INDEX) torch torchvision; \
	then echo "torch: PyTorch's CPU build"; \
	else echo "torch: from the default index (PyTorch's CPU index is out of reach)"; \
	     $(BIN)/pip install -q -c requirements.lock torch && \
	     $(BIN)/pip install -q -c requirements.lock torchvision; \
	fi
	$(BIN)/pip install -q -c requirements.lock -e '.[dev,torch]'
	@touch $@
