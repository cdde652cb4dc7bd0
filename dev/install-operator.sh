#!/usr/bin/env bash
# Install the operator and its locked dependencies (the extra `operator`) into a directory, which is
# the PYTHONPATH of the container image. The packages `local` and `cli` are left out.
#
#   dev/install-operator.sh DIRECTORY [PYTHON]
#
# The Dockerfile and builds of the image without a container engine both use this script.
# PYTHON is the interpreter of the image: wheels differ between minor versions.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:?usage: dev/install-operator.sh DIRECTORY [PYTHON]}
python=${2:-python3}
uv=$(command -v uv || echo .tools/uv/bin/uv)
export UV_PYTHON_DOWNLOADS=never
locked=$(mktemp)
trap 'rm -f "$locked"' EXIT

"$uv" export --frozen --quiet --no-dev --extra operator --no-emit-project \
    --output-file "$locked"
"$uv" pip install --quiet --no-deps --require-hashes --only-binary :all: --link-mode copy \
    --python "$python" --target "$target" --requirements "$locked"
rm -rf "$target/elasticjob" "$target/bin"
mkdir "$target/elasticjob"
for part in __init__.py py.typed wire files rendezvous agent api controller; do
    cp -R "operator/src/elasticjob/$part" "$target/elasticjob/$part"
done
# Compiled here, because the image's root is read-only; by hash, because files lose their times on the way.
find "$target" -name __pycache__ -prune -exec rm -rf {} +
"$python" -m compileall -q --invalidation-mode unchecked-hash "$target"
chmod -R u=rwX,go=rX "$target"
