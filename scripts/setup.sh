#!/usr/bin/env bash
# Makes .venv with everything that `kaito`, the Pulumi program and the tests need. Called by `make setup`; run again
# only when requirements.lock or pyproject.toml changed.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "setup: Python 3.11 or newer is needed and '$python' is not; install it, or name one with PYTHON=/path/to/python3." >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "setup: installing python3-venv (Debian keeps it apart from Python)"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
    else
        echo "setup: '$python' has no venv module; install your distribution's python3-venv package." >&2
        exit 1
    fi
fi

stamp=.venv/.installed
wanted=$(cat requirements.lock pyproject.toml | sha256sum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi
echo "setup: installing Python packages into .venv (870 MB when unpacked; a minute or two)"
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip -q
install=(.venv/bin/python -m pip install -q --disable-pip-version-check --root-user-action=ignore --no-compile)
"${install[@]}" -r requirements.lock
"${install[@]}" --no-deps -e .
# Bytecode by all cores, and none of the two SDKs that are there for their versions: half of the time that pip takes.
.venv/bin/python -m compileall -q -j 0 -x '/pulumi_(azure_native|kubernetes)/' .venv/lib/python3*/site-packages >/dev/null || true
echo "$wanted" >"$stamp"
echo "setup: done; .venv/bin/kaito is the command"
