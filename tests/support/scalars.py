"""YAML scalars without quotes in `args` and `env` of a job: what arrives, or what is refused.

kubectl with a real API server, kubectl with the local one, and `local run` judge them alike.
"""

from __future__ import annotations

ARRIVES: dict[str, str] = {
    "12:30:00": "12:30:00",
    "2024-01-01": "2024-01-01",
    "2024-01-01T10:00:00Z": "2024-01-01T10:00:00Z",
    "1e-4x": "1e-4x",
    '"1e-4"': "1e-4",
    '"010"': "010",
    "'on'": "on",
    "0b12": "0b12",
    "1.2.3": "1.2.3",
    "--lr=1e-4": "--lr=1e-4",
    "a\tb": "a\tb",
    '"a\\tb"': "a\tb",
    "é": "é",
}
REFUSED: dict[str, str] = {  # the type that the API server names
    "1e-4": "number",
    "1E5": "integer",
    "0x10": "integer",
    "010": "integer",
    "0o17": "integer",
    "1_000": "integer",
    "1.10": "number",
    "on": "boolean",
    "yes": "boolean",
    "no": "boolean",
    "y": "boolean",
    "true": "boolean",
}
NO_JSON = (".inf", ".nan")


def job_yaml(name: str, argument: str = "a", value: str = "b", more: str = "") -> str:
    """A job in YAML with this argument and this value of a variable."""
    return f"""\
apiVersion: elasticjob.dev/v1alpha1
kind: ElasticJob
metadata: {{name: {name}}}
spec:
  suspend: true
  template:
    spec:
      containers:
      - name: worker
        image: python
        command: [python3, train.py]
        args:
        - {argument}
        env:
        - name: A
          value: {value}
{more}"""
