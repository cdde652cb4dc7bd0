"""`make demo`: four pods train a model, lose a worker and then a pod, and finish.

The demo runs the real operator and the real agents, on the local mode or on your cluster. It reads
the job as any user does, through the API; it kills one worker process, later deletes one pod,
prints how long each recovery took, and checks the outcome: it exits with 1 if a check fails.

    make demo                           about three minutes
    make demo KEEP=1                    leaves everything up at the end, to look around; Ctrl-C
                                        ends it
    make demo KUBE_CONTEXT=kind-kind    on a cluster in which the chart is installed, in a new
                                        namespace. IMAGE=... is the pods' image, which needs torch;
                                        IMAGE_REGISTRY=... a mirror of the example's image
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from dev import proc
from dev.kube_client import Client, Json, KubeconfigError, RefusedError
from dev.local_mode import local_mode
from dev.wait import wait_until
from kubernetes import client, config
from kubernetes.stream import stream
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from elasticjob.wire import names

ROOT = Path(__file__).parent.parent
JOB = ROOT / "examples" / "charlm.yaml"
NAMESPACE = "default"
OWN_NAMESPACE = "elasticjob-demo"  # on a cluster, next to other workloads
PODS = 4
STEP_LINE = re.compile(r"step (\d+)/(\d+) loss ([\d.]+)")
RESUME_LINE = re.compile(r"after step (\d+), from the checkpoint")
WITHIN_S = 150.0  # for any one condition, on a slow machine


class DemoError(Exception):
    """The demo cannot continue."""


# ---- the cluster ---------------------------------------------------------------------------------


class Cluster:
    """What a user does with kubectl: apply, get, logs, delete."""

    def __init__(
        self, kubeconfig: Path | None, namespace: str = NAMESPACE, context: str | None = None
    ) -> None:
        """Connect with a kubeconfig; None: with the one that kubectl uses."""
        self.client = Client.from_kubeconfig(kubeconfig, context)
        self.kubeconfig, self.context, self.namespace = kubeconfig, context, namespace
        self.jobs = f"/apis/{names.API_VERSION}/namespaces/{namespace}/{names.PLURAL}"
        self._pods = f"/api/v1/namespaces/{namespace}/pods"

    def job(self, name: str) -> Json:
        """Read a job; raises RefusedError."""
        found: Json = self.client.get(f"{self.jobs}/{name}").accepted()
        return found

    def pods(self, job: str) -> list[Json]:
        """The pods of a job."""
        reply = self.client.get(self._pods, labelSelector=f"{names.LABEL_JOB}={job}")
        return sorted(reply.accepted()["items"], key=lambda pod: str(pod["metadata"]["name"]))

    def log(self, pod: str) -> str:
        """The last lines of a pod's log; empty if it has none yet."""
        reply = self.client.get(f"{self._pods}/{pod}/log", tailLines=200)
        return reply.body.decode("utf-8", "replace") if reply.code == 200 else ""

    def delete_pod(self, pod: str) -> None:
        """Delete a pod."""
        self.client.delete(f"{self._pods}/{pod}").accepted()


def kill_here(cluster: Cluster, pod: Json) -> str:
    """Kill the training process of a pod of the local mode; returns a description."""
    uid = pod["metadata"]["uid"]
    for pid in proc.with_environment(ELASTICJOB_POD_UID=uid):
        if any(variable.startswith("LOCAL_RANK=") for variable in proc.environment(pid)):
            os.kill(pid, signal.SIGKILL)
            return f"kill -9 {pid}"
    raise DemoError(f"pod {uid} has no worker process")


# Runs in the pod's container, which has Python and need not have a shell.
KILL = """
import os, signal
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        words = open(f"/proc/{pid}/environ", "rb").read().split(b"\\0")
    except OSError:
        continue
    if any(word.startswith(b"LOCAL_RANK=") for word in words):
        os.kill(int(pid), signal.SIGKILL)
        print(pid)
        break
"""


def kill_by_exec(cluster: Cluster, pod: Json) -> str:
    """Kill the training process by `kubectl exec`; returns a description."""
    name = pod["metadata"]["name"]
    file = str(cluster.kubeconfig) if cluster.kubeconfig else None
    api = config.new_client_from_config(file, context=cluster.context)
    found = stream(  # a websocket: dev.kube_client has none
        client.CoreV1Api(api).connect_get_namespaced_pod_exec,
        name, cluster.namespace, container="worker", command=["python3", "-c", KILL],
        stdout=True, stderr=True, stdin=False, tty=False,
    )  # fmt: skip
    if not found.strip().isdigit():
        raise DemoError(f"no worker process in {name}: {found}")
    return f"kubectl exec {name}: kill -9 {found.strip()}"


