"""Combinations of narrow ports that a suite needs of one adapter."""

from typing import Protocol

from chat4all.ports.dead_letters import DeadLetters, DeadLetterSink
from chat4all.ports.health import CanPing
from chat4all.ports.history import (
    ChangedMessages,
    ConversationHeads,
    History,
    MarkedHeads,
    MessageVersions,
)
from chat4all.ports.log import MessageLog
from chat4all.ports.outbox import Outbox, OutboxTrimming
from chat4all.ports.store import RoutedStore
from chat4all.ports.summaries import ConversationSummaries


class Log(MessageLog, CanPing, Protocol): ...


class VisibleHistory(History, ConversationHeads, ChangedMessages, MessageVersions, Protocol): ...


class Store(RoutedStore, VisibleHistory, MarkedHeads, ConversationSummaries, CanPing, Protocol): ...


class Letters(DeadLetterSink, DeadLetters, Protocol): ...


class KeptOutbox(Outbox, OutboxTrimming, Protocol): ...
