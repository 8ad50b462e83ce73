"""What holds for everybody who asks, made of its settings."""

import logging
from dataclasses import dataclass

from chat4all.domain.people import UserSearch
from chat4all.http.edge import Edge
from chat4all.http.limits import Limits, make_limits, no_limits
from chat4all.settings import PeopleSettings
from chat4all.usecases.signing_in import Lifetimes

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Policy:
    """How long sessions last, who may sign up and find whom, how often and from where to ask."""

    lifetimes: Lifetimes
    sign_up_open: bool
    user_search: UserSearch
    limits: Limits
    edge: Edge
    has_page: bool = False
    """Whether gateways serve the chat page."""


def policy_of(settings: PeopleSettings) -> Policy:
    """Return the policy that is set; warn when there are no limits."""
    return Policy(
        Lifetimes(settings.access_token_seconds, settings.session_seconds),
        settings.sign_up_open,
        settings.user_search,
        _limits(settings),
        Edge(settings.cors_origins, settings.trusted_proxies),
        settings.page,
    )


def _limits(settings: PeopleSettings) -> Limits:
    if settings.rate_limits:
        return make_limits(
            send_per_second=settings.send_per_second,
            sign_ups_per_hour=settings.sign_ups_per_hour,
            reads_per_second=settings.reads_per_second,
            conversations_per_hour=settings.conversations_per_hour,
        )
    _log.warning("rate limits are off: anybody may send and guess passwords without end")
    return no_limits()