# ---- the job's state -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Observed:
    """The job at one moment."""

    job: Json
    pods: list[Json]
    step: int
    """The last step in the log; 0 before the first."""
    loss: str
    log: str
    """The last lines of the log of index 0."""

    @property
    def status(self) -> Json:
        """The job's status; empty if it has none yet."""
        found: Json = self.job.get("status") or {}
        return found

    @property
    def round(self) -> int:
        """The number of the current round."""
        return int(self.status.get("round") or 0)

    @property
    def phase(self) -> str:
        """The STATUS column."""
        return str(self.status.get("phase") or "")

    def pod(self, index: int) -> Json | None:
        """The newest pod of an index that is not being deleted."""
        found = [
            pod
            for pod in self.pods
            if pod["metadata"]["labels"][names.LABEL_INDEX] == str(index)
            and "deletionTimestamp" not in pod["metadata"]
        ]
        return max(found, key=lambda pod: generation(pod), default=None)

    def is_condition(self, kind: str) -> bool:
        """Whether a condition is True."""
        conditions = self.status.get("conditions") or []
        return any(c["type"] == kind and c["status"] == "True" for c in conditions)


def generation(pod: Json) -> int:
    """The generation of a pod."""
    return int(pod["metadata"]["labels"][names.LABEL_GENERATION])


def identities(pods: list[Json]) -> set[tuple[str, str]]:
    """The names and UIDs of pods."""
    return {(p["metadata"]["name"], p["metadata"]["uid"]) for p in pods}


def observe(cluster: Cluster, job: str) -> Observed:
    """Read the job, its pods and the log of index 0."""
    found = cluster.job(job)
    pods = cluster.pods(job)
    first = Observed(found, pods, 0, "", "").pod(0)
    log = cluster.log(first["metadata"]["name"]) if first else ""
    steps = STEP_LINE.findall(log)
    step, _, loss = steps[-1] if steps else ("0", "", "")
    return Observed(found, pods, int(step), loss, log)


# ---- the screen ----------------------------------------------------------------------------------


