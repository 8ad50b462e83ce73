"""Whether Kafka can be reached, and if not, why: one sentence that says what to do."""

import asyncio
import os
import socket
from collections.abc import Iterable
from typing import NamedTuple

from chat4all.domain.errors import Unavailable

METADATA_SECONDS = 1.2
"""How long a broker may take to say which topics there are, before it is asked what is wrong."""

CONNECT_SECONDS = 0.6
"""Together with the other less than the 2 s that a health check has."""

SHOWN = "the message log (Kafka) is away"
"""What clients may know of all this."""


class Address(NamedTuple):
    """Where a broker is said to be."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def addresses_of(bootstrap: str) -> list[Address]:
    """Return what `KAFKA_BOOTSTRAP_SERVER` names: `host:port,…`, 9092 where no port is given."""
    found = []
    for one in bootstrap.split(","):
        named = one.strip().rpartition("://")[2]
        host, colon, port = named.rpartition(":")
        if colon and port.isdecimal():
            found.append(Address(host.strip("[]"), int(port)))
        elif named:
            found.append(Address(named.strip("[]"), 9092))
    return found


async def not_answering(bootstrap: str) -> Unavailable:
    """Return why nobody at the configured addresses answered."""
    addresses = addresses_of(bootstrap)
    troubles = await asyncio.gather(*map(_trouble, addresses))
    named = ", ".join(map(str, addresses))
    reasons = {"it takes connections and says nothing" if x is None else x for x in troubles}
    if reasons == {_NOWHERE}:
        said = (
            f"KAFKA_BOOTSTRAP_SERVER names {named}, which {_NOWHERE} here: set it to the address "
            "that Kafka advertises to this machine"
        )
    else:
        said = (
            f"Kafka at {named} does not answer ({'; '.join(sorted(reasons))}): start Kafka, or set "
            "KAFKA_BOOTSTRAP_SERVER to where it is"
        )
    return Unavailable(said, SHOWN)


async def check_advertised(bootstrap: str, advertised: Iterable[Address]) -> None:
    """Return when these brokers are where the cluster says that they are.

    Everything but the first question goes to those addresses, not to the configured ones.
    """
    brokers = list(advertised)
    if not brokers:
        raise Unavailable(
            f"Kafka has no broker at {bootstrap} yet: wait until it has started", SHOWN
        )
    for broker, trouble in (await unreachable(brokers)).items():
        raise Unavailable(misadvertised(bootstrap, broker, trouble), SHOWN)


async def unreachable(advertised: Iterable[Address]) -> dict[Address, str]:
    """Return which of these cannot be reached, and why."""
    brokers = list(advertised)
    troubles = await asyncio.gather(*map(_trouble, brokers))
    return {
        broker: trouble
        for broker, trouble in zip(brokers, troubles, strict=True)
        if trouble is not None
    }


def misadvertised(bootstrap: str, broker: Address, trouble: str) -> str:
    """Return the sentence about a broker that cannot be reached where it says that it is."""
    return (
        f"Kafka answers at {bootstrap} but advertises {broker}, which {trouble} here: set "
        "KAFKA_BOOTSTRAP_SERVER to the listener that is meant for this machine, or mend "
        "advertised.listeners"
    )


_NOWHERE = "resolves to nothing"


async def _trouble(address: Address) -> str | None:
    """Return why no connection can be made, if so; the same words for the same cause."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(address.host, address.port)
    except TimeoutError:
        return "cannot be reached in time"
    except socket.gaierror:
        return _NOWHERE
    except OSError as error:
        known = error.errno is not None and os.strerror(error.errno)
        return f"cannot be connected to: {known or 'no connection'}"
    writer.close()
    return None
