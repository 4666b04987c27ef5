"""A broker with TLS, logins and an authorizer, and processes that come to it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)

from streams.kafka.broker import Broker
from streams.kafka.broker_login import Login
from streams.kafka.rights import Right
from streams.kafka.topic_admin import admin_client
from streams.settings import Settings

PATIENCE = 40.0


class Secured:
    """The broker, and settings of those who come to it."""

    def __init__(self, broker: Broker, login: Login) -> None:
        self.broker, self.login = broker, login

    def settings(self, user: str, **more: object) -> Settings:
        """Settings with which `user` logs in."""
        security = self.login.security(user)
        return Settings(broker=self.broker.bootstrap, broker_security=security, partitions=1, **more)  # type: ignore[arg-type]  # any setting

    def environment(self, user: str, folder: Path) -> dict[str, str]:
        """The same in the environment, the password in a file."""
        secret = folder / f"{user}.password"
        secret.write_text(self.login.passwords[user] + "\n")
        return {
            "PARCELWATCH_BROKER": self.broker.bootstrap,
            "PARCELWATCH_PARTITIONS": "1",
            "PARCELWATCH_DATA_DIR": str(folder),
            "PARCELWATCH_BROKER_SECURITY__TLS": "true",
            "PARCELWATCH_BROKER_SECURITY__CA_FILE": str(self.login.ca_file),
            "PARCELWATCH_BROKER_SECURITY__USERNAME": user,
            "PARCELWATCH_BROKER_SECURITY__PASSWORD_FILE": str(secret),
        }

    def grant(self, user: str, wanted: tuple[Right, ...]) -> None:
        """Give rights, and wait until the broker knows of them."""
        acls = [
            ACL(
                f"User:{user}",
                "*",
                ACLOperation[operation],
                ACLPermissionType.ALLOW,
                ResourcePattern(ResourceType[right.kind.upper()], right.name),
            )
            for right in wanted
            for operation in right.operations
        ]
        with admin_client(self.settings("admin")) as admin:
            admin.create_acls(acls)
            # The broker applies what the controller has written a moment later.
            found: set[str] = set()
            while not {acl.resource_pattern.resource_name for acl in acls} <= found:
                anything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
                listed = admin.describe_acls(
                    ACLFilter(f"User:{user}", "*", ACLOperation.ANY, ACLPermissionType.ANY, anything)
                )
                found = {acl.resource_pattern.resource_name for acl in listed[0]}


@asynccontextmanager
async def running(
    command: list[str], environment: dict[str, str], *, forever: bool = True
) -> AsyncIterator[None]:
    """A process of parcelwatch; it must end well, when told to or (not `forever`) by itself."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from streams.cli import main; main()", *command,
        env={**os.environ, **environment},
    )  # fmt: skip
    try:
        yield
        if forever:
            process.terminate()
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ready(port: int, path: str = "/readyz") -> None:
    """Wait until a process answers 200."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE):
        while True:
            try:
                async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.05)
