"""Combinations of narrow ports that a suite needs of one adapter."""

from typing import Protocol

from chat4all.ports.dead_letters import DeadLetters, DeadLetterSink
from chat4all.ports.directory import Conversations, Members
from chat4all.ports.history import History
from chat4all.ports.outbox import Outbox, OutboxTrimming
from chat4all.ports.store import SequencedStore
from chat4all.ports.summaries import ConversationSummaries
from chat4all.ports.users import Aliases, Credentials, Registrations, UserAdministration, Users


class Store(SequencedStore, History, ConversationSummaries, Protocol):
    async def ping(self) -> None: ...


class Letters(DeadLetterSink, DeadLetters, Protocol): ...


class People(Registrations, Credentials, Users, UserAdministration, Aliases, Protocol): ...


class Directory(Members, Conversations, Protocol):
    async def ping(self) -> None: ...


class KeptOutbox(Outbox, OutboxTrimming, Protocol): ...
