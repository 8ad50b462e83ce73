"""`chat4all groups`."""

import json
from pathlib import Path

import click

from chat4all.domain.errors import CommandRefused, NotFound
from chat4all.domain.ids import ConversationId, Username, conversation_id
from chat4all.operations.options import cluster_option, data_option, json_option
from chat4all.operations.user_output import group_fields, group_text
from chat4all.operations.users import OpenedUsers, with_users


@click.group()
def groups() -> None:
    """Show groups, and give one to another owner.

    All of this works while Chat4All runs, which knows within 5 s, and while it does not.
    """


@groups.command("list")
@json_option
@cluster_option
@data_option
def list_(as_json: bool, data: Path | None, cluster: bool) -> None:
    """List the groups in which no owner can sign in."""

    async def run(opened: OpenedUsers) -> None:
        for conversation, title in await opened.groups.without_acting_owner():
            fields = {"conversation_id": conversation, "title": title}
            click.echo(json.dumps(fields) if as_json else f"{conversation}  {title or ''}".rstrip())

    with_users(run, data, cluster=cluster)


@groups.command()
@click.argument("group")
@json_option
@cluster_option
@data_option
def show(group: str, as_json: bool, data: Path | None, cluster: bool) -> None:
    """Show the GROUP of this conversation id: its title, its members and their roles."""
    key = _parsed(group)

    async def run(opened: OpenedUsers) -> None:
        found = await opened.directory.conversation(key)
        if found is None:
            raise NotFound("no such conversation")
        disabled = await opened.groups.disabled_members(key)
        fields = group_fields(found, disabled)
        click.echo(json.dumps(fields) if as_json else group_text(found, disabled))

    with_users(run, data, cluster=cluster)


@groups.command("hand-over")
@click.argument("group")
@click.argument("username")
@cluster_option
@data_option
def hand_over(group: str, username: str, data: Path | None, cluster: bool) -> None:
    """Make the member USERNAME the only owner of GROUP; its owners become members.

    For a group whose owners are disabled or should not own it. It is noted in the audit.
    """
    key = _parsed(group)
    with_users(
        lambda opened: opened.directory.hand_over(key, Username(username)), data, cluster=cluster
    )
    click.echo(f"{username} owns {key}.")


def _parsed(group: str) -> ConversationId:
    try:
        return conversation_id(group)
    except ValueError:
        raise CommandRefused(f"GROUP is a conversation's id, a UUID: {group!r} is none") from None
