"""`chat4all doctor`."""

import dataclasses
import json
import sys
from collections.abc import Sequence

import click

from chat4all.doctor.examining import examine
from chat4all.doctor.findings import Status
from chat4all.operations.options import cluster_option, json_option, server_options


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
    cluster's, unless --data is given. In a cluster's store of files it writes a small object, and
    deletes it again. The exit status is 1 when something is wrong; warnings leave
    it at 0.
    """
    findings = examine(deep, cluster=cluster, services=services, **options)
    ok = all(finding.status is not Status.PROBLEM for _, finding in findings)
    if as_json:
        listed = [{"check": name, **dataclasses.asdict(finding)} for name, finding in findings]
        click.echo(json.dumps({"ok": ok, "checks": listed}, indent=2))
    else:
        width = max(len(name) for name, _ in findings)
        for name, finding in findings:
            click.echo(f"{finding.status:8} {name:{width}}  {finding.says}")
            if finding.do is not None:
                click.echo(f"{'':8} {'':{width}}  -> {finding.do}")
        problems = sum(finding.status is Status.PROBLEM for _, finding in findings)
        warnings = sum(finding.status is Status.WARNING for _, finding in findings)
        click.echo(f"\nProblems: {problems}, warnings: {warnings}.")
    sys.exit(0 if ok else 1)
