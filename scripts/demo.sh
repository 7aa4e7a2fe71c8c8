#!/usr/bin/env bash
# The main job, shown. Called by `make demo`; safe to run again; `make down` stops what it leaves running.
#   1. where this machine can have real nodes: a model is tuned, pushed, served and asked, in containers
#   2. everywhere: the quick start's own files to their status table and through a change, on simulated nodes
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"

# Compilers need nothing of .venv: the first time they begin while it is made.
[ -x .venv/bin/python ] || "${PYTHON:-python3}" -m local_cloud.toolchain &
make --no-print-directory setup
echo "The tools first: a Pulumi engine and a Kubernetes from Go modules, and for real nodes two container images from our"
echo "Dockerfiles, with PyTorch (15 minutes the first time, then seconds)"
python -m local_cloud build --images
not_shown=""
if reason=$(python -m local_cloud nodes); then
    bash scripts/demo-real.sh
else
    not_shown="Not shown: a model that is tuned, pushed, served and asked, since ${reason%% \`*}"
fi
bash scripts/demo-simulated.sh
[ -z "$not_shown" ] || printf '\n%s\n' "$not_shown"
