#!/usr/bin/env bash
# Builds the serving and the tuning image with docker, podman or buildah, whichever works. Called by `make images`.
#   BUILDS      kinds of hardware: cpu, cu126 (Volta), cu132 (the CUDA of the locked PyTorch); default: all
#   REGISTRY    put before the names, as the stack's `registry` is; default: none
#   BASE_IMAGE  in place of the Dockerfiles' own base
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's/^VERSION = "\(.*\)"/\1/p' serving_image/__init__.py)
current=$(sed -n 's/^CURRENT_CUDA = "\([a-z0-9]*\)".*/\1/p' kaito_components/plan/runtime.py)
builder=""
for each in docker podman buildah; do
    if "$each" info >/dev/null 2>&1; then builder=$each; break; fi
done
[ -n "$builder" ] || { echo "images: none of docker, podman and buildah works here; install one, or start its service." >&2; exit 1; }

build() { # IMAGE KIND
    local index="" arguments=()
    case $2 in
    cpu | cu126) index=https://download.pytorch.org/whl/$2 ;;
    "$current") ;;
    *) echo "images: BUILDS has '$2', which is none of cpu, cu126, $current." >&2; exit 1 ;;
    esac
    [ -z "$index" ] || arguments+=(--build-arg "TORCH_INDEX=$index")
    [ -z "${BASE_IMAGE:-}" ] || arguments+=(--build-arg "BASE_IMAGE=$BASE_IMAGE")
    [ "$1" = tuning ] || arguments+=(--build-arg "VERSION=$version")
    local name="${REGISTRY:+${REGISTRY%/}/}kaito-$1:$version-$2"
    echo "images: $name with $builder"
    "$builder" build -f "$1_image/Dockerfile" -t "$name" "${arguments[@]}" .
}

for kind in ${BUILDS:-cpu cu126 $current}; do
    build serving "$kind"
    build tuning "$kind"
done
