"""Why the broker does not let a client in: clients themselves only say that time ran out."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaError, SaslAuthenticationFailed, UnsupportedSaslMechanismError

from streams.settings import Settings


async def login_problem(settings: Settings, timeout: float = 5.0) -> str:  # noqa: ASYNC109  # of the whole question
    """What is wrong with TLS or the login towards the broker, and the remedy; empty when nothing is found.

    A server that does not answer at all is none of these.

    Args:
        timeout: seconds for each server until one lets the client in.
    """
    problem = ""
    for server in settings.kafka_client["bootstrap_servers"]:
        try:
            async with asyncio.timeout(timeout):
                found = await _problem_of(settings, server)
        except TimeoutError:
            # A listener in clear waits for more when it is sent a greeting of TLS.
            found = f"{server} does not answer in TLS; {_LISTENER}" if settings.broker_security.tls else ""
        if found is None:
            return ""
        problem = problem or found
    return problem


def login_problem_now(settings: Settings, timeout: float = 5.0) -> str:
    """`login_problem` for code that is not asynchronous, whether or not an event loop runs."""
    question: Coroutine[object, object, str] = login_problem(settings, timeout)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, question).result()


_LISTENER = (
    "set PARCELWATCH_BROKER to the address of its TLS listener, or PARCELWATCH_BROKER_SECURITY__TLS to what that "
    "listener speaks"
)


async def _problem_of(settings: Settings, server: str) -> str | None:
    """What is wrong; empty when nobody is there, None when all is well."""
    security = settings.broker_security
    host, _, port = server.rpartition(":")
    arguments = security.arguments()
    connection = AIOKafkaConnection(host.strip("[]"), int(port), client_id="parcelwatch", **arguments)
    try:
        await connection.connect()
    except ssl.SSLCertVerificationError as exc:
        return (
            f"the certificate of {server} is not trusted ({exc.verify_message}); set "
            "PARCELWATCH_BROKER_SECURITY__CA_FILE to the PEM file of the authority that signed it, and reach the "
            "broker by a name that is in its certificate"
        )
    except ssl.SSLError as exc:
        return f"{server} does not agree on TLS ({exc.reason}); {_LISTENER}, and CERTIFICATE_FILE if it asks for one"
    except SaslAuthenticationFailed:
        await connection.close()
        return (
            f"{server} does not know user {security.username} with this password by {security.mechanism}; mend "
            "PARCELWATCH_BROKER_SECURITY__USERNAME and __PASSWORD (or __PASSWORD_FILE), or make the user on the broker "
            "with kafka-configs.sh --alter --entity-type users"
        )
    except UnsupportedSaslMechanismError:
        await connection.close()
        return (
            f"{server} offers no {security.mechanism}; set PARCELWATCH_BROKER_SECURITY__MECHANISM to one that its "
            "listener has"
        )
    except ConnectionRefusedError:
        return ""
    except (KafkaError, ConnectionError):
        how = "TLS" if security.tls else "clear"
        return f"{server} breaks off when spoken to in {how}; see which listener that is: {_LISTENER}"
    except OSError:
        return ""
    await connection.close()
    return None
