from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from dev.cluster.control_plane.certificates import Authority
from dev.cluster.control_plane.kubeconfig import write_kubeconfig
from dev.kube_client import Client, KubeconfigError, RefusedError, Reply
from tests.support.scripted_api import kubeconfig, reply, scripted_api


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


def test_a_server_without_tls_and_a_path_in_its_url(tmp_path: Path) -> None:
    with scripted_api(scheme="http") as server:
        server.answer(reply(200), reply(200))
        file = kubeconfig(tmp_path, f"{server.url}/k8s/clusters/c-1/")
        with closing(Client.from_kubeconfig(file)) as client:
            client.get("/api/v1/pods", limit=1)
            with client.watch("/api/v1/pods"):
                paths = [request.path for request in server.requests]
    assert paths == [
        "/k8s/clusters/c-1" + p for p in ("/api/v1/pods?limit=1", "/api/v1/pods?watch=1")
    ]


@pytest.mark.parametrize("watches", [False, True])
def test_a_token_that_has_expired_is_read_again(watches: bool, tmp_path: Path) -> None:
    """An exec plugin gives short tokens; one request finds that the token has expired."""
    with scripted_api(scheme="http") as server:
        server.answer(reply(401), reply(200))
        file = kubeconfig(tmp_path, server.url)
        with closing(Client.from_kubeconfig(file)) as client:
            file.write_text(file.read_text().replace("secret", "renewed"))
            if watches:
                with client.watch("/") as watch:
                    code = watch.code
            else:
                code = client.post("/", {"a": 1}).code
    assert code == 200
    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer secret", "Bearer renewed"]
    assert len({request.body for request in server.requests}) == 1


def test_a_request_is_not_repeated_with_the_token_that_was_refused(tmp_path: Path) -> None:
    with scripted_api(scheme="http") as server:
        server.answer(reply(401), reply(401))
        with closing(Client.from_kubeconfig(kubeconfig(tmp_path, server.url))) as client:
            assert client.get("/").code == 401
            with closing(client.as_user("other")) as other:
                assert other.get("/").code == 401
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("feature", "value"), [("proxy-url", "http://proxy:3128"), ("tls-server-name", "api.example")]
)
def test_a_kubeconfig_that_needs_more_is_refused_with_the_cure(
    feature: str, value: str, tmp_path: Path
) -> None:
    file = kubeconfig(tmp_path, "https://10.0.0.1:6443")
    found = json.loads(file.read_text())
    found["clusters"][0]["cluster"][feature] = value
    file.write_text(json.dumps(found))
    with pytest.raises(KubeconfigError) as refused:
        Client.from_kubeconfig(file)
    assert str(refused.value) == (
        f"{file}: cluster https://10.0.0.1:6443: {feature} {value} is not supported:"
        " use the --context of another cluster, or a kubeconfig for `kubectl proxy`"
    )


def test_a_proxy_of_the_environment_is_no_reason_to_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    file = kubeconfig(tmp_path, "https://10.0.0.1:6443")
    assert Client.from_kubeconfig(file).url == "https://10.0.0.1:6443"
