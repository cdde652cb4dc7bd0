#!/usr/bin/env bash
# Prints the path of a Python interpreter with torch; prints its steps to stderr.
#
#   TORCH_PYTHON=/path/python   use this one
#   TORCH_WHEEL=/path/torch.whl install this wheel (CPU build) into the cache
#   NO_APT=1                    never install Debian's python3-torch; print the line instead
#
# Otherwise, the first that works: what this machine has; PyTorch's index of CPU builds; Debian's
# package by apt, when root. PyPI's own torch is a CUDA build of several GB, so it is never taken.
set -euo pipefail

python=${PYTHON:-python3}
uv=${UV:-uv}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/elasticjob
index=https://download.pytorch.org/whl/cpu

say() { echo "torch: $*" >&2; }
has_torch() { "$1" -c 'import torch, torch.distributed as d; raise SystemExit(not d.is_gloo_available())' >/dev/null 2>&1; }

found() {
    say "$("$1" -c 'import sys, torch; print("%s with torch %s" % (sys.executable, torch.__version__))' 2>/dev/null)"
    echo "$1"
    exit 0
}

# into_cache NAME ARGS...: a virtual environment of that name in the cache, with these packages of pip.
into_cache() {
    local home=$cache/$1
    shift
    if ! has_torch "$home/bin/python"; then
        "$uv" venv --quiet --clear --python "$python" "$home" >&2
        "$uv" pip install --quiet --python "$home/bin/python" "$@" >&2 || return 1
    fi
    has_torch "$home/bin/python" && found "$home/bin/python"
}

if [ -n "${TORCH_PYTHON:-}" ]; then
    has_torch "$TORCH_PYTHON" || { say "TORCH_PYTHON=$TORCH_PYTHON cannot import torch with gloo"; exit 1; }
    found "$TORCH_PYTHON"
fi

if [ -n "${TORCH_WHEEL:-}" ]; then
    [ -f "$TORCH_WHEEL" ] || { say "TORCH_WHEEL=$TORCH_WHEEL is not a file"; exit 1; }
    say "installing $TORCH_WHEEL into $cache (about 30 s, once)"
    into_cache "$(basename "$TORCH_WHEEL" .whl)" "$TORCH_WHEEL" numpy || true
    say "$TORCH_WHEEL cannot be installed for $("$python" --version)"
    exit 1
fi

for candidate in "$python" /usr/bin/python3 "$cache/torch-cpu/bin/python"; do
    if has_torch "$candidate"; then found "$candidate"; fi
done

if "$python" - "$index/" <<'PROBE' 2>/dev/null; then
import sys, urllib.request
urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="HEAD"), timeout=5)
PROBE
    say "installing the CPU build from $index into $cache (about 200 MB, once)"
    into_cache torch-cpu --index-url "$index" torch numpy || say "the index of CPU builds did not work"
fi

# OpenBLAS: with the reference BLAS, which apt takes otherwise, a matrix product takes 25 times longer.
line="apt-get install -y --no-install-recommends python3-torch libopenblas0-pthread"
if [ -n "${NO_APT:-}" ] || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    say "no Python with torch was found. Cure, one of:"
    say "  $line                  (as root; 155 MB, about 90 s)"
    say "  TORCH_PYTHON=/path/to/python make ...   (one that has torch)"
    say "  TORCH_WHEEL=/path/to/torch.whl make ... (a CPU build)"
    exit 1
fi
say "installing Debian's python3-torch: $line   (155 MB, about 90 s; NO_APT=1 refuses)"
export DEBIAN_FRONTEND=noninteractive
if ! apt-get -qq update >&2 || ! $line -qq >"$(mktemp)" 2>&1; then
    say "apt could not install python3-torch; run the line above by hand to see why"
    exit 1
fi
has_torch /usr/bin/python3 && found /usr/bin/python3
say "python3-torch is installed, but /usr/bin/python3 cannot import it with gloo"
exit 1
