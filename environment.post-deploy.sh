#!/usr/bin/env bash
# Run in a new conda environment, from the folder that holds the Snakefile: the locked packages, then
# ntkscope itself (apart, because pip checks the hashes of all or of nothing, and ntkscope has none).
set -euo pipefail
python -m pip install --require-hashes -r requirements.lock
python -m pip install --no-deps --no-build-isolation -e .
