#!/bin/sh
# Installs sections of requirements-images.in at the versions of requirements-images.lock into /opt/venv. Called in both
# Dockerfiles as `image-packages.sh "Both images"`. Only wheels are taken, so nothing needs a compiler; uv and its files
# are gone afterwards.
#   TORCH_INDEX  PyTorch's builds for other hardware, with their own CUDA packages in place of the lock's
#   LEAVE_OUT    packages that are not installed although others ask for them, for machines that never load them
set -eu
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

authorities=/etc/ssl/certs/ca-certificates.crt  # the system's: a company's proxy may have added its own
[ ! -f $authorities ] || export PIP_CERT=$authorities SSL_CERT_FILE=$authorities
python3 -m venv "$work/uv"
"$work/uv/bin/pip" install -q --no-cache-dir --disable-pip-version-check "uv==0.9.18"  # as in setup-images.sh
# Bytecode by hash is the same in every build, and is used although image builders change the times of files.
export UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 PYC_INVALIDATION_MODE=UNCHECKED_HASH PYTHONHASHSEED=0
install() { "$work/uv/bin/uv" pip install -q --python /opt/venv/bin/python --only-binary :all: "$@"; }
[ -d /opt/venv ] || "$work/uv/bin/uv" venv -q --python "$(command -v python3)" /opt/venv

cp "$here/requirements-images.lock" "$work/lock"
if [ -n "${TORCH_INDEX:-}" ]; then
    grep -vE '^(torch|triton|nvidia-|cuda-)' "$here/requirements-images.lock" >"$work/lock"
    install --index-url "$TORCH_INDEX" "$(grep '^torch==' "$here/requirements-images.lock")"
fi
for package in ${LEAVE_OUT:-}; do echo "$package ; sys_platform == 'never'"; done >"$work/left-out"
for section in "$@"; do
    sed -n "/^# $section\$/,/^# /p" "$here/requirements-images.in" | grep -oE '^[A-Za-z0-9_.-]+' >"$work/wanted"
    install --constraint "$work/lock" --override "$work/left-out" --requirement "$work/wanted"
done
