"""Server and kubelet together: a pod can use the API, as in a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
from dev.wait import wait_until_async

from elasticjob.local.api.call import Call
from elasticjob.local.api.objects.builtins import PODS
from elasticjob.local.node.process_table import pids_with_env
from elasticjob.local.node.processes import MARKER
from elasticjob.local.operator import OPERATOR, SYSTEM_NAMESPACE
from elasticjob.local.up import Local, up

pytestmark = pytest.mark.process

ASK = """
import json, os, ssl, urllib.request
place = os.environ["TOKENS"]
url = "https://%(KUBERNETES_SERVICE_HOST)s:%(KUBERNETES_SERVICE_PORT)s" % os.environ
request = urllib.request.Request(url + "/apis/coordination.k8s.io/v1/namespaces/default/leases/x")
request.add_header("Authorization", "Bearer " + open(place + "/token").read())
try:
    urllib.request.urlopen(request, context=ssl.create_default_context(cafile=place + "/ca.crt"))
except urllib.error.HTTPError as error:
    print(json.load(error)["message"])
"""


async def log_of(local: Local, namespace: str, name: str) -> str:
    pod = local.server.store.get(PODS, namespace, name)
    with local.kubelet.logs(pod, Call("GET", "")) as pieces:
        return b"".join([piece async for piece in pieces]).decode()


def phase(local: Local, namespace: str, name: str) -> str:
    return str(local.server.store.get(PODS, namespace, name)["status"].get("phase"))


def state(local: Local, namespace: str, name: str) -> tuple[int, str]:
    """The number of restarts, and waiting, running or terminated."""
    pod = local.server.store.get(PODS, namespace, name)
    (status,) = pod["status"]["containerStatuses"]
    return status["restartCount"], next(iter(status["state"]))


async def test_a_pod_reaches_the_api_as_in_a_cluster(tmp_path: Path) -> None:
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"configMap": {"name": "kube-root-ca.crt"}},
    ]
    container = {
        "name": "worker",
        "image": "none",
        "command": ["python3", "-c", ASK],
        "env": [{"name": "TOKENS", "value": "/var/run/secrets/tokens"}],
        "volumeMounts": [{"name": "tokens", "mountPath": "/var/run/secrets/tokens"}],
    }
    spec = {
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [{"name": "tokens", "projected": {"sources": sources}}],
    }

    async with up(tmp_path) as local:
        local.server.store.create(PODS, "default", {"metadata": {"name": "p"}, "spec": spec})
        await wait_until_async(lambda: phase(local, "default", "p") in ("Succeeded", "Failed"))
        log = await log_of(local, "default", "p")
    account = "system:serviceaccount:default:default"
    assert log.startswith(
        f'leases.coordination.k8s.io "x" is forbidden: User "{account}" cannot get resource'
    )


async def test_the_operator_is_a_pod_that_is_restarted(tmp_path: Path) -> None:
    command = ["sh", "-c", 'test -r "$1" && echo "$0"; exec sleep 1000']

    async with up(tmp_path, operator=command) as local:

        async def has_started() -> bool:
            return await log_of(local, *place) == "--kubeconfig\n"

        place = (SYSTEM_NAMESPACE, OPERATOR)
        await wait_until_async(lambda: phase(local, *place) == "Running")
        local.kubelet.kill(*place)
        await wait_until_async(lambda: state(local, *place) == (1, "running"))
        await wait_until_async(has_started)
    assert pids_with_env(MARKER, f"{tmp_path}/") == set()
