#!/usr/bin/env bash
# Runs the tests of the code in user images on every Python from 3.9 up that this machine has: one of
# each minor version, from PATH, pyenv, uv, or at least the project's environment. They need pytest
# only. Three interpreters run at a time, because many tests wait; one line for each. The tests with
# real processes run on the oldest: `make test` runs them on the project's interpreter.
#
#   dev/interpreters.sh          run the tests
#   dev/interpreters.sh others   the same without the project's interpreter, for which `make check` runs them
#   dev/interpreters.sh oldest   print the path of the oldest interpreter
set -euo pipefail
cd "$(dirname "$0")/.."

uv=${UV:-uv}
tests=(tests/wire tests/files tests/rendezvous tests/agent)

# candidates: paths, the preferred ones first
candidates() {
    echo "$PWD/.venv/bin/python"
    compgen -c python3. | grep -E '^python3\.[0-9]+$' | sort -u | while read -r name; do type -P "$name"; done
    ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python "$("$uv" python dir)"/*/bin/python3 2>/dev/null || true
}

# found: "MINOR PATH" for each minor version, the first candidate of it
found() {
    candidates | while read -r path; do
        "$path" -c 'import sys; v = sys.version_info; v >= (3, 9) and print(v[1], sys.executable)' 2>/dev/null || true
    done | sort -s -n -k 1,1 | sort -s -u -n -k 1,1
}

oldest=$(found | head -1 | cut -d ' ' -f 2-)
if [ "${1:-}" = oldest ]; then
    echo "$oldest"
    exit
fi

run_one() {
    local path=$1 out
    name=$("$path" -c 'import sys; print("%s %d.%d.%d" % ((sys.implementation.name,) + sys.version_info[:3]))')
    shift
    if out=$("$uv" run --quiet --isolated --no-project --python "$path" --with 'pytest>=8.4,<9' pytest -q -p no:cacheprovider "$@" 2>&1); then
        echo "$name: $(tail -1 <<<"$out")  ($path)"
    else
        printf '%s\n%s: FAILED  (%s)\n' "$out" "$name" "$path"
        return 1
    fi
}
export -f run_one
export uv

without=
[ "${1:-}" != others ] || without=$PWD/.venv/bin/python
existing=()
for directory in "${tests[@]}"; do [ -d "$directory" ] && existing+=("$directory"); done
{
    printf '%s\n' "$oldest"
    found | tail -n +2 | cut -d ' ' -f 2-
} | { grep -vxF "${without:-none}" || true; } | oldest=$oldest xargs -P 3 -I {} bash -c '
    path=$1 && shift
    if [ "$path" = "$oldest" ]; then run_one "$path" "$@"; else run_one "$path" -m "not process" "$@"; fi
' run_one {} "${existing[@]}"
