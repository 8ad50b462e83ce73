"""`chat4all logout`."""

import click

from chat4all.client import NotSignedIn, Unavailable
from chat4all.terminal.accounts import Account
from chat4all.terminal.asking import Asker, asking, run
from chat4all.terminal.output import Output
from chat4all.terminal.signing_in import SharedTokens, client_of, locked

SECONDS = 5.0
"""For ending the session at the server."""

SESSIONS_MAX = 3
"""Sessions that are ended: the account's, and those that other processes begin meanwhile."""


@click.command()
@asking
def logout(asker: Asker) -> None:
    """End the session on the server, and forget it here.

    Where the server does not answer it is forgotten here all the same.
    """
    account = asker.account()

    async def sign_out() -> None:
        told = ""
        for left in reversed(range(SESSIONS_MAX)):
            tokens = SharedTokens(account)
            told = await _end(account, tokens) or told
            async with locked(account):
                # What is forgotten without being ended would go on for weeks.
                if not left or not await tokens.were_replaced():
                    account.remove()
                    break
        if told:
            raise Unavailable(
                f"you are signed out here; the session may go on at the server: {told}"
            )
        await Output(as_json=asker.as_json).tell(
            f"{account.username} is signed out.",
            {"username": account.username, "url": account.url},
        )

    run(sign_out())


async def _end(account: Account, tokens: SharedTokens) -> str:
    """End a session at the server; return why nobody knows whether it has ended."""
    async with client_of(account, SECONDS, tokens) as chat:
        try:
            await chat.logout()
        except NotSignedIn:
            pass  # it has ended already
        except Unavailable as error:
            return str(error)
    return ""
