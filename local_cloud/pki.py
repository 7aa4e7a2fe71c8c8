"""A certificate authority and the certificates and kubeconfigs of one control plane. Called by control_plane.py."""

import base64
import datetime
import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = datetime.timedelta(days=3650)
CLOCK_SKEW = datetime.timedelta(hours=1)


@dataclass(frozen=True)
class Credential:
    """A certificate and its key, in PEM."""

    certificate: bytes
    key: bytes

    def write(self, folder: Path, name: str) -> None:
        """Writes NAME.crt and NAME.key, the key readable by the owner only."""
        (folder / f"{name}.crt").write_bytes(self.certificate)
        write_private(folder / f"{name}.key", self.key)


class Authority:
    """Signs certificates. Its own certificate and key are in `credential`."""

    def __init__(self, credential: Credential | None = None) -> None:
        self.credential = credential or _new_authority()
        key = serialization.load_pem_private_key(self.credential.key, password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key
        self._name = x509.load_pem_x509_certificate(self.credential.certificate).subject

    @classmethod
    def load(cls, folder: Path, name: str) -> "Authority":
        """The authority whose credential was written to the folder."""
        return cls(Credential((folder / f"{name}.crt").read_bytes(), (folder / f"{name}.key").read_bytes()))

    def client(self, user: str, groups: Sequence[str] = ()) -> Credential:
        """Makes who Kubernetes takes as `user`, member of `groups`."""
        names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        names.append(x509.NameAttribute(NameOID.COMMON_NAME, user))
        return self._sign(x509.Name(names), ExtendedKeyUsageOID.CLIENT_AUTH, [])

    def server(self, names: Sequence[str]) -> Credential:
        """Makes a server's certificate for host names and IP addresses."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        return self._sign(subject, ExtendedKeyUsageOID.SERVER_AUTH, [_general_name(name) for name in names])

    def _sign(self, subject: x509.Name, usage: x509.ObjectIdentifier, names: list[x509.GeneralName]) -> Credential:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(subject, self._name, key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return _credential(builder.sign(self._key, hashes.SHA256()), key)


def _new_authority() -> Credential:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "local-cloud")])
    builder = _builder(name, name, key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return _credential(builder.sign(key, hashes.SHA256()), key)


def key_pair() -> tuple[bytes, bytes]:
    """A private and a public key in PEM, for signing service account tokens."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return _private(key), public


def kubeconfig(server: str, authority: bytes, user: str, credential: Credential) -> str:
    """A kubeconfig with everything inside. It is JSON, which every reader of YAML reads."""

    def embedded(pem: bytes) -> str:
        return base64.b64encode(pem).decode()

    cluster = {"server": server, "certificate-authority-data": embedded(authority)}
    keys = {"client-certificate-data": embedded(credential.certificate), "client-key-data": embedded(credential.key)}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "local-cloud", "cluster": cluster}],
        "users": [{"name": user, "user": keys}],
        "contexts": [{"name": "local-cloud", "context": {"cluster": "local-cloud", "user": user}}],
        "current-context": "local-cloud",
    }
    return json.dumps(content, indent=2) + "\n"


def write_private(path: Path, content: bytes) -> None:
    """Writes a file that only its owner reads, from its first byte on."""
    path.touch(mode=0o600)
    path.write_bytes(content)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - CLOCK_SKEW,
        not_valid_after=now + VALID,
    )


def _credential(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Credential:
    return Credential(certificate.public_bytes(serialization.Encoding.PEM), _private(key))


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
