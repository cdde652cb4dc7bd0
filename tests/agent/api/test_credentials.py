from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
from tests.support.scripted_api import TLS, token_directory

from elasticjob.agent.api.credentials import Credentials


def test_a_token_is_read_again_when_it_is_replaced(tmp_path: Path) -> None:
    """The kubelet writes a new directory and replaces a symbolic link."""
    token_directory(tmp_path / "v1", "old")
    token_directory(tmp_path / "v2", "new")
    data = tmp_path / "..data"
    data.symlink_to("v1")
    credentials = Credentials(str(data))
    assert credentials.token() == "old"
    swap = tmp_path / "..tmp"
    swap.symlink_to("v2")
    os.replace(swap, data)
    assert credentials.token() == "new"


def test_a_ca_is_read_again_when_it_changes(tmp_path: Path) -> None:
    credentials = Credentials(str(token_directory(tmp_path)))
    first = credentials.context()
    assert credentials.context() is first
    (tmp_path / "ca.crt").write_bytes((TLS / "stranger.crt").read_bytes())
    assert credentials.context() is not first


def test_a_ca_without_key_identifiers_is_accepted(tmp_path: Path) -> None:
    context = Credentials(str(token_directory(tmp_path))).context()
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    credentials = Credentials(str(tmp_path))
    with pytest.raises(OSError, match="token"):
        credentials.token()
    with pytest.raises(OSError, match=r"ca\.crt"):
        credentials.context()
