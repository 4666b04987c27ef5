"""An embedded broker that asks who is there: TLS, SASL and an authorizer, with users and certificates of its own."""

from __future__ import annotations

import base64
import datetime
import hashlib
import ipaddress
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from streams.broker_security import BrokerSecurity

#: The user that may do everything: whoever makes topics, users and rights.
ADMIN = "admin"
#: The broker's certificate's own name, by which it knows itself on the controller's listener.
_SELF = "broker"
_YEARS = datetime.timedelta(days=3650)
_ITERATIONS = 4096
_HASHES: dict[Literal["SCRAM-SHA-512", "SCRAM-SHA-256"], str] = {
    "SCRAM-SHA-512": "sha512",
    "SCRAM-SHA-256": "sha256",
}

# The controller's listener is for the broker itself alone, so it asks for its very certificate; nobody is let in
# without a name, and what no rule allows is refused.
_PROPERTIES = """\
listeners=CLIENTS://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=CLIENTS://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENTS
listener.security.protocol.map=CLIENTS:SASL_SSL,CONTROLLER:SSL
listener.name.controller.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256,PLAIN
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.clients.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required username="{admin}" password="{password}";
listener.name.clients.scram-sha-256.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.clients.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required {plain};
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:{admin};User:CN={itself}
allow.everyone.if.no.acl.found=false
"""


@dataclass(frozen=True)
class Login:
    """Users and certificates of an embedded broker that speaks SASL_SSL only and allows nothing unasked.

    Attributes:
        folder: where its certificates are put; made when absent.
        users: names of users without any rights as yet.
        passwords: by user, `ADMIN`'s with them; random, new with each object. Those of a broker are fixed when its data
            folder is first used.
    """

    folder: Path
    users: tuple[str, ...] = ()
    passwords: dict[str, str] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.passwords.update({user: secrets.token_urlsafe(24) for user in (ADMIN, *self.users)})

    @property
    def ca_file(self) -> Path:
        """PEM file of the authority that signed the broker's certificate."""
        return self.folder.absolute() / "ca.pem"

    def security(
        self,
        user: str = ADMIN,
        mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512",
    ) -> BrokerSecurity:
        """What a client's settings must say to come in as `user`."""
        return BrokerSecurity.model_validate(
            {
                "tls": True,
                "ca_file": self.ca_file,
                "mechanism": mechanism,
                "username": user,
                "password": self.passwords[user],
            }
        )

    def properties(self, port: int, controller_port: int) -> str:
        """What of `server.properties` is about listeners and rights. It holds passwords."""
        users = " ".join(f'user_{user}="{password}"' for user, password in self.passwords.items())
        return _PROPERTIES.format(
            port=port,
            controller_port=controller_port,
            folder=self.folder.absolute(),
            admin=ADMIN,
            itself=_SELF,
            password=self.passwords[ADMIN],
            plain=users,
        )

    def format_arguments(self) -> list[str]:
        """Arguments of `kafka-storage.sh format` that make the users; salted, as others may see a command."""
        arguments = []
        for mechanism, algorithm in _HASHES.items():
            for user, password in self.passwords.items():
                salt = secrets.token_bytes(16)
                salted = hashlib.pbkdf2_hmac(algorithm, password.encode(), salt, _ITERATIONS)
                arguments += [
                    "--add-scram",
                    f'{mechanism}=[name="{user}",iterations={_ITERATIONS},'
                    f'salt="{base64.b64encode(salt).decode()}",'
                    f'saltedpassword="{base64.b64encode(salted).decode()}"]',
                ]
        return arguments

    def make_certificates(self) -> None:
        """An authority, and a certificate of 127.0.0.1 and localhost signed by it; nothing when there are some."""
        if self.ca_file.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        authority_key, authority = _certificate("parcelwatch embedded authority")
        key, certificate = _certificate(_SELF, (authority_key, authority))
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        store = self.folder / "broker.pem"
        store.touch(mode=0o600)
        store.write_bytes(private + _pem(certificate) + _pem(authority))
        self.ca_file.write_bytes(_pem(authority))


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _certificate(
    name: str, signer: tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None = None
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A key and its certificate: an authority's, or one that `signer` has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    signing_key, issuer = (key, subject) if signer is None else (signer[0], signer[1].subject)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _YEARS)
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
    )
    if signer is not None:
        hosts = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
    return key, builder.sign(signing_key, hashes.SHA256())
