"""Checks of the metadata service and of the services that were named."""

import asyncio
from collections.abc import AsyncIterator

from chat4all.adapters.metadata_http import SECRETS_DIFFER, MetadataService, SameSecret
from chat4all.doctor.cluster.installation import Cluster
from chat4all.doctor.findings import Finding, Status
from chat4all.doctor.http_requests import get, reason_of
from chat4all.domain.errors import NotFound
from chat4all.processes.keys import check_credential, proofs
from chat4all.wire import internal
from chat4all.wire.health import PartStatus, decode_readiness


async def metadata_service(cluster: Cluster) -> AsyncIterator[Finding]:
    """Check that the metadata service accepts our credential and has our SECRET_KEY."""
    if cluster.settings.service_credential is None:
        return
    service = MetadataService(
        cluster.settings.metadata_url, check_credential(cluster.settings.gateway.credential)
    )
    try:
        await service.ask("ping", internal.Ping(), None, writes=False)
        yield Finding(Status.OK, f"{cluster.settings.metadata_url} takes the credential")
        if cluster.settings.secret_key is not None:
            try:
                proof = proofs(cluster.settings.keys)[0]
                same = await SameSecret(service, cluster.settings.metadata_url, proof).ask()
            except NotFound:
                return  # an earlier release, which cannot compare keys
            if same:
                yield Finding(Status.OK, "it has the same SECRET_KEY")
            else:
                says = SECRETS_DIFFER.format(url=cluster.settings.metadata_url)
                yield Finding(Status.PROBLEM, says)
    finally:
        await service.close()


async def services(cluster: Cluster) -> AsyncIterator[Finding]:
    """Check that the services that were named report ready."""
    for url in cluster.services:
        try:
            _, body = await asyncio.to_thread(get, f"{url.rstrip('/')}/health/ready")
            failing = decode_readiness(body).failing()
        except OSError as error:
            says = f"{url} does not answer ({reason_of(error)})"
            yield Finding(Status.PROBLEM, says, "start it, or see its log")
            continue
        except ValueError:
            says = f"{url} does not answer as Chat4All does"
            yield Finding(Status.PROBLEM, says, "name a gateway, a router or a metadata service")
            continue
        for dependency, health in failing.items():
            bad = Status.WARNING if health.status == PartStatus.DEGRADED else Status.PROBLEM
            yield Finding(bad, f"{url}, {dependency}: {health.error}")
        if not failing:
            yield Finding(Status.OK, f"{url} is ready")
