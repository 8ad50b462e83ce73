"""The check of a cluster's two secrets."""

from collections.abc import AsyncIterator

from chat4all.doctor.cluster.installation import Cluster
from chat4all.doctor.findings import Finding, Status
from chat4all.processes.keys import check_credential, tokens_in_cluster


async def secrets(cluster: Cluster) -> AsyncIterator[Finding]:
    """Check that the two secrets, and the keys that are accepted, are set and long enough."""
    if cluster.settings.keys.secret is None:
        yield Finding(
            Status.WARNING,
            "SECRET_KEY is not set here",
            "gateways and metadata services need it, the same for all",
        )
    else:
        tokens_in_cluster(cluster.settings.keys)
        yield Finding(Status.OK, "SECRET_KEY is long enough")
    if cluster.settings.service_credential is None:
        yield Finding(
            Status.WARNING,
            "CHAT4ALL_SERVICE_CREDENTIAL is not set here",
            "gateways and metadata services need it, the same for all",
        )
    else:
        check_credential(cluster.settings.gateway.credential)
        yield Finding(Status.OK, "CHAT4ALL_SERVICE_CREDENTIAL can be used")
