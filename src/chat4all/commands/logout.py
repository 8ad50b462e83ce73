"""`chat4all logout`."""

import click

from chat4all.client import NotSignedIn, Unavailable
from chat4all.terminal.asking import Asker, asking, run
from chat4all.terminal.output import Output
from chat4all.terminal.signing_in import client_of, locked

SECONDS = 5.0
"""For ending the session at the server."""


@click.command()
@asking
def logout(asker: Asker) -> None:
    """End the session on the server, and forget it here.

    Where the server does not answer it is forgotten here all the same.
    """
    account = asker.account()

    async def sign_out() -> None:
        told = ""
        async with client_of(account, SECONDS) as chat:
            try:
                await chat.logout()
            except NotSignedIn:
                pass  # it has ended already
            except Unavailable as error:
                told = str(error)
        async with locked(account):
            account.remove()
        if told:
            raise Unavailable(
                f"you are signed out here; the session may go on at the server: {told}"
            )
        await Output(as_json=asker.as_json).tell(
            f"{account.username} is signed out.",
            {"username": account.username, "url": account.url},
        )

    run(sign_out())
