#!/usr/bin/env bash
# Puts uv into .tools/uv of this checkout where the machine has none.
set -euo pipefail
python=${1:-python3}
version=0.13.9
command -v "$python" >/dev/null || { echo "$python not found. Install Python 3.11 or later, or name one: make PYTHON=/path/to/python3 ..." >&2; exit 1; }
echo "installing uv $version into .tools/uv"
if ! "$python" -m venv .tools/uv >/dev/null 2>&1; then
    rm -rf .tools/uv
    echo "$python cannot make virtual environments. Cure: apt install python3-venv  (or install uv yourself)" >&2
    exit 1
fi
.tools/uv/bin/pip install --quiet --disable-pip-version-check "uv==$version"
