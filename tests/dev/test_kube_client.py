from __future__ import annotations

from pathlib import Path

import pytest
from dev.cluster.control_plane.certificates import Authority
from dev.cluster.control_plane.kubeconfig import write_kubeconfig
from dev.kube_client import Client, RefusedError, Reply


def test_a_kubeconfig_gives_address_authority_and_token(tmp_path: Path) -> None:
    ca = Authority().certificate
    write_kubeconfig(tmp_path / "kubeconfig", "https://127.0.0.1:6443", ca, "secret")
    client = Client.from_kubeconfig(tmp_path / "kubeconfig")
    assert (client.url, client.ca, client.token) == ("https://127.0.0.1:6443", ca, "secret")
    assert client.as_user("other").token == "other"


def test_accepted_returns_the_body_of_a_success() -> None:
    assert Reply(201, {"kind": "Pod"}).accepted() == {"kind": "Pod"}


def test_accepted_raises_with_code_and_message_of_a_status() -> None:
    with pytest.raises(RefusedError, match='404: pods "x" not found') as refused:
        Reply(404, {"message": 'pods "x" not found'}).accepted()
    assert refused.value.code == 404
