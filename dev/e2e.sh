#!/usr/bin/env bash
# `make e2e`: the end-to-end tests on a real Kubernetes; its arguments are pytest's, such as -k killed.
#
# Runs on the cluster of `make cluster`, which it starts (as root) and leaves running unless DOWN=1.
# With KUBE_CONTEXT=... or KUBECONFIG=... (NAMED: on make's command line) it runs on that cluster,
# without the tests that change nodes; then
#   IMAGE_REGISTRY   has elasticjob-operator:dev, as the Dockerfile makes it (or OPERATOR_IMAGE)
#   IMAGE            any image with Python, 3.9 or later; python:3.12-slim
#   TORCH_IMAGE      one with torch; that of examples/charlm.yaml
# OLD_PYTHON is the prefix of a Python 3.8, for the test of an image with one; default: pyenv's.
# API_AWAY_S is the length of the API server's outage in its test.
set -euo pipefail
cd "$(dirname "$0")/.."
run=(${UV:-uv} run --frozen --quiet)
cluster=("${run[@]}" python -m dev.cluster)
ours="${XDG_CACHE_HOME:-$HOME/.cache}/elasticjob/cluster/run/kubeconfig"
export E2E_KUBECONFIG E2E_KUBECTL E2E_OPERATOR_IMAGE E2E_IMAGE E2E_TORCH_IMAGE E2E_NO_PYTHON_IMAGE E2E_OLD_PYTHON_IMAGE E2E_API_AWAY_S

if [ -z "${NAMED:-}" ] || [ "$NAMED" = "$ours" ]; then
    installed=("$HOME"/.pyenv/versions/3.8.*)
    [ ! -d "${installed[0]}" ] || : "${OLD_PYTHON:=${installed[0]}}"
    export OLD_PYTHON=${OLD_PYTHON:-}
    # Images first: nodes that start then hard-link them.
    "${cluster[@]}" images
    "${cluster[@]}" up
    HELM=$("${cluster[@]}" build helm)
    export HELM
    E2E_KUBECONFIG=$ours
    E2E_KUBECTL="$("${cluster[@]}" build hyperkube) kubectl"
    E2E_OPERATOR_IMAGE=localhost/elasticjob/operator:dev
    E2E_IMAGE=localhost/elasticjob/python:dev
    E2E_TORCH_IMAGE=localhost/elasticjob/worker:dev
    E2E_NO_PYTHON_IMAGE=localhost/elasticjob/pause:dev
    E2E_OLD_PYTHON_IMAGE=${OLD_PYTHON:+localhost/elasticjob/python38:dev}
else
    if [ -z "${OPERATOR_IMAGE:-}" ] && [ -z "${IMAGE_REGISTRY:-}" ]; then
        echo "make e2e: no operator image. Cure: build it (Dockerfile), push it, and set IMAGE_REGISTRY or OPERATOR_IMAGE" >&2
        exit 1
    fi
    for program in kubectl helm; do
        command -v "$program" >/dev/null || { echo "make e2e: $program is not installed. Cure: install it" >&2; exit 1; }
    done
    E2E_KUBECONFIG=$(mktemp)
    trap 'rm -f "$E2E_KUBECONFIG"' EXIT
    kubectl config view --minify --flatten ${KUBE_CONTEXT:+--context="$KUBE_CONTEXT"} >"$E2E_KUBECONFIG"
    E2E_KUBECTL=kubectl
    E2E_OPERATOR_IMAGE=${OPERATOR_IMAGE:-$IMAGE_REGISTRY/elasticjob-operator:dev}
    E2E_IMAGE=${IMAGE:-python:3.12-slim}
    E2E_TORCH_IMAGE=${TORCH_IMAGE:-$(awk '$1 == "image:" { print $2 }' examples/charlm.yaml)}
    E2E_NO_PYTHON_IMAGE=${NO_PYTHON_IMAGE:-registry.k8s.io/pause:3.10}
    E2E_OLD_PYTHON_IMAGE=${OLD_PYTHON_IMAGE:-python:3.8-slim}
fi
E2E_API_AWAY_S=${API_AWAY_S:-120}

code=0
[ $# -gt 0 ] || set -- -k "not hostile_neighbour"  # `make neighbour` runs it
# The chart first: without helm, `make test` leaves it out.
"${run[@]}" pytest -q --durations=10 tests/helm tests/cluster "$@" || code=$?
[ "${DOWN:-}" != 1 ] || [ "$E2E_KUBECONFIG" != "$ours" ] || "${cluster[@]}" down
exit $code
