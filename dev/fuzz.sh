#!/usr/bin/env bash
# Runs the tests in tests/fuzz with new input: those of wire and agent on the oldest Python that
# dev/interpreters.sh finds, all on Python 3.12 or else the project's. A failure prints the input.
# The same FUZZ_SEED and FUZZ_EXAMPLES draw the same input again, on the same Python.
set -euo pipefail
cd "$(dirname "$0")/.."

uv=${UV:-uv}
export FUZZ_EXAMPLES=${FUZZ_EXAMPLES:-1000}
seed=${FUZZ_SEED:-$(date +%s)}
options=(-q -p no:cacheprovider "--hypothesis-seed=$seed")
oldest=$(UV=$uv dev/interpreters.sh oldest)
new=$("$uv" python find --no-project --python-preference only-system 3.12 2>/dev/null ||
    ls "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.12.*/bin/python 2>/dev/null | tail -1 ||
    true)

echo "== FUZZ_SEED=$seed FUZZ_EXAMPLES=$FUZZ_EXAMPLES"
echo "== wire and agent: $oldest"
"$uv" run --quiet --isolated --no-project --python "$oldest" --with 'pytest>=8.4,<9' --with hypothesis \
    pytest "${options[@]}" tests/fuzz/test_wire.py tests/fuzz/test_agent.py
echo "== operator and local mode, too: ${new:-$PWD/.venv/bin/python}"
if [ -n "$new" ]; then
    "$uv" run --frozen --quiet --isolated --python "$new" pytest "${options[@]}" tests/fuzz tests/properties
else
    "$uv" run --frozen --quiet pytest "${options[@]}" tests/fuzz tests/properties
fi
