#!/usr/bin/env bash
# Builds the serving and the tuning image with docker, podman or buildah, whichever works. Called by `make images`, and
# by `python -m local_cloud images` where neither a registry nor PyTorch's own index is reached.
#   BUILDS         kinds of hardware: cpu, cu126 (Volta), cu132 (the CUDA of the locked PyTorch); default: all
#   REGISTRY       put before the names, as the stack's `registry` is; default: none
#   BUILDER        one of docker, podman, buildah; default: the first that works
#   BASE_IMAGE     in place of the Dockerfiles' own base
#   PYTORCH_INDEX  where PyTorch's builds are, a folder a kind; empty: PyPI's build for all kinds, which is cu132's
#   LEAVE_OUT      packages not to install although others ask for them
#   BUILD_OPTIONS  more options of the builder's `build`
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's/^VERSION = "\(.*\)"/\1/p' serving_image/__init__.py)
current=$(sed -n 's/^CURRENT_CUDA = "\([a-z0-9]*\)".*/\1/p' kaito_components/plan/runtime.py)
pytorch=${PYTORCH_INDEX-https://download.pytorch.org/whl}
builder=""
for each in ${BUILDER:-docker podman buildah}; do
    if "$each" info >/dev/null 2>&1; then builder=$each; break; fi
done
[ -n "$builder" ] || { echo "images: none of ${BUILDER:-docker, podman and buildah} works here; install one, or start its service." >&2; exit 1; }

# The same files give the same image: their times are left out. OCI's own format has no health check.
export SOURCE_DATE_EPOCH=0
reproducible=(--format docker --timestamp 0)
[ "$builder" != docker ] || reproducible=()

build() { # IMAGE KIND
    local index="" arguments=("${reproducible[@]}" --build-arg "VERSION=$version")
    case $2 in
    cpu | cu126) index=${pytorch:+$pytorch/$2} ;;
    "$current") ;;
    *) echo "images: BUILDS has '$2', which is none of cpu, cu126, $current." >&2; exit 1 ;;
    esac
    [ -z "$index" ] || arguments+=(--build-arg "TORCH_INDEX=$index")
    [ -z "${BASE_IMAGE:-}" ] || arguments+=(--build-arg "BASE_IMAGE=$BASE_IMAGE")
    [ -z "${LEAVE_OUT:-}" ] || arguments+=(--build-arg "LEAVE_OUT=$LEAVE_OUT")
    local name="${REGISTRY:+${REGISTRY%/}/}kaito-$1:$version-$2"
    echo "images: $name with $builder"
    # shellcheck disable=SC2086  # options are words
    "$builder" build -f "$1_image/Dockerfile" -t "$name" "${arguments[@]}" ${BUILD_OPTIONS:-} .
}

for kind in ${BUILDS:-cpu cu126 $current}; do
    build serving "$kind"
    build tuning "$kind"
done
