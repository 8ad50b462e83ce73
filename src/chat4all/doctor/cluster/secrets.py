"""The check of a cluster's two secrets."""

from collections.abc import AsyncIterator

from chat4all.adapters.crypto import check_secret
from chat4all.doctor.cluster.installation import Cluster
from chat4all.doctor.findings import Finding, Status
from chat4all.processes.keys import check_credential


async def secrets(cluster: Cluster) -> AsyncIterator[Finding]:
    """Check that the two secrets are set and long enough."""
    if cluster.settings.secret_key is None:
        yield Finding(
            Status.WARNING,
            "SECRET_KEY is not set here",
            "gateways and metadata services need it, the same for all",
        )
    else:
        check_secret(cluster.settings.secret_key.get_secret_value().encode())
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
