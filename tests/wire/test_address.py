from __future__ import annotations

import ipaddress

import pytest

from elasticjob.wire.address import address, is_address
from elasticjob.wire.codec import WireError

GOOD = [
    "10.0.0.1", "127.66.3.1", "0.0.0.0", "255.255.255.255",
    "::", "::1", "1::", "fd00::1", "fd00:0:0:1:2:3:4:5", "FD00::Ab", "1:2:3:4:5:6:7::",
    "::2:3:4:5:6:7:8", "::ffff:10.0.0.1", "1:2:3:4:5:6:10.0.0.1", "64:ff9b::10.0.0.1",
]  # fmt: skip
BAD = [
    "", " ", "localhost", "pod-0.team.svc", "10.0.0", "10.0.0.1.2", "10.0.0.256", "10.0.0.01",
    "10.0.0.-1", "10.0.0.1 ", " 10.0.0.1", "10.0.0.1\0", "10.0.0.1\n", "10.0.0.\u00b2", "1.2.3.",
    "10.0.0.1:80", "0x7f.0.0.1", "2130706433", "127.1",
    ":", ":::", "1", "1:2", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1::",
    "1:2:3:4::5:6:7:8", ":1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:", "12345::", "g::", "::\u0661",
    "::1%eth0", "[::1]", "10.0.0.1::", "::10.0.0.1:1", "1:2:3:4:5:6:7:10.0.0.1", "::10.0.0",
    ":10.0.0.1", "::1\0", "fd00::1/64",
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_an_address(text: str) -> None:
    assert ipaddress.ip_address(text)
    assert is_address(text)
    assert address({"address": text}, "address", "it") == text


@pytest.mark.parametrize("text", BAD)
def test_another_text_is_refused_with_the_name_of_its_field(text: str) -> None:
    assert not is_address(text)
    with pytest.raises(WireError, match=r"^it\.address is .*, not an IP address$"):
        address({"address": text}, "address", "it")


def test_an_address_that_may_be_missing() -> None:
    assert address({}, "address", "it", default="") == ""
    with pytest.raises(WireError):
        address({}, "address", "it")
    with pytest.raises(WireError, match="not a string"):
        address({"address": 1}, "address", "it", default="")
