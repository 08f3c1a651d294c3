"""A cluster's address, and the certificates with which its machines know each other."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepdream_core.errors import OutputError, SettingsError
from deepdream_core.link import private_files, user_folders, wire

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate
    from distributed import Security

PORT = 8786
_YEARS = 10
RENEWED_WITHIN = datetime.timedelta(days=30)
"""`cluster start` renews what expires within that time."""
_ADDRESS = re.compile(r"(tls|tcp)://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?/?")
_BEGIN, _END = "-----BEGIN DEEPDREAM INVITATION-----", "-----END DEEPDREAM INVITATION-----"


@dataclass(frozen=True)
class Membership:
    """What a machine needs to belong to a cluster: its address, and certificates and a key as PEM."""

    address: str
    authority: str
    certificate: str
    key: str


def checked(address: str) -> str:
    """Return an address with its port; raises `SettingsError` for another form, and without TLS for another machine."""
    match = _ADDRESS.fullmatch(address.strip())
    if match is None or int(match[3] or PORT) > 65535:
        raise SettingsError(f"{address!r} is not the address of a cluster", "write it as tls://studio:8786")
    scheme, host, port = match[1], match[2], int(match[3] or PORT)
    if scheme == "tcp" and not _is_loopback(host):
        raise SettingsError(
            f"{address}: without TLS a cluster is for this machine alone", f"use tls://{host}:{port}, or 127.0.0.1"
        )
    return f"{scheme}://{host}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def security(address: str) -> Security | None:
    """Return what Dask needs for a TLS address, None for another; raises `SettingsError` where this machine has none."""
    if not address.startswith("tls:"):
        return None
    from distributed import Security

    own = membership()
    if own is None:
        raise SettingsError(
            f"{address}: this machine has no certificate of a cluster",
            "run `deepdream cluster invite` where the cluster was started, and here `deepdream cluster join`",
        )
    if (ends := min(map(expires, (own.certificate, own.authority)))) < datetime.datetime.now(datetime.UTC):
        raise SettingsError(
            f"{address}: this machine's certificate expired on {ends:%Y-%m-%d}",
            "run `deepdream cluster start` again, or here `deepdream cluster join` with a new invitation",
        )
    pairs = {f"tls_{role}_{part}": text for role in ("client", "worker", "scheduler")
             for part, text in (("cert", own.certificate), ("key", own.key))}  # fmt: skip
    return Security(require_encryption=True, tls_ca_file=own.authority, **pairs)


def membership() -> Membership | None:
    """Return this machine's membership, None if it has none; raises `SettingsError` for a damaged one."""
    path = _path("membership.json")
    try:
        content = private_files.read_private(path)
        return None if content is None else _whole(json.loads(content))
    except (wire.WireError, ValueError, TypeError) as error:
        why = str(error) if isinstance(error, wire.WireError) else "it is damaged"
        raise SettingsError(
            f"{path}: {why}", "remove it, or run `deepdream cluster join` with a new invitation"
        ) from None


