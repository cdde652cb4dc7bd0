"""The Leases that an agent's token may write, and requests that the policy does not match."""

from __future__ import annotations

import json

from tests.support.cluster_jobs import Namespace

from elasticjob.wire import names

# Runs in a worker container with the agent's token: METHOD PATH [BODY] -> code, text.
REQUEST = """
import json, os, ssl, sys, urllib.error, urllib.request
home = "/var/run/secrets/elasticjob/"
url = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
token = open(home + "token").read()
request = urllib.request.Request(url + sys.argv[2], method=sys.argv[1])
request.add_header("Authorization", "Bearer " + token)
if len(sys.argv) > 3:
    request.data = sys.argv[3].encode()
    patch = sys.argv[1] == "PATCH"
    request.add_header("Content-Type", "application/" + ("merge-patch+json" if patch else "json"))
try:
    trust = ssl.create_default_context(cafile=home + "ca.crt")
    print(urllib.request.urlopen(request, context=trust).status)
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
"""
LABELLED = {"metadata": {"labels": {"seen": "yes"}}}
RENEWAL = {"spec": {"renewTime": "2026-11-30T00:00:00.000000Z"}}


def test_an_agent_writes_its_own_leases_and_no_other(team: Namespace) -> None:
    job = team.start("own", replicas=2)
    other = team.start("theirs", replicas=1)
    job.runs(2)
    other.runs(1)

    def request(method: str, lease: str, body: object = None) -> str:
        words = [method, f"{team.leases}/{lease}".rstrip("/")]
        words += [json.dumps(body)] if body is not None else []
        return job.exec(0, "python3", "-c", REQUEST, *words)

    assert request("GET", "own-1-0").startswith("200")
    for lease in ("own-0-0", "own-round"):
        assert "an agent may not change labels" in request("PATCH", lease, LABELLED)
        assert "cannot delete resource" in request("DELETE", lease)
    for lease in ("own-1-0", "theirs-0-0", "theirs-round"):
        assert "an agent may only write" in request("PATCH", lease, RENEWAL)
    desired = {"metadata": {"annotations": {names.ANNOTATION_DESIRED: "{}"}}}
    assert "metadata.annotations: an agent may only" in request("PATCH", "own-round", desired)
    assert request("PATCH", "own-0-0", RENEWAL).startswith("200")
    foreign = {"metadata": {"name": "leader-of-something"}, "spec": {"holderIdentity": "me"}}
    assert request("POST", "", foreign).startswith("403")


def test_elections_of_other_controllers_are_not_affected(team: Namespace) -> None:
    """A service account of the namespace with rights to Leases, as other controllers have them."""
    here = ("-n", team.name)
    account = f"system:serviceaccount:{team.name}:default"
    role = ("create", "role", "elects", "--resource=leases.coordination.k8s.io")
    team.kube.kubectl(*role, "--verb=create,get,update,patch,delete", *here)
    binding = ("create", "rolebinding", "elects", "--role=elects")
    team.kube.kubectl(*binding, f"--serviceaccount={team.name}:default", *here)
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "leader", "namespace": team.name},
        "spec": {"holderIdentity": "me"},
    }
    team.kube.kubectl("create", "-f", "-", f"--as={account}", *here, stdin=json.dumps(lease))
    patch = ("patch", "lease", "leader", "--type=merge", "-p", '{"spec":{"holderIdentity":"you"}}')
    team.kube.kubectl(*patch, f"--as={account}", *here)
    team.kube.kubectl("delete", "lease", "leader", f"--as={account}", *here)
