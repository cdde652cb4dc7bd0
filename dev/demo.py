"""`make demo`: four pods train a model, lose a worker and then a pod, and finish.

The real operator and the real agents, on the local mode or on a cluster of yours. The demo looks
at the job as any user would, through the API; it kills one worker process, later deletes one pod,
tells how long each recovery took, and checks the outcome by itself: it exits with 1 if anything is
not as promised.

    make demo                           about three minutes
    make demo KEEP=1                    leaves everything up at the end, to look around; Ctrl-C
                                        ends it
    make demo KUBE_CONTEXT=kind-kind    on a cluster in which the chart is installed, in a
                                        namespace of its own. IMAGE=... is what the pods run, with
                                        torch; IMAGE_REGISTRY=... a mirror of the example's image
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
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
OWN_NAMESPACE = "elasticjob-demo"  # on a cluster, where other things live
PODS = 4
STEP_LINE = re.compile(r"step (\d+)/(\d+) loss ([\d.]+)")
GO_ON_LINE = re.compile(r"go on after step \d+")
PATIENCE_S = 150.0  # for any one thing to happen, on a slow machine

Json = dict[str, Any]


class DemoError(Exception):
    """Something is not as promised."""


# ---- the cluster ---------------------------------------------------------------------------------


@contextmanager
def local_mode(python: str, root: Path) -> Iterator[Path]:
    """`elasticjob local up` in the background; yields its kubeconfig and ends it afterwards."""
    log = (root / "local.log").open("wb")
    command = [sys.executable, "-m", "elasticjob.cli", "local", "up"]
    server = subprocess.Popen(
        [*command, "--root", str(root / "state"), "--python", python],
        stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    kubeconfig = root / "state" / "kubeconfig"
    try:
        wait_for("the local API server", lambda: server.poll() is not None or kubeconfig.exists())
        if server.poll() is not None:
            raise DemoError(f"the local mode did not start:\n{Path(log.name).read_text()}")
        yield kubeconfig
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()


def wait_for(what: str, happened: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Looks ten times a second; raises DemoError when patience is over."""
    until = time.monotonic() + patience_s
    while not happened():
        if time.monotonic() > until:
            raise DemoError(f"waited {patience_s:.0f} s in vain for {what}")
        time.sleep(0.1)


@dataclass
class Cluster:
    """What a user does with kubectl: apply, get, logs, delete."""

    kubeconfig: Path | None
    """None: as kubectl finds it."""
    namespace: str = NAMESPACE
    context: str | None = None
    api: client.ApiClient = field(init=False)

    def __post_init__(self) -> None:
        file = str(self.kubeconfig) if self.kubeconfig else None
        self.api = config.new_client_from_config(file, context=self.context)

    def call(self, method: str, path: str, body: Json | None = None, **query: Any) -> bytes:
        """One request; raises kubernetes.client.ApiException."""
        request = self.api.param_serialize(
            method, path, query_params=list(query.items()), body=body,
            header_params={"Accept": "application/json", "Content-Type": "application/json"},
            auth_settings=["BearerToken"],
        )  # fmt: skip
        response = self.api.call_api(*request)
        data: bytes = response.read()
        if not 200 <= response.status < 300:
            raise client.ApiException(status=response.status, reason=data.decode())
        return data

    def get(self, path: str, **query: Any) -> Json:
        """One object or list."""
        found: Json = json.loads(self.call("GET", path, **query))
        return found

    def apply(self, job: Json) -> None:
        """Creates the job."""
        self.call("POST", f"{self.jobs()}", body=job)

    def jobs(self) -> str:
        """Path of the jobs of the namespace."""
        return f"/apis/{names.API_VERSION}/namespaces/{self.namespace}/{names.PLURAL}"

    def pods(self, job: str) -> list[Json]:
        """The pods of a job."""
        selector = f"{names.LABEL_JOB}={job}"
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        items: list[Json] = self.get(path, labelSelector=selector)["items"]
        return sorted(items, key=lambda pod: str(pod["metadata"]["name"]))

    def log(self, pod: str) -> str:
        """The last lines of a pod's log; empty where there is none yet."""
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/log"
        try:
            return self.call("GET", path, tailLines=200).decode("utf-8", "replace")
        except client.ApiException:
            return ""

    def delete_pod(self, pod: str) -> None:
        """`kubectl delete pod`."""
        self.call("DELETE", f"/api/v1/namespaces/{self.namespace}/pods/{pod}")


