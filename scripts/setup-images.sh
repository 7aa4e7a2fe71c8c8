#!/usr/bin/env bash
# Makes .venv-images with everything that the serving and tuning images and their tests need, and the small real model
# of those tests. Called by `make setup-images`; run again only when its inputs changed.
set -euo pipefail
cd "$(dirname "$0")/.."

UV_VERSION=0.9.18  # resolves and unpacks several times as fast as pip
python=${PYTHON:-.venv/bin/python}
[ -x "$python" ] || { echo "setup-images: '$python' is missing; run 'make setup' first." >&2; exit 1; }

exec 9>.venv-images.lock  # two calls at a time would write the same folder
flock 9

stamp=.venv-images/.installed
wanted=$(cat requirements-images.lock scripts/setup-images.sh | sha256sum)
if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ]; then
    echo "setup-images: installing PyTorch, transformers and the rest into .venv-images"
    echo "setup-images: 3.3 GB to download the first time, six to ten minutes; nothing is printed meanwhile"
    [ -x .venv-images/bin/python ] || "$python" -m venv .venv-images
    uv=$(command -v uv || true)
    if [ -z "$uv" ] || ! "$uv" --version >/dev/null 2>&1; then
        .venv-images/bin/python -m pip install -q --disable-pip-version-check --root-user-action=ignore "uv==$UV_VERSION"
        uv=.venv-images/bin/uv
    fi
    # --no-deps: the lock is complete, and leaves out on purpose what requirements-images-override.txt names
    # --compile-bytecode: with PYTHONDONTWRITEBYTECODE set, each process would compile PyTorch and transformers anew (12 s)
    "$uv" pip install -q --compile-bytecode --python .venv-images/bin/python --no-deps -r requirements-images.lock
    echo "$wanted" >"$stamp"
    echo "setup-images: done; .venv-images/bin/python -m serving_image is the server"
fi
PYTHONPATH=. .venv-images/bin/python -W ignore -m benchmarks.small_model

# A browser for the test of the chat page; without it that one test is skipped.
if ! command -v chromium >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "setup-images: installing Debian's chromium for the test of the chat page"
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends chromium; } \
        >/dev/null 2>&1 || echo "setup-images: chromium could not be installed; tests/serving/test_page.py is skipped"
fi