def _whole(given: dict[str, str]) -> Membership:
    """Return a membership; raises `ValueError` or `TypeError` for one with something else in it."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificate

    found = Membership(**given)
    if not all(isinstance(text, str) for text in found.__dict__.values()):
        raise TypeError
    for certificate in (found.authority, found.certificate):
        load_pem_x509_certificate(certificate.encode())
    load_pem_private_key(found.key.encode(), None)
    return found


def joined(invitation: str) -> Membership:
    """Keep the membership in an invitation and return it.

    Raises `SettingsError` for a text that is none, and `OutputError` where it cannot be kept.
    """
    _, found, rest = invitation.partition(_BEGIN)
    text, complete, _ = rest.partition(_END)
    try:
        if not found or not complete:
            raise ValueError
        given = _whole(json.loads(base64.b64decode("".join(text.split()), validate=True)))
        checked(given.address)
    except (ValueError, TypeError):
        raise SettingsError(
            "this is not a whole invitation",
            "give the output of `deepdream cluster invite`, with its first and last line",
        ) from None
    _keep("membership.json", given)
    return given


def invitation(host: str | None = None) -> str:
    """Return an invitation for one more machine; raises `SettingsError` where no cluster was started."""
    own, signer = membership(), _authority()
    if own is None or signer is None:
        raise SettingsError("no cluster was started on this machine", "run `deepdream cluster start` first")
    if own.authority != _pem(signer[0]):
        raise SettingsError("this machine has joined another cluster", "invite on the machine that started that")
    address = own.address if host is None else checked(f"tls://{host}:{own.address.rpartition(':')[2]}")
    text = base64.encodebytes(json.dumps(_issued(address, *signer).__dict__).encode()).decode()
    return f"{_BEGIN}\n{text}{_END}\n"


def founded(host: str, port: int) -> Membership:
    """Return this machine's membership of its own cluster, made at the first start.

    Raises `SettingsError` on a machine that has joined another cluster, and `OutputError`.
    """
    signer, own = _authority(), membership()
    if own is not None and (signer is None or own.authority != _pem(signer[0])):
        raise SettingsError(
            f"this machine has joined the cluster at {own.address}",
            f"to leave that, remove {_path('membership.json')}; then run `deepdream cluster start` again",
        )
    if signer is None or _ends_soon(_pem(signer[0])):
        signer = _new_authority()
        _keep("authority.json", {"certificate": _pem(signer[0]), "key": _pem_key(signer[1])})
    address = checked(f"tls://{host}:{port}")
    if own is None or own.authority != _pem(signer[0]) or own.address != address or _ends_soon(own.certificate):
        own = _issued(address, *signer)
        _keep("membership.json", own)
    return own


def authority() -> str | None:
    """Return the certificate of the cluster that was started on this machine, None if none was."""
    signer = _authority()
    return None if signer is None else _pem(signer[0])


def expires(certificate: str) -> datetime.datetime:
    """Return when a certificate expires."""
    from cryptography.x509 import load_pem_x509_certificate

    return load_pem_x509_certificate(certificate.encode()).not_valid_after_utc


def _ends_soon(certificate: str) -> bool:
    return expires(certificate) - datetime.datetime.now(datetime.UTC) < RENEWED_WITHIN


def _path(name: str) -> Path:
    try:
        return user_folders.state_folder() / "cluster" / name
    except wire.WireError as error:
        raise SettingsError(str(error)) from None


def _keep(name: str, content: Membership | dict[str, str]) -> None:
    text = json.dumps(content if isinstance(content, dict) else content.__dict__).encode()
    path = _path(name)
    try:
        for folder in (path.parent.parent, path.parent):
            private_files.make_private_folder(folder)
        private_files.write_private(path, text, "DEEPDREAM_STATE_DIR")
    except wire.WireError as error:
        raise OutputError(str(error)) from None


def _authority() -> tuple[Certificate, EllipticCurvePrivateKey] | None:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificate

    path = _path("authority.json")
    try:
        content = private_files.read_private(path)
        if content is None:
            return None
        held = json.loads(content)
        key = load_pem_private_key(held["key"].encode(), None)
        return load_pem_x509_certificate(held["certificate"].encode()), key  # type: ignore[return-value]
    except (wire.WireError, ValueError, TypeError, KeyError, AttributeError) as error:
        why = str(error) if isinstance(error, wire.WireError) else "it is damaged"
        raise SettingsError(
            f"{path}: {why}",
            "remove it and membership.json beside it, run `deepdream cluster start`, and invite all machines again",
        ) from None


def _new_authority() -> tuple[Certificate, EllipticCurvePrivateKey]:
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    return _signed(f"DeepDream cluster of {socket.gethostname()}", key, None), key


def _issued(address: str, authority: Certificate, signer: EllipticCurvePrivateKey) -> Membership:
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _signed("DeepDream machine", key, (authority, signer))
    return Membership(address, _pem(authority), _pem(certificate), _pem_key(key))


def _signed(
    name: str, key: EllipticCurvePrivateKey, by: tuple[Certificate, EllipticCurvePrivateKey] | None
) -> Certificate:
    """Return a certificate for a key, signed by an authority, or by the key itself for an authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by[0].subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=365 * _YEARS))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(by[1] if by else key, hashes.SHA256())
    )


def _pem(certificate: Certificate) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM).decode()


def _pem_key(key: EllipticCurvePrivateKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
