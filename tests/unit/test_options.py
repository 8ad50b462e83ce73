"""The options of every command: the same names for the same things, and defaults that are shown."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from chat4all.cli import COMMANDS, main
from chat4all.settings import Settings
from chat4all.settings.loading import names_of


def every_command() -> Iterator[tuple[str, click.Command]]:
    """Return all commands, those of groups included."""
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            for inner, subcommand in command.commands.items():
                yield f"{name} {inner}", subcommand


OPTIONS = [
    pytest.param(name, option, id=f"{name} {option.opts[0]}")
    for name, command in every_command()
    for option in command.params
    if isinstance(option, click.Option)
]


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_an_option_says_what_it_is_and_what_it_is_by_default(
    command: str, option: click.Option
) -> None:
    context = click.Context(click.Command(command))
    record = option.get_help_record(context)
    assert record is not None
    text = " ".join(record[1].split())
    assert text
    if option.name in Settings.model_fields:
        default = Settings.model_fields[option.name].default
        if option.is_flag:
            assert f"[env var: {names_of(option.name)[0]}=" in text
        else:
            assert f"[env var: {names_of(option.name)[0]}; default: {default}]" in text
    elif not (option.is_flag or option.required or option.multiple):
        default = option.get_default(context)
        if isinstance(default, int | str | Path) and default:
            assert "default: " in text


@pytest.mark.parametrize("command", ["up", "gateway", "metadata", "router", "doctor", "ready"])
def test_port_is_an_option_of_everything_that_has_a_port(command: str) -> None:
    (found,) = (c for name, c in every_command() if name == command)
    options = [flag for option in found.params for flag in option.opts]
    assert "--port" in options


def test_the_port_of_a_service_has_its_old_name_too() -> None:
    for command in ("metadata", "router"):
        (found,) = (c for name, c in every_command() if name == command)
        (port,) = (option for option in found.params if "--port" in option.opts)
        assert port.opts == ["--port", f"--{command}-port"]
        assert port.name == f"{command}_port"