class Screen:
    """A live view on a terminal; elsewhere a line for each change."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.notes: list[str] = []
        self.live = Live(console=console, refresh_per_second=8) if console.is_terminal else None
        self.last = ""
        self.began = time.monotonic()

    def __enter__(self) -> Screen:
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.live:
            self.live.stop()

    def note(self, text: str, style: str = "") -> None:
        """Print a line above the live view."""
        at = time.monotonic() - self.began
        target = self.live.console if self.live else self.console
        target.print(f"[dim]{at:6.1f} s[/dim]  {text}", style=style, highlight=False)

    def show(self, now: Observed) -> None:
        """Show the current state."""
        if self.live:
            self.live.update(self._view(now))
            return
        if "round" not in now.status:
            return
        ready = f"  ready {now.status['ready']}" if "ready" in now.status else ""
        line = f"{now.phase}  round {now.round}{ready}"
        if line != self.last:
            self.last = line
            self.note(line)

    def _view(self, now: Observed) -> Group:
        pods = Table(box=None, pad_edge=False, header_style="dim")
        for column in ("pod", "phase", "address"):
            pods.add_column(column)
        for pod in now.pods:
            leaving = " (ending)" if "deletionTimestamp" in pod["metadata"] else ""
            status = pod.get("status") or {}
            pods.add_row(
                pod["metadata"]["name"], status.get("phase", "") + leaving, status.get("podIP", "")
            )
        status = now.status
        head = Text.assemble(
            ("charlm  ", "bold"), f"{now.phase}   ready {status.get('ready', '-')}   ",
            f"round {now.round}   restarts {status.get('restarts', 0)}   ",
            f"step {now.step}   loss {now.loss or '-'}",
        )  # fmt: skip
        return Group(head, pods)


# ---- the demo ------------------------------------------------------------------------------------


Kill = Callable[[Cluster, Json], str]


class Demo:
    """The steps of the demo, and its checks."""

    def __init__(self, cluster: Cluster, screen: Screen, kill: Kill, image: str = "") -> None:
        self.cluster, self.screen, self.kill = cluster, screen, kill
        self.job: Json = yaml.safe_load(JOB.read_text())
        worker = self.job["spec"]["template"]["spec"]["containers"][0]
        worker["image"] = image or worker["image"]
        self.name: str = self.job["metadata"]["name"]
        self.failed: list[str] = []

    def run(self) -> None:
        """Run all steps; raises DemoError or TimeoutError."""
        self.screen.note(f"kubectl apply -f {JOB.relative_to(ROOT)}   ({PODS} pods)")
        self.cluster.client.post(self.cluster.jobs, self.job).accepted()
        began = self.until("all workers to run", lambda s: s.step > 0)
        self.screen.note(f"training: step {began.step}, loss {began.loss}", "green")
        self.until("some steps", lambda s: s.step >= 60)
        self.lose_worker()
        self.until("more steps", lambda s: s.step >= 180)
        self.lose_pod()
        self.finish()

    def until(self, what: str, condition: Callable[[Observed], bool]) -> Observed:
        """Observe the job until the condition holds; raises DemoError if the job fails."""

        def observed() -> Observed | None:
            now = observe(self.cluster, self.name)
            self.screen.show(now)
            if now.is_condition("Failed"):
                raise DemoError(f"the job failed: {now.status.get('lastFailure')}")
            return now if condition(now) else None

        return wait_until(observed, what=what, within_s=WITHIN_S, every_s=0.1)

    def lose_worker(self) -> None:
        """Kill one worker process; every pod must stay."""
        before = observe(self.cluster, self.name)
        victim = before.pod(2)
        assert victim is not None
        did = self.kill(self.cluster, victim)
        at = time.monotonic()
        self.screen.note(f"{did}   (the worker of {victim['metadata']['name']})", "red")
        after = self.recovered(before, at)
        self.check(
            "the same four pods after a worker was killed",
            identities(before.pods) == identities(after.pods),
        )
        self.check_steps(before, after)

    def lose_pod(self) -> None:
        """Delete a pod; a pod of the same index and the next generation must replace it."""
        before = observe(self.cluster, self.name)
        victim = before.pod(1)
        assert victim is not None
        self.cluster.delete_pod(victim["metadata"]["name"])
        at = time.monotonic()
        self.screen.note(f"kubectl delete pod {victim['metadata']['name']}", "red")
        after = self.recovered(before, at)
        replacement = after.pod(1)
        self.check(
            "the same index, next generation, after a pod was deleted",
            replacement is not None and generation(replacement) == generation(victim) + 1,
        )
        self.check_steps(before, after)

    def recovered(self, before: Observed, at: float) -> Observed:
        """Wait until all pods train again in a later round."""
        full = f"{PODS}/{PODS}"

        def again(job: Observed) -> bool:
            recovery = job.status.get("lastRecovery") or {}
            running = job.status.get("ready") == full and job.is_condition("Running")
            is_later = int(recovery.get("round") or 0) > before.round
            return running and is_later and trains_again(before.log, job.log)

        after = self.until("the group to train again", again)
        recovery = after.status["lastRecovery"]
        parts = {
            "detect": "detectMillis", "stop": "stopMillis", "rendezvous": "rendezvousMillis",
            "start": "startMillis",
        }  # fmt: skip
        text = ", ".join(f"{name} {recovery.get(key, 0)} ms" for name, key in parts.items())
        self.screen.note(
            f"all workers started again {recovery.get('totalMillis', 0)} ms after it ({text})",
            "green",
        )
        self.screen.note(f"training again {time.monotonic() - at:.1f} s after it", "green")
        return after

    def check_steps(self, before: Observed, after: Observed) -> None:
        """Check that the steps continue from the checkpoint."""
        step = last_checkpoint(after.log)
        self.check(
            f"continued after step {step}; the last step seen before was {before.step}",
            step is not None and step > before.step - 20,
        )

    def finish(self) -> None:
        """Wait until the job completes; one failure must be counted."""
        end = self.until("the job to complete", lambda s: s.is_condition("Complete"))
        self.check("the job is Complete", True)
        counted = end.status.get("counted", 0)
        self.check(f"one failure counted; a deleted pod does not count: {counted}", counted == 1)
        last = STEP_LINE.findall(end.log)
        if last:
            self.screen.note(f"last: step {last[-1][0]}/{last[-1][1]}, loss {last[-1][2]}")
        sample = end.log.rsplit("it writes:", 1)
        if len(sample) == 2:
            self.screen.note("what it writes now:")
            text = sample[1].split("[elasticjob]")[0].strip("\n")
            self.screen.console.print(text, highlight=False, markup=False)

    def check(self, claim: str, holds: bool) -> None:
        """Print whether a claim holds, and record it if not."""
        if not holds:
            self.failed.append(claim)
        self.screen.note(("ok    " if holds else "WRONG ") + claim, "" if holds else "bold red")


def trains_again(before: str, log: str) -> bool:
    """Whether rank 0 has loaded a checkpoint since, and made a step after it."""
    resumes = list(RESUME_LINE.finditer(log))
    more = len(resumes) > len(RESUME_LINE.findall(before))
    return more and bool(STEP_LINE.search(log, resumes[-1].end()))


def last_checkpoint(log: str) -> int | None:
    """The step of the checkpoint that rank 0 has loaded last, or None."""
    found = RESUME_LINE.findall(log)
    return int(found[-1]) if found else None


def main() -> int:
    """Run the demo; returns 0 if every check passed."""
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    words.add_argument("--cluster", action="store_true", help="on the cluster that kubectl uses")
    words.add_argument("--context", help="on the cluster of this context of the kubeconfig")
    options = words.parse_args()
    console = Console()
    if options.cluster or options.context:
        failed = on_cluster(console, options.context)
    else:
        failed = on_local(console)
    console.print("[bold red]demo failed[/]" if failed else "[bold green]demo passed[/]")
    return 1 if failed else 0


def on_local(console: Console) -> bool:
    """Run the demo on the local mode; returns whether it failed."""
    python = os.environ.get("TORCH_PYTHON") or sys.executable
    with tempfile.TemporaryDirectory(prefix="elasticjob-demo-") as home:
        with local_mode(Path(home), python) as kubeconfig, Screen(console) as screen:
            demo = Demo(Cluster(kubeconfig), screen, kill_here)
            play(demo)
            if demo.failed:
                console.print(tail(Path(home) / "local.log"), markup=False, highlight=False)
            if os.environ.get("KEEP") == "1":
                look_around(console, kubeconfig)
        return bool(demo.failed)


def on_cluster(console: Console, context: str | None) -> bool:
    """Run the demo on a cluster, in a namespace that it makes and removes."""
    place = "/api/v1/namespaces"
    try:
        cluster = Cluster(None, OWN_NAMESPACE, context)
        if cluster.client.get(cluster.jobs).code == 404:
            console.print(NOT_INSTALLED, markup=False, highlight=False)
            return True
        cluster.client.get(cluster.jobs).accepted()
        cluster.client.post(place, {"metadata": {"name": OWN_NAMESPACE}}).accepted()
    except (KubeconfigError, RefusedError, OSError) as error:
        console.print(f"the cluster: {error}", markup=False, highlight=False)
        return True
    try:
        with Screen(console) as screen:
            demo = Demo(cluster, screen, kill_by_exec, image_of(os.environ))
            play(demo)
    finally:
        if os.environ.get("KEEP") == "1":
            console.print(f"left there; remove it: kubectl delete namespace {OWN_NAMESPACE}")
        else:
            cluster.client.delete(f"{place}/{OWN_NAMESPACE}").accepted()
    return bool(demo.failed)


NOT_INSTALLED = """the cluster does not know ElasticJobs. Cure: install the chart first:
  helm install elasticjob helm/elasticjob --namespace elasticjob-system --create-namespace \\
    --set image.repository=REGISTRY/elasticjob-operator"""


def image_of(environ: Mapping[str, str]) -> str:
    """Return IMAGE, or the example's image in IMAGE_REGISTRY, or '' for the example's."""
    job = yaml.safe_load(JOB.read_text())
    image = job["spec"]["template"]["spec"]["containers"][0]["image"]
    registry = environ.get("IMAGE_REGISTRY", "").rstrip("/")
    return environ.get("IMAGE") or (f"{registry}/{image}" if registry else "")


def play(demo: Demo) -> None:
    """Run the demo and record the error that ends it early."""
    try:
        demo.run()
    except (DemoError, TimeoutError) as error:
        demo.failed.append(str(error))
        demo.screen.note(str(error), "bold red")


def tail(path: Path) -> str:
    """The last lines of a log."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-40:])


def look_around(console: Console, kubeconfig: Path) -> None:
    """Wait for Ctrl-C."""
    console.print(f"still running; look around:  export KUBECONFIG={kubeconfig}", markup=False)
    console.print("  kubectl get elasticjobs,pods,leases;  Ctrl-C ends everything", markup=False)
    try:
        signal.pause()
    except KeyboardInterrupt:
        console.print("ending")


if __name__ == "__main__":
    sys.exit(main())
