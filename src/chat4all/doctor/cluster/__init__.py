"""The checks of a cluster, in order. Loads the drivers of `chat4all[cluster]`."""

from chat4all.doctor import scanning
from chat4all.doctor.cluster import (
    cassandra,
    database,
    files,
    kafka,
    routers,
    secrets,
    services,
)
from chat4all.doctor.cluster.installation import Cluster, opened_cluster
from chat4all.doctor.pictures import pictures
from chat4all.doctor.runner import Check

__all__ = ["CHECKS", "Cluster", "opened_cluster"]

CHECKS: tuple[Check[Cluster], ...] = (
    secrets.secrets,
    kafka.kafka,
    cassandra.cassandra,
    kafka.topics,
    routers.routers,
    cassandra.dead_letters,
    database.database,
    files.store_of_files,
    pictures,
    services.metadata_service,
    services.services,
    cassandra.clocks,
    scanning.scanner,
)
