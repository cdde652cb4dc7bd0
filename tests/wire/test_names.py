from __future__ import annotations

import pytest

from elasticjob.wire import names

_NAMES = [
    ("job", 0, 0, "job-0-0"),
    ("my-job-2", 10, 3, "my-job-2-10-3"),
    ("a-1-2", 999, 12, "a-1-2-999-12"),
]


@pytest.mark.parametrize(("job", "index", "generation", "name"), _NAMES)
def test_a_pod_name_and_its_inverse(job: str, index: int, generation: int, name: str) -> None:
    assert names.pod_name(job, index, generation) == name
    assert names.parse_pod_name(name) == (index, generation)
    assert names.job_name(name) == job


@pytest.mark.parametrize(
    "name", ["", "job", "job-1", "-1-2", "job-a-1", "job-1-b", "job--1", "job-\u00b2-1", "job-1-"]
)
def test_another_name_is_no_pod_name(name: str) -> None:
    with pytest.raises(ValueError, match="is not a pod name"):
        names.parse_pod_name(name)


def test_names_of_a_job() -> None:
    assert names.round_lease_name("job") == "job-round"
    assert names.service_account_name("job") == "elasticjob-job"


def test_every_label_and_annotation_has_the_prefix() -> None:
    keys = [
        value
        for name, value in vars(names).items()
        if name.startswith(("LABEL_", "ANNOTATION_")) and isinstance(value, str)
    ]
    assert len(keys) == len(set(keys)) >= 12
    assert all(key.startswith(f"{names.GROUP}/") for key in keys)


def test_the_longest_names_are_names_of_objects_and_label_values() -> None:
    """A job's name has at most 45 characters: a pod's must be a hostname and a label value."""
    longest = names.pod_name("j" * 45, 99_999, 99_999)
    assert len(longest) <= 63
    assert len(names.round_lease_name("j" * 45)) <= 63