def kill_here(cluster: Cluster, pod: Json) -> str:
    """kill -9 of the training process of a pod of the local mode. Says what it did."""
    uid = pod["metadata"]["uid"]
    marker = f"ELASTICJOB_POD_UID={uid}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environ = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if marker in environ and any(e.startswith(b"LOCAL_RANK=") for e in environ):
            os.kill(int(entry.name), signal.SIGKILL)
            return f"kill -9 {entry.name}"
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
    """`kubectl exec`, and kill -9 in there. Says what it did."""
    name = pod["metadata"]["name"]
    found = stream(
        client.CoreV1Api(cluster.api).connect_get_namespaced_pod_exec,
        name, cluster.namespace, container="worker", command=["python3", "-c", KILL],
        stdout=True, stderr=True, stdin=False, tty=False,
    )  # fmt: skip
    if not found.strip().isdigit():
        raise DemoError(f"no worker process in {name}: {found}")
    return f"kubectl exec {name}: kill -9 {found.strip()}"


# ---- what is seen --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sight:
    """The job at one moment."""

    job: Json
    pods: list[Json]
    step: int
    loss: str
    log: str

    @property
    def status(self) -> Json:
        """Its status, or an empty one."""
        found: Json = self.job.get("status") or {}
        return found

    @property
    def round(self) -> int:
        """Number of the present round."""
        return int(self.status.get("round") or 0)

    @property
    def phase(self) -> str:
        """STATUS."""
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
    """Generation of a pod."""
    return int(pod["metadata"]["labels"][names.LABEL_GENERATION])


def identities(pods: list[Json]) -> set[tuple[str, str]]:
    """Names and UIDs."""
    return {(p["metadata"]["name"], p["metadata"]["uid"]) for p in pods}


def look(cluster: Cluster, job: str) -> Sight:
    """One look at job, pods and the log of rank 0."""
    found = cluster.get(f"{cluster.jobs()}/{job}")
    pods = cluster.pods(job)
    first = Sight(found, pods, 0, "", "").pod(0)
    log = cluster.log(first["metadata"]["name"]) if first else ""
    steps = STEP_LINE.findall(log)
    step, _, loss = steps[-1] if steps else ("0", "", "")
    return Sight(found, pods, int(step), loss, log)


# ---- what is shown -------------------------------------------------------------------------------


class Screen:
    """A live view on a terminal; on anything else, a line when something has changed."""

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
        """One line that stays."""
        at = time.monotonic() - self.began
        target = self.live.console if self.live else self.console
        target.print(f"[dim]{at:6.1f} s[/dim]  {text}", style=style, highlight=False)

    def show(self, sight: Sight) -> None:
        """The present state."""
        if self.live:
            self.live.update(self._view(sight))
            return
        if not sight.phase:
            return
        line = f"{sight.phase}  round {sight.round}  ready {sight.status.get('ready', '')}"
        if line != self.last:
            self.last = line
            self.note(line)

    def _view(self, sight: Sight) -> Group:
        pods = Table(box=None, pad_edge=False, header_style="dim")
        for column in ("pod", "phase", "address"):
            pods.add_column(column)
        for pod in sight.pods:
            leaving = " (ending)" if "deletionTimestamp" in pod["metadata"] else ""
            status = pod.get("status") or {}
            pods.add_row(
                pod["metadata"]["name"], status.get("phase", "") + leaving, status.get("podIP", "")
            )
        status = sight.status
        head = Text.assemble(
            ("charlm  ", "bold"), f"{sight.phase}   ready {status.get('ready', '-')}   ",
            f"round {sight.round}   restarts {status.get('restarts', 0)}   ",
            f"step {sight.step}   loss {sight.loss or '-'}",
        )  # fmt: skip
        return Group(head, pods)


# ---- the demo ------------------------------------------------------------------------------------


Kill = Callable[[Cluster, Json], str]


