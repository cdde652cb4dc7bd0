"""Install the chart in a cluster with Helm, and read and change the operators there."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from dev.kube_client import Json, RefusedError
from tests.support.chart import CHART, NAMESPACE, RELEASE, helm
from tests.support.kube import Kube, until

HEARTBEAT_S = 1.0
"""T of the agents: a silent one is found after 3 T."""
ELECTION_S = 5
DEPLOYMENT = "elasticjob-operator"
OPERATORS = "app.kubernetes.io/component=operator"
SELF = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{DEPLOYMENT}"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
ELECTION = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{DEPLOYMENT}"
STRICT = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}


@dataclass(frozen=True)
class Release:
    """The release, with two operators. image: repository and tag."""

    kube: Kube
    image: tuple[str, str]

    @classmethod
    def of(cls, environ: Mapping[str, str], kube: Kube) -> Release:
        repository, _, tag = environ["E2E_OPERATOR_IMAGE"].rpartition(":")
        return cls(kube, (repository, tag))

    def install(self, heartbeat_s: float = HEARTBEAT_S, election_s: int = ELECTION_S) -> str:
        """Install or upgrade, always with new pods; return the output of Helm."""
        repository, tag = self.image
        values = {
            "image": {"repository": repository, "tag": tag},
            "replicas": 2,
            "operator": {"heartbeatSeconds": heartbeat_s, "electionSeconds": election_s},
            "podAnnotations": {"run": secrets.token_hex(4)},
        }
        self._make_namespace()
        words = ("--wait", "--timeout=120s", "--values=-")
        chart = (RELEASE, str(CHART))
        return self.helm("upgrade", "--install", *chart, *words, stdin=json.dumps(values))

    def _make_namespace(self) -> None:
        path = f"/api/v1/namespaces/{NAMESPACE}"
        until("what was removed", lambda: not self.kube.exists(path) or not self._is_going(path))
        if not self.kube.exists(path):
            self.kube.post("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        self.kube.patch(path, STRICT)

    def _is_going(self, path: str) -> bool:
        try:
            return self.kube.get(path)["status"]["phase"] == "Terminating"
        except RefusedError:
            return False

    def uninstall(self) -> None:
        """What `helm uninstall` leaves is the definition of ElasticJob, and all jobs with it."""
        self.helm("uninstall", RELEASE, "--wait")
        self.kube.delete(f"/api/v1/namespaces/{NAMESPACE}")

    def helm(self, *words: str, stdin: str = "") -> str:
        """What Helm prints; fails with what it complains of."""
        command = [helm(), *words, f"--namespace={NAMESPACE}"]
        command += ["--kubeconfig", str(self.kube.kubeconfig)]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    # ---- the operators

    @property
    def pods(self) -> list[Json]:
        """Those that are not being deleted."""
        found = self.kube.items(PODS, labelSelector=OPERATORS)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    @property
    def leader(self) -> Json | None:
        """The pod that leads, if the one that the election names is there."""
        try:
            holder = self.kube.get(ELECTION)["spec"].get("holderIdentity") or ""
        except RefusedError:
            return None
        return next((pod for pod in self.pods if holder.startswith(pod["metadata"]["name"])), None)

    def scale(self, replicas: int) -> None:
        """Scale the operator and wait until the replicas are ready or gone."""
        self.kube.patch(SELF, {"spec": {"replicas": replicas}})
        self.is_ready(replicas)

    def is_ready(self, replicas: int = 2) -> None:
        """Wait until this number of operators exists and all are ready."""

        def look() -> bool:
            status = self.kube.get(SELF).get("status", {})
            there = len(self.kube.items(PODS, labelSelector=OPERATORS))
            return status.get("readyReplicas", 0) == there == replicas

        until(f"{replicas} operators", look)

    def log_words(self) -> tuple[str, ...]:
        """kubectl's words for the operators' logs."""
        return ("logs", "-n", NAMESPACE, "-l", OPERATORS, "--prefix", "--tail=80")
