"""The start of a pod's command: it runs the agent if the agent's file has the expected SHA-256.

The file is in a ConfigMap, which other users of the namespace may be able to delete and create
again at any time. They cannot change the pod's spec, so the hash is there. The program reads the
file once, as the kubelet may exchange it between two reads, and runs the agent from these bytes.

The contract between the program and `__main__.py` in the zip is a part of that of zipimport:
`__loader__` is a `zipimporter` with `archive` and `get_data`. So the program also starts the agents
of the previous release, which a job keeps as long as its pods live.
"""

from __future__ import annotations

# Any Python 3 must be able to run it: the agent itself reports a version that is too old.
PROGRAM = r"""
# Runs ElasticJob's agent from this zip, if the zip has this SHA-256.
import hashlib, os, struct, sys
path, sha256 = sys.argv[1:3]
try:
    data = open(os.open(path, os.O_NONBLOCK), "rb").read(1 << 20) or b""
except OSError:
    data = b""
if hashlib.sha256(data).hexdigest() != sha256:
    why = "ConfigMap elasticjob-agent-" + sha256[:10] + ": agent.pyz"
    why += " has another SHA-256 than the pod's command: delete the ConfigMap"
    sys.stderr.write('[elasticjob] agent set-up failed  reason="' + why + '"\n')
    try:
        with open(os.environ.get("ELASTICJOB_TERMINATION_LOG", ""), "w") as log:
            log.write('{"cause": "SetupFailed", "code": 75, "message": "' + why + '"}')
    except OSError:
        pass
    sys.exit(75)
files, at = {}, 0
while data[at : at + 4] == b"PK\x03\x04":  # a file, which is not compressed
    size, _, name, extra = struct.unpack_from("<IIHH", data, at + 18)
    start = at + 30 + name + extra
    files[path + "/" + data[at + 30 : at + 30 + name].decode()] = slice(start, start + size)
    at = start + size
class zipimporter:
    archive = path
    def get_data(self, name):
        if name in files:
            return data[files[name]]
        raise OSError(name)
sys.argv[:3] = [path]
main = path + "/__main__.py"
code = compile(data[files[main]], main, "exec")
exec(code, {"__name__": "__main__", "__loader__": zipimporter()})
""".lstrip()


def command(path: str, agent_hash: str) -> list[str]:
    """The command that runs the agent in the zip at this path; the worker's command follows it.

    `-I -S` keep the user's PYTHONPATH, site-packages and sitecustomize out of the agent.
    """
    return ["python3", "-I", "-S", "-c", PROGRAM, path, agent_hash, "--"]