class Demo:
    """The story, and its checks."""

    def __init__(self, cluster: Cluster, screen: Screen, kill: Kill, image: str = "") -> None:
        self.cluster, self.screen, self.kill = cluster, screen, kill
        self.job: Json = yaml.safe_load(JOB.read_text())
        worker = self.job["spec"]["template"]["spec"]["containers"][0]
        worker["image"] = image or worker["image"]
        self.name: str = self.job["metadata"]["name"]
        self.failed: list[str] = []

    def run(self) -> None:
        """All of it; raises DemoError when something does not happen in time."""
        self.screen.note(f"kubectl apply -f {JOB.relative_to(ROOT)}   ({PODS} pods)")
        self.cluster.apply(self.job)
        began = self.until("all workers to run", lambda s: s.step > 0)
        self.screen.note(f"training: step {began.step}, loss {began.loss}", "green")
        self.until("some steps", lambda s: s.step >= 60)
        self.lose_worker()
        self.until("more steps", lambda s: s.step >= 180)
        self.lose_pod()
        self.finish()

    def until(self, what: str, happened: Callable[[Sight], bool]) -> Sight:
        """Looks until it has happened; the job must not fail meanwhile."""
        seen: list[Sight] = []

        def looked() -> bool:
            sight = look(self.cluster, self.name)
            self.screen.show(sight)
            seen.append(sight)
            if sight.is_condition("Failed"):
                raise DemoError(f"the job failed: {sight.status.get('lastFailure')}")
            return happened(sight)

        wait_for(what, looked)
        return seen[-1]

    def lose_worker(self) -> None:
        """kill -9 of one worker process: every pod stays."""
        before = look(self.cluster, self.name)
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
        """`kubectl delete pod`: the same index comes back, with the next generation."""
        before = look(self.cluster, self.name)
        victim = before.pod(1)
        assert victim is not None
        self.cluster.delete_pod(victim["metadata"]["name"])
        at = time.monotonic()
        self.screen.note(f"kubectl delete pod {victim['metadata']['name']}", "red")
        after = self.recovered(before, at)
        heir = after.pod(1)
        self.check(
            "the same index, next generation, after a pod was deleted",
            heir is not None and generation(heir) == generation(victim) + 1,
        )
        self.check_steps(before, after)

    def recovered(self, before: Sight, at: float) -> Sight:
        """When the group trains again in a later round, with all pods."""
        full = f"{PODS}/{PODS}"

        def again(sight: Sight) -> bool:
            recovery = sight.status.get("lastRecovery") or {}
            running = sight.status.get("ready") == full and sight.is_condition("Running")
            told = int(recovery.get("round") or 0) > before.round
            return running and told and trains_again(before.log, sight.log)

        after = self.until("the group to train again", again)
        recovery = after.status["lastRecovery"]
        parts = {
            "detect": "detectMillis", "rendezvous": "rendezvousMillis", "start": "startMillis",
        }  # fmt: skip
        text = ", ".join(f"{name} {recovery.get(key, 0)} ms" for name, key in parts.items())
        self.screen.note(
            f"all workers started again {recovery.get('totalMillis', 0)} ms after it ({text})",
            "green",
        )
        self.screen.note(f"training again {time.monotonic() - at:.1f} s after it", "green")
        return after

    def check_steps(self, before: Sight, after: Sight) -> None:
        """Steps go on from the checkpoint: nothing began anew."""
        step = last_checkpoint(after.log)
        self.check(
            f"went on after step {step}; the last one seen before was {before.step}",
            step is not None and step > before.step - 20,
        )

    def finish(self) -> None:
        """The job completes; one incident was charged."""
        end = self.until("the job to complete", lambda s: s.is_condition("Complete"))
        self.check("the job is Complete", True)
        counted = end.status.get("counted", 0)
        self.check(f"one failure counted (the deleted pod is none): {counted}", counted == 1)
        last = STEP_LINE.findall(end.log)
        if last:
            self.screen.note(f"last: step {last[-1][0]}/{last[-1][1]}, loss {last[-1][2]}")
        sample = end.log.rsplit("it writes:", 1)
        if len(sample) == 2:
            self.screen.note("what it writes now:")
            text = sample[1].split("[elasticjob]")[0].strip("\n")
            self.screen.console.print(text, highlight=False, markup=False)

    def check(self, claim: str, holds: bool) -> None:
        """Says whether a claim holds, and remembers if not."""
        if not holds:
            self.failed.append(claim)
        self.screen.note(("ok    " if holds else "WRONG ") + claim, "" if holds else "bold red")


