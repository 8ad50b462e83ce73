"""Checks of the metadata service and of the services that were named."""

import asyncio
from collections.abc import AsyncIterator

from chat4all.adapters.metadata_http import SECRETS_DIFFER, MetadataService, SameSecret
from chat4all.doctor.cluster.installation import Cluster
from chat4all.doctor.findings import Finding, Status
from chat4all.doctor.http_requests import get, reason_of
from chat4all.domain.errors import NotFound
from chat4all.processes.directories import check_credential, proofs
from chat4all.wire import internal


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
            _, ready = await asyncio.to_thread(get, f"{url.rstrip('/')}/health/ready")
            errors = [
                (part, dependency["status"], dependency["error"])
                for part, dependency in ready["dependencies"].items()
                if dependency["error"] is not None
            ]
        except OSError as error:
            says = f"{url} does not answer ({reason_of(error)})"
            yield Finding(Status.PROBLEM, says, "start it, or see its log")
            continue
        except (ValueError, KeyError, TypeError, AttributeError):
            says = f"{url} does not answer as Chat4All does"
            yield Finding(Status.PROBLEM, says, "name a gateway, a router or a metadata service")
            continue
        for part, status, sentence in errors:
            bad = Status.WARNING if status == "degraded" else Status.PROBLEM
            yield Finding(bad, f"{url}, {part}: {sentence}")
        if not errors:
            yield Finding(Status.OK, f"{url} is ready")
