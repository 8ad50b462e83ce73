"""All ports of users, conversations, sessions and files, as a value."""

from dataclasses import dataclass

from chat4all.ports.creations import Creations
from chat4all.ports.directory import AnsweringDirectory, Memberships
from chat4all.ports.file_uses import FileUses
from chat4all.ports.files import Files, Uploads
from chat4all.ports.scanning import Scans
from chat4all.ports.sessions import Sessions
from chat4all.ports.sharing import Sharing
from chat4all.ports.users import AllUsers


@dataclass(frozen=True, slots=True)
class PeoplePorts:
    """The ports of users, conversations, sessions and files, all on the same adapters."""

    users: AllUsers
    directory: AnsweringDirectory
    memberships: Memberships
    sessions: Sessions
    creations: Creations
    uploads: Uploads
    files: Files
    file_uses: FileUses
    sharing: Sharing
    scans: Scans
