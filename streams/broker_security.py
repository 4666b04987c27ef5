"""How a connection to Kafka is protected: TLS, and who logs in. One place makes clients' arguments of it."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, SecretStr, model_validator

#: Fields whose values may be shown; others hold a secret, or may be one under a misspelt name.
OPEN = frozenset(
    {
        "tls",
        "ca_file",
        "certificate_file",
        "key_file",
        "check_hostname",
        "mechanism",
        "username",
        "password_file",
    }
)


class BrokerSecurity(BaseModel, extra="forbid"):
    """TLS and SASL towards the broker.

    Files are read when settings are loaded, so that one that cannot be used stops the start.

    Attributes:
        tls: encrypt, and check the broker's certificate.
        ca_file: PEM file of the authorities that may have signed it; when absent, those the system trusts.
        certificate_file, key_file: PEM files of this client's own certificate (chain) and private key, for brokers
            that ask for one.
        key_password: of an encrypted `key_file`.
        check_hostname: whether the certificate must be for the host that was connected to.
        mechanism: how `username` logs in (SASL). PLAIN sends the password itself, so it needs `tls`.
        username: who logs in; when absent, nobody does.
        password: of `username`.
        password_file: file that holds the password, in place of `password`; white space at its end is left out.
    """

    tls: bool = False
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    key_password: SecretStr | None = None
    check_hostname: bool = True
    mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512"
    username: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None

    @model_validator(mode="after")
    def _usable(self) -> Self:
        of_tls = {
            "ca_file": self.ca_file,
            "certificate_file": self.certificate_file,
            "key_file": self.key_file,
            "check_hostname": not self.check_hostname,
        }
        if not self.tls and (given := [name for name, value in of_tls.items() if value]):
            raise ValueError(
                f"{' and '.join(given)} without tls: the connection would be in clear; set tls = true"
            )
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together; give both or none")
        if self.username is None and (self.password or self.password_file):
            raise ValueError("a password without username; set username, or leave the password out")
        if self.username is not None:
            self._take_password()
            if self.mechanism == "PLAIN" and not self.tls:
                raise ValueError(
                    "mechanism PLAIN without tls would send the password in clear; set tls = true or use SCRAM-SHA-512"
                )
        if self.tls:
            self.context()
        return self

    def _take_password(self) -> None:
        if (self.password is None) == (self.password_file is None):
            raise ValueError("username needs either password or password_file, not both")
        if self.password_file is not None:
            try:
                text = self.password_file.read_text(encoding="utf-8").rstrip()
            except UnicodeDecodeError:
                raise ValueError(f"password_file {self.password_file} is not text in UTF-8") from None
            except OSError as exc:
                raise ValueError(
                    f"password_file {self.password_file} cannot be read ({exc.strerror}); "
                    "name one that this user may read"
                ) from None
            self.password = SecretStr(text)
        if self.password is not None and not self.password.get_secret_value():
            raise ValueError(
                f"the password of username {self.username} is empty; write it into its file or setting"
            )

    def context(self) -> ssl.SSLContext:
        """What TLS connections are made with.

        Raises:
            ValueError: a file cannot be used; says which, and how to mend it.
        """
        context = ssl.create_default_context()
        if self.ca_file is not None:
            try:
                # Only those of the file: a certificate of any public authority would do otherwise.
                context = ssl.create_default_context(cafile=str(self.ca_file))
            except OSError as exc:
                raise ValueError(
                    f"ca_file {self.ca_file} cannot be used ({exc.strerror}); name a readable PEM file of the "
                    "authority that signed the broker's certificate"
                ) from None
        context.check_hostname = self.check_hostname
        if self.certificate_file is not None:
            secret = self.key_password.get_secret_value() if self.key_password else ""
            try:
                # The password is given even when empty: OpenSSL would ask the terminal for it.
                context.load_cert_chain(self.certificate_file, self.key_file, password=lambda: secret)
            except (OSError, ValueError):
                raise ValueError(
                    f"certificate_file {self.certificate_file} and key_file {self.key_file} cannot be used; name "
                    "readable PEM files that belong together, and key_password when the key is encrypted"
                ) from None
        return context

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for any client of aiokafka and of kafka-python; they hold the password."""
        protocol = ("SASL_" if self.username else "") + ("SSL" if self.tls else "PLAINTEXT")
        arguments: dict[str, Any] = {"security_protocol": protocol}
        if self.tls:
            arguments["ssl_context"] = self.context()
        if self.username is not None and self.password is not None:
            arguments |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password.get_secret_value(),
            }
        return arguments
