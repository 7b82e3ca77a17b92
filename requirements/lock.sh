#!/usr/bin/env bash
# Writes the two lock files anew: every package pinned, with hashes, for every Python from 3.11 on, and no
# registry address. Needs uv (`pip install uv`). Run it after a change to the dependencies in pyproject.toml.
set -euo pipefail
cd "$(dirname "$0")/.."
printf 'hatchling\neditables\n' > requirements/build.in
lock() { uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header "$@"; }
lock pyproject.toml requirements/build.in --extra try --extra pricing --output-file requirements/try.txt
lock pyproject.toml requirements/build.in --all-extras --group dev --output-file requirements/dev.txt
rm requirements/build.in