def trains_again(before: str, log: str) -> bool:
    """Whether rank 0 has gone on from a checkpoint once more, and made a step since."""
    restarts = GO_ON_LINE.findall(log)
    more = len(restarts) > len(GO_ON_LINE.findall(before))
    return more and bool(STEP_LINE.findall(log.rsplit(restarts[-1], 1)[-1]))


def last_checkpoint(log: str) -> int | None:
    """The step of the checkpoint that the last restart went on from, or None."""
    found = GO_ON_LINE.findall(log)
    return int(found[-1].split()[-1]) if found else None


def main() -> int:
    """Exit code 0: everything happened as promised."""
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    words.add_argument("--cluster", action="store_true", help="on the cluster that kubectl uses")
    words.add_argument("--context", help="on that of this context of the kubeconfig")
    options = words.parse_args()
    console = Console()
    if options.cluster or options.context:
        failed = on_cluster(console, options.context)
    else:
        failed = on_local(console)
    console.print("[bold red]demo failed[/]" if failed else "[bold green]demo passed[/]")
    return 1 if failed else 0


def on_local(console: Console) -> bool:
    """The demo on the local mode; whether it failed."""
    python = os.environ.get("TORCH_PYTHON") or sys.executable
    with tempfile.TemporaryDirectory(prefix="elasticjob-demo-") as home:
        with local_mode(python, Path(home)) as kubeconfig, Screen(console) as screen:
            demo = Demo(Cluster(kubeconfig), screen, kill_here)
            played(demo)
            if demo.failed:
                console.print(tail(Path(home) / "local.log"), markup=False, highlight=False)
            if os.environ.get("KEEP") == "1":
                look_around(console, kubeconfig)
        return bool(demo.failed)


def on_cluster(console: Console, context: str | None) -> bool:
    """The demo on a cluster, in a namespace that it makes and removes; whether it failed."""
    cluster = Cluster(None, OWN_NAMESPACE, context)
    place = "/api/v1/namespaces"
    try:
        if not serves_jobs(cluster):
            console.print(NOT_INSTALLED, markup=False, highlight=False)
            return True
        cluster.call("POST", place, body={"metadata": {"name": OWN_NAMESPACE}})
    except client.ApiException as error:
        said = json.loads(error.body or "{}").get("message") or error.reason
        console.print(f"the cluster: {said}", markup=False, highlight=False)
        return True
    try:
        with Screen(console) as screen:
            demo = Demo(cluster, screen, kill_by_exec, image_of(os.environ))
            played(demo)
    finally:
        if os.environ.get("KEEP") == "1":
            console.print(f"left there; remove it: kubectl delete namespace {OWN_NAMESPACE}")
        else:
            cluster.call("DELETE", f"{place}/{OWN_NAMESPACE}")
    return bool(demo.failed)


NOT_INSTALLED = """the cluster does not know ElasticJobs. Cure: install the chart first:
  helm install elasticjob helm/elasticjob --namespace elasticjob-system --create-namespace \\
    --set image.repository=REGISTRY/elasticjob-operator"""


def serves_jobs(cluster: Cluster) -> bool:
    """Whether the definition of ElasticJob is there."""
    try:
        cluster.get(cluster.jobs())
    except client.ApiException as error:
        if error.status == 404:
            return False
        raise
    return True


def image_of(environ: Mapping[str, str]) -> str:
    """IMAGE, or the example's image in the registry IMAGE_REGISTRY; empty: as the example says."""
    job = yaml.safe_load(JOB.read_text())
    image = job["spec"]["template"]["spec"]["containers"][0]["image"]
    registry = environ.get("IMAGE_REGISTRY", "").rstrip("/")
    return environ.get("IMAGE") or (f"{registry}/{image}" if registry else "")


def played(demo: Demo) -> None:
    """Run it, and remember what did not happen."""
    try:
        demo.run()
    except DemoError as error:
        demo.failed.append(str(error))
        demo.screen.note(str(error), "bold red")


def tail(path: Path) -> str:
    """The last lines of what operator and local mode said."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-40:])


def look_around(console: Console, kubeconfig: Path) -> None:
    """Leaves everything up until Ctrl-C."""
    console.print(f"left up; look around:  export KUBECONFIG={kubeconfig}", markup=False)
    console.print("  kubectl get elasticjobs,pods,leases;  Ctrl-C ends everything", markup=False)
    try:
        signal.pause()
    except KeyboardInterrupt:
        console.print("ending")


if __name__ == "__main__":
    sys.exit(main())
