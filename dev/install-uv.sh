#!/usr/bin/env bash
# Puts the uv of dev/uv.txt into .tools/uv of this checkout where the machine has none.
# pip refuses a file whose hash is not in dev/uv.txt: the build of the image runs this as root.
set -euo pipefail
python=${1:-python3}
locked=$(dirname "$0")/uv.txt
command -v "$python" >/dev/null || { echo "$python not found. Install Python 3.11 or later, or name one: make PYTHON=/path/to/python3 ..." >&2; exit 1; }
echo "installing $(grep -o '^uv==[0-9.]*' "$locked") into .tools/uv"
if ! "$python" -m venv .tools/uv >/dev/null 2>&1; then
    rm -rf .tools/uv
    echo "$python cannot make virtual environments. Cure: apt install python3-venv  (or install uv yourself)" >&2
    exit 1
fi
.tools/uv/bin/pip install --quiet --disable-pip-version-check \
    --require-hashes --only-binary :all: --no-deps --requirement "$locked"
