"""Whether Kafka can be reached, and if not, why: one sentence that says what to do."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaException

from chat4all.adapters.network_errors import NOWHERE, reason_of
from chat4all.domain.errors import Unavailable

METADATA_SECONDS = 1.2
"""How long a broker may take to return metadata, before we look for the cause."""

CONNECT_SECONDS = 0.6
"""Together with the above less than the 2 s that a health check has."""

PUBLIC = "the message log (Kafka) is unavailable"
"""The text that clients get."""


class Address(NamedTuple):
    """A broker's address, configured or advertised."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def addresses_of(bootstrap: str) -> list[Address]:
    """Return the addresses in `KAFKA_BOOTSTRAP_SERVER`: `host:port,…`; the default port is 9092."""
    addresses = []
    for one in bootstrap.split(","):
        named = one.strip().rpartition("://")[2]
        host, colon, port = named.rpartition(":")
        if colon and port.isdecimal():
            addresses.append(Address(host.strip("[]"), int(port)))
        elif named:
            addresses.append(Address(named.strip("[]"), 9092))
    return addresses


async def metadata_of(client: Any, bootstrap: str, topic: str | None = None) -> Any:
    """Return a cluster's metadata, or a topic's. Raises `Unavailable` with a sentence.

    `client`: a Producer, Consumer or AdminClient.
    """
    try:
        return await asyncio.to_thread(client.list_topics, topic, METADATA_SECONDS)
    except KafkaException:
        raise await not_answering(bootstrap) from None


async def reach(client: Any, bootstrap: str, topic: str | None = None) -> Any:
    """Return a cluster's metadata once the brokers that matter can be reached as advertised.

    With a topic those that lead its partitions matter, otherwise all. Raises `Unavailable` with a
    sentence.
    """
    metadata = await metadata_of(client, bootstrap, topic)
    leaders = {
        partition.leader
        for about in (metadata.topics.values() if topic else ())
        for partition in about.partitions.values()
    }
    await check_advertised(bootstrap, addresses_in(metadata, leaders))
    return metadata


def addresses_in(metadata: Any, ids: Collection[int] = ()) -> list[Address]:
    """Return the advertised addresses of these brokers, or of all."""
    return [
        Address(broker.host, broker.port)
        for broker in metadata.brokers.values()
        if broker.id in ids or not ids
    ]


async def not_answering(bootstrap: str) -> Unavailable:
    """Return why no broker at the configured addresses answered."""
    addresses = addresses_of(bootstrap)
    named = ", ".join(map(str, addresses))
    reasons = {
        trouble or "it takes connections and says nothing"
        for trouble in await asyncio.gather(*map(_trouble, addresses))
    }
    if reasons == {NOWHERE}:
        sentence = (
            f"KAFKA_BOOTSTRAP_SERVER names {named}, which resolves to nothing here: set it to the "
            "address that Kafka advertises to this machine"
        )
    else:
        sentence = (
            f"Kafka at {named} does not answer ({'; '.join(sorted(reasons))}): start Kafka, or set "
            "KAFKA_BOOTSTRAP_SERVER to where it is"
        )
    return Unavailable(sentence, PUBLIC)


async def check_advertised(bootstrap: str, brokers: Sequence[Address]) -> None:
    """Return when these brokers can be reached at their advertised addresses.

    Clients use those for everything but the first request, not the configured ones.
    """
    if not brokers:
        raise Unavailable(
            f"Kafka has no broker at {bootstrap} yet: wait until it has started", PUBLIC
        )
    troubles = await asyncio.gather(*map(_trouble, brokers))
    for broker, trouble in zip(brokers, troubles, strict=True):
        if trouble is not None:
            raise Unavailable(
                f"Kafka answers at {bootstrap} but advertises {broker}, which cannot be reached "
                f"from here ({trouble}): set KAFKA_BOOTSTRAP_SERVER to the listener that is meant "
                "for this machine, or mend advertised.listeners",
                PUBLIC,
            )


async def _trouble(address: Address) -> str | None:
    """Return why no connection can be made; None if one can."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(address.host, address.port)
    except OSError as error:
        return reason_of(error)
    except UnicodeError:
        return NOWHERE  # no name of a host: "kafka..", or one with a part that is too long
    writer.close()
    return None
