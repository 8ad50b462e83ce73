"""The routers' group as Kafka has it: members, offsets and lag."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from chat4all.adapters.kafka.connection import client_config, describe
from chat4all.adapters.kafka.reachability import PUBLIC
from chat4all.adapters.kafka.topics import Topics
from chat4all.domain.errors import Unavailable
from chat4all.domain.records import Epoch

ASK_SECONDS = 1.5

_UUID = re.compile(r"-[0-9a-fA-F-]{36}\Z")


@dataclass(frozen=True, slots=True)
class GroupState:
    """A group and its log. Offsets by partition; partitions without a commit are left out."""

    members: Sequence[str]
    """Kafka's ids of the members."""

    committed: Mapping[int, int]
    bounds: Mapping[int, tuple[int, int]]
    """The first record's offset, and the next one's."""

    @property
    def lag(self) -> Mapping[int, int]:
        """How many records of each partition are not stored yet."""
        return {
            partition: max(0, end - max(first, self.committed.get(partition, 0)))
            for partition, (first, end) in self.bounds.items()
        }


class KafkaGroup:
    """Reads a consumer group's state, off the event loop."""

    def __init__(self, bootstrap: str, group: str) -> None:
        self._group = group
        self._topics = Topics(bootstrap)
        # No admin requests to the group's coordinator: see `Topics`.
        self._admin = AdminClient(client_config(bootstrap, quiet=True))

    async def state(self, epoch: Epoch, seconds: float = ASK_SECONDS) -> GroupState:
        """Return the group's state on a log. Raises `Unavailable`."""
        partitions = range(epoch.partitions)
        try:
            members, committed, bounds = await asyncio.gather(
                asyncio.to_thread(self._members, seconds),
                self._topics.committed(epoch.topic, partitions, self._group, seconds),
                self._topics.ends(epoch.topic, partitions, seconds),
            )
        except KafkaException as error:
            raise Unavailable(describe(error), PUBLIC) from None
        offsets = {partition: offset for partition, offset in committed.items() if offset >= 0}
        return GroupState(members, offsets, bounds)

    async def has_named(self, name: str) -> bool:
        """Say whether a living member has this name. Raises `Unavailable`."""
        try:
            groups = await asyncio.to_thread(self._admin.list_groups, self._group, ASK_SECONDS)
        except KafkaException as error:
            raise Unavailable(describe(error), PUBLIC) from None
        if not groups or any(group.error is not None for group in groups):
            raise Unavailable(f"the members of consumer group {self._group} are not known", PUBLIC)
        members = [str(member.id) for group in groups for member in group.members]
        # Kafka makes a member's id from its name, if it has one, and a UUID.
        return any(_UUID.sub("", member) == name for member in members)

    def _members(self, seconds: float) -> list[str]:
        groups = self._admin.list_groups(self._group, seconds)
        return [str(member.id) for group in groups for member in group.members]
