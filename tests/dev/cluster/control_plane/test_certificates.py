"""Certificates: what they are for, and the CA that Python 3.13 refuses by default."""

from __future__ import annotations

import pytest
from cryptography import x509
from dev.cluster.control_plane.certificates import Authority

IDENTIFIERS = (x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier)


def extensions(pem: bytes) -> list[type[x509.ExtensionType]]:
    return [type(e.value) for e in x509.load_pem_x509_certificate(pem).extensions]


@pytest.mark.parametrize("key_identifiers", [True, False])
def test_an_authority_signs_verifiable_certificates(key_identifiers: bool) -> None:
    authority = Authority(key_identifiers=key_identifiers)
    pair = authority.issue("server", "org", ("10.0.0.1", "kubernetes.default.svc"))
    root = x509.load_pem_x509_certificate(authority.certificate)
    leaf = x509.load_pem_x509_certificate(pair.certificate)
    leaf.verify_directly_issued_by(root)
    assert leaf.subject.rfc4514_string() == "CN=server,O=org"
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]
    assert names.get_values_for_type(x509.DNSName) == ["kubernetes.default.svc"]
    found = [*extensions(authority.certificate), *extensions(pair.certificate)]
    assert [kind in found for kind in IDENTIFIERS] == [key_identifiers] * 2
