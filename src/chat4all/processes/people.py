"""What gateways and metadata services have in common: signing in, markers, people's routes."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter

from chat4all.adapters.announcing import announcing_members
from chat4all.http.bound import Bound
from chat4all.metadata import MetadataUseCases, metadata_routes, metadata_uses
from chat4all.ports.log import MessageLog
from chat4all.processes.parts import GatewayPorts, MetadataPorts, StorePorts
from chat4all.usecases.listing import Listing
from chat4all.usecases.marking import Marking
from chat4all.usecases.membership import Membership
from chat4all.usecases.profiles import Profiles
from chat4all.usecases.public_names import PublicNames
from chat4all.usecases.signing_in import SigningIn
from chat4all.usecases.signing_up import SigningUp


@dataclass(frozen=True, slots=True)
class People:
    """The use cases that a gateway needs besides; the routes of all of them, and what those use."""

    signing_in: SigningIn
    marking: Marking
    names: PublicNames
    routes: Sequence[APIRouter]
    uses: Bound


def make_people(ports: GatewayPorts | MetadataPorts, log: MessageLog, store: StorePorts) -> People:
    """Return the use cases about people and conversations, with the routes that offer them."""
    users, directory, sessions = ports.people.users, ports.people.directory, ports.people.sessions
    passwords, tokens, policy = ports.security.passwords, ports.security.tokens, ports.policy
    signing_in = SigningIn(users, sessions, passwords, tokens, policy.lifetimes)
    creations = ports.people.creations
    marking, names = Marking(log, store, directory), PublicNames(users)
    use_cases = MetadataUseCases(
        signing_in,
        SigningUp(users, passwords, creations, is_open=policy.sign_up_open),
        Profiles(users, users, sessions, passwords, policy.user_search),
        Membership(
            users,
            directory,
            announcing_members(directory, ports.announcements),
            marking,
            creations,
        ),
        Listing(store, ports.people.memberships, names),
    )
    uses = metadata_uses(use_cases, policy.limits)
    return People(signing_in, marking, names, metadata_routes(), uses)
