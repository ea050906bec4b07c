# List the recipes.
default:
    @just --list --unsorted

# Lint, check types, test: what a change must pass.
check: lint types test

# Lint and check the format.
lint:
    uv run ruff check .
    uv run ruff format --check .

# Check types, strictly.
types:
    uv run mypy

# Run the tests; arguments go to pytest.
test *arguments:
    uv run pytest {{ arguments }}

# Run the long tests for some minutes: kills at more instants, damage to every byte, more examples.
attack *arguments:
    HYPOTHESIS_PROFILE=attack uv run pytest -m "(attack and not soak) or (hypothesis and not cloud)" {{ arguments }}

# Install servers of object storage, and run the tests that need them; arguments go to pytest.
cloud *arguments:
    if command -v npm >/dev/null; then \
        npm install --prefix tests/cloud --no-package-lock --no-audit --no-fund --loglevel=error; \
    else echo 'npm is not on this machine: the tests that need Azurite are skipped'; fi
    uv run --group cloud pytest -m "cloud and not soak" tests/cloud {{ arguments }}

# Run long random histories, kills at every call, and 10^5 mutated files; arguments go to pytest.
soak *arguments:
    HYPOTHESIS_PROFILE=soak uv run pytest -m 'attack or not attack' tests/histories tests/attacks tests/cloud tests/fuzz tests/golden tests/maintenance tests/store/maintenance tests/views tests/stac tests/execute tests/table tests/serve {{ arguments }}

# Fix what ruff can fix.
fix:
    uv run ruff check --fix .
    uv run ruff format .

# Time geobatch against other tools; arguments go to the benchmark.
bench *arguments:
    uv run --group bench python benchmarks/run.py {{ arguments }}

# Time plans and applies of small changes; arguments go to the benchmark.
bench-increments *arguments:
    uv run --group bench python benchmarks/increments.py {{ arguments }}

# Time exports against TensorFlow's own writer; arguments go to the benchmark.
bench-exports *arguments:
    uv run python benchmarks/exports.py {{ arguments }}

# Make the rasters of the example specs again.
examples:
    uv run python scripts/make_examples.py

# Write the JSON Schema that editors use.
schema:
    uv run geobatch schema > schema/geobatch.v1.json

# Build the documentation as a site, in `site/`; a warning is an error.
docs:
    NO_MKDOCS_2_WARNING=1 uv run --group docs mkdocs build --strict --quiet

# Show the documentation while it is written.
docs-serve:
    NO_MKDOCS_2_WARNING=1 uv run --group docs mkdocs serve
