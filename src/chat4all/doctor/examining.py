"""Examining an installation: its settings first, then the checks of its kind."""

import asyncio
from collections.abc import Iterator, Sequence

from chat4all.adapters.embedded.folder import is_held
from chat4all.doctor import one_machine
from chat4all.doctor.findings import Finding, Status
from chat4all.doctor.runner import NamedFinding, run_all
from chat4all.domain.errors import StartRefused
from chat4all.logs import quieten_libraries
from chat4all.operations.installation import is_of_cluster, settings_from
from chat4all.operations.running import cluster_extra
from chat4all.settings import Settings, unknown_names


def examine(
    deep: bool, *, cluster: bool = False, services: Sequence[str] = (), **options: object
) -> list[NamedFinding]:
    """Run every check of the installation that the options, or the environment, describe.

    `deep`: read files completely. `cluster`: it is a cluster, whatever is set. `services`: URLs
    of a cluster's services. Raises `StartRefused` for a cluster whose drivers are not installed.
    """
    try:
        settings = settings_from(**options)
    except StartRefused as refused:
        # Without settings nothing else can be found.
        return [("settings", Finding(Status.PROBLEM, str(refused)))]
    findings = [("settings", Finding(Status.OK, "usable"))]
    findings += [("settings", finding) for finding in _unknown_names()]
    if is_of_cluster(settings, requested=cluster, data=options.get("data")):
        quieten_libraries()
        return findings + asyncio.run(_examine_cluster(settings, services))
    return findings + asyncio.run(_examine_one_machine(settings, deep))


def _unknown_names() -> Iterator[Finding]:
    unknown = unknown_names()
    for name in unknown.get("names", ()):
        yield Finding(Status.WARNING, f"{name} is no setting", "it does nothing: remove it")
    for pair in unknown.get("perhaps_misspelt", ()):
        name, _, meant = pair.partition(" for ")
        yield Finding(
            Status.WARNING,
            f"{name} is set, and {meant}, which is not, is a setting",
            "rename it if it is meant for Chat4All",
        )


async def _examine_one_machine(settings: Settings, deep: bool) -> list[NamedFinding]:
    try:
        held = is_held(settings.data)
    except OSError:
        held = False  # the folder cannot be read: its check reports that
    machine = one_machine.OneMachine(settings, held, deep)
    return await run_all(one_machine.CHECKS, machine)


async def _examine_cluster(settings: Settings, services: Sequence[str]) -> list[NamedFinding]:
    with cluster_extra():
        from chat4all.doctor.cluster import CHECKS, opened_cluster  # noqa: PLC0415
    async with opened_cluster(settings, services) as cluster:
        return await run_all(CHECKS, cluster)
