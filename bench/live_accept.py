"""Accepts a second while sockets follow: those of the recipients, or of others, to those of nobody.

Closed loop with 32 connections into ten conversations of two.
"""

from collections.abc import Mapping, Sequence

from .figures import Figure
from .live_running import Clients
from .quiet import Say
from .running import generate
from .workload import CONTENT, post_message

CONNECTIONS = 32

Pair = tuple[str, Sequence[str]]
"""A conversation, and its members' tokens."""

Rates = Mapping[str, Mapping[str, float]]


def accepts(
    port: int, pairs: Sequence[Pair], others: Sequence[str], seconds: float, say: Say
) -> Rates:
    """Return what the product accepts with nobody, the recipients, and others connected.

    `others` are tokens of people in other conversations, in which nothing is said.
    """
    requests = [
        post_message(token, {"chat_id": chat, "content": CONTENT})
        for chat, tokens in pairs
        for token in tokens
    ]

    def load() -> Mapping[str, float]:
        return generate("the product", port, requests, connections=CONNECTIONS, seconds=seconds)

    alone = load()
    with Clients("the product", port=port, sockets=others):
        beside = load()
    with Clients("the product", port=port, sockets=[one for _, both in pairs for one in both]):
        told = load()
    say(
        f"accepts: {alone['rate']:,.0f}/s alone, {beside['rate']:,.0f}/s beside {len(others):,} "
        f"sockets, {told['rate']:,.0f}/s with all recipients connected"
    )
    return {"alone": alone, "beside": beside, "told": told}


def accept_figures(rates: Rates) -> Sequence[Figure]:
    """Compare with the bars."""

    def figure(key: str, title: str, bar: float, which: str) -> Figure:
        ours, theirs = rates[which]["rate"], rates["alone"]["rate"]
        return Figure(key, title, ours / theirs, bar, True, ours=ours, theirs=theirs, of="/s")

    return [
        figure("accepts_beside", "Accepts while 1,000 sockets follow other chats", 0.95, "beside"),
        figure("accepts_told", "Accepts with all recipients connected", 0.7, "told"),
    ]
