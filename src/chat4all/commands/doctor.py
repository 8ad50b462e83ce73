"""`chat4all doctor`."""

import asyncio
import dataclasses
import json
import sys
from collections.abc import Sequence

import click

from chat4all.adapters.embedded.folder import is_held
from chat4all.doctor import checks, data, running
from chat4all.doctor.checks import Check, Finding, Installation, Status
from chat4all.domain.errors import StartRefused
from chat4all.logs import quieten_libraries
from chat4all.operations.installation import of_cluster, settings_from
from chat4all.operations.options import cluster_option, json_option, server_options
from chat4all.operations.running import load_cluster_module
from chat4all.settings import Settings

CHECKS: tuple[Check, ...] = (
    checks.data_folder,
    checks.secret_key,
    checks.disk_space,
    data.files,
    data.log_and_store,
    data.backlog,
    data.dead_letters,
    data.clock,
    running.services,
    running.ports,
    running.demonstration_passwords,
    checks.sqlite_library,
)


@click.command()
@server_options
@click.option("--deep", is_flag=True, help="Read all of every file, however long it takes.")
@cluster_option
@click.option(
    "--service",
    "services",
    multiple=True,
    metavar="URL",
    help="A gateway, router or metadata service of a cluster, to be asked what it misses; again "
    "for another one.",
)
@json_option
def doctor(
    deep: bool, cluster: bool, services: Sequence[str], as_json: bool, **options: object
) -> None:
    """Say what is wrong with this installation, and what to do about it.

    Works while Chat4All runs and while it does not, and changes nothing; give it the options that
    `chat4all up` is given. For a cluster give it the environment of its services: one in which
    KAFKA_BOOTSTRAP_SERVER, CASSANDRA_HOSTS, DATABASE_URL or CHAT4ALL_METADATA_URL is set is a
    cluster's, unless --data is given. The exit status is 1 when something is wrong; warnings leave
    it at 0.
    """
    found = examine(deep, cluster=cluster, services=services, **options)
    well = all(finding.status is not Status.PROBLEM for _, finding in found)
    if as_json:
        listed = [{"check": name, **dataclasses.asdict(finding)} for name, finding in found]
        click.echo(json.dumps({"ok": well, "checks": listed}, indent=2))
    else:
        width = max(len(name) for name, _ in found)
        for name, finding in found:
            click.echo(f"{finding.status:8} {name:{width}}  {finding.says}")
            if finding.do is not None:
                click.echo(f"{'':8} {'':{width}}  -> {finding.do}")
        problems = sum(finding.status is Status.PROBLEM for _, finding in found)
        warnings = sum(finding.status is Status.WARNING for _, finding in found)
        click.echo(f"\nProblems: {problems}, warnings: {warnings}.")
    sys.exit(0 if well else 1)


def examine(
    deep: bool, *, cluster: bool = False, services: Sequence[str] = (), **options: object
) -> list[tuple[str, Finding]]:
    """Run every check; return the findings with the names of their checks."""
    try:
        settings = settings_from(**options)
    except StartRefused as refused:
        # Without settings there is no knowing what else to look at.
        return [("settings", Finding(Status.PROBLEM, str(refused)))]
    found = [("settings", Finding(Status.OK, "usable"))]
    if of_cluster(settings, asked=cluster, data=options.get("data")):
        return found + _examine_cluster(settings, services)
    try:
        held = is_held(settings.data)
    except OSError:
        held = False  # the folder cannot be read: its check says so
    it = Installation(settings, held, deep)
    for check in CHECKS:
        name = check.__name__.replace("_", " ")
        found += [(name, finding) for finding in checks.run(check, it)]
    return found


def _examine_cluster(settings: Settings, services: Sequence[str]) -> list[tuple[str, Finding]]:
    checks_of_cluster = load_cluster_module("chat4all.doctor.cluster")
    quieten_libraries()
    found: list[tuple[str, Finding]] = asyncio.run(checks_of_cluster.examine(settings, services))
    return found
