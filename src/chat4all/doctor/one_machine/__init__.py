"""The checks of one machine, in order."""

from chat4all.doctor import scanning
from chat4all.doctor.one_machine import (
    clock,
    files,
    folder,
    pair,
    passwords,
    secret,
    services,
    uploaded,
)
from chat4all.doctor.one_machine.installation import OneMachine
from chat4all.doctor.pictures import pictures
from chat4all.doctor.runner import Check

__all__ = ["CHECKS", "OneMachine"]

CHECKS: tuple[Check[OneMachine], ...] = (
    folder.data_folder,
    folder.installation,
    secret.secret_key,
    folder.disk_space,
    files.files,
    pair.log_and_store,
    pair.backlog,
    pair.dead_letters,
    uploaded.room_for_files,
    uploaded.uploaded_files,
    pictures,
    clock.clock,
    scanning.scanner,
    services.services,
    services.ports,
    passwords.demonstration_passwords,
    files.sqlite_library,
)
