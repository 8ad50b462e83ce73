"""The check for passwords that everybody knows."""

from collections.abc import AsyncIterator
from pathlib import Path

from chat4all.adapters.crypto import BcryptPasswords
from chat4all.adapters.sql import Database, SqlUsers
from chat4all.doctor.findings import Finding, Status
from chat4all.doctor.one_machine.installation import OneMachine
from chat4all.domain.errors import Unavailable
from chat4all.settings import is_loopback
from chat4all.usecases.demonstrating import demo_passwords_are_active


async def demonstration_passwords(machine: OneMachine) -> AsyncIterator[Finding]:
    """Check that nobody outside can sign in with a password from the README."""
    path = machine.folder / "metadata.db"
    if is_loopback(machine.settings.host) or not path.is_file():
        return
    try:
        stand = await _demonstration_passwords_stand(machine.folder)
    except Unavailable as error:
        yield Finding(Status.PROBLEM, f"cannot be checked: {error}")
        return
    if stand:
        yield Finding(
            Status.PROBLEM,
            f"{machine.folder} has the demonstration users, whose passwords everybody knows, and "
            f"{machine.settings.host} can be reached from outside",
            "name another folder with --data, or listen on loopback only",
        )
    else:
        yield Finding(Status.OK, "nobody has one")


async def _demonstration_passwords_stand(folder: Path) -> bool:
    database, passwords = Database(folder / "metadata.db"), BcryptPasswords()
    try:
        return await demo_passwords_are_active(SqlUsers(database), passwords)
    finally:
        passwords.close()
        await database.close()
