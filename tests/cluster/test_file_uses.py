"""Which messages name a file, on Kafka, Cassandra and PostgreSQL: compared once routers ran."""

import asyncio
import uuid
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from engines import CassandraNode, KafkaBroker, S3Server
from tests.cluster.files import FilesSite
from tests.cluster.services import a_cluster, all_ready
from tests.databases import Databases
from tests.faults.running import call, until
from tests.faults.tus import TusUpload, random_file

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(300)]


class Uses:
    """The table of uses: for each message when it is compared, None where it was."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def ask(self, statement: str, *values: object) -> list[Any]:
        async def ask() -> list[Any]:
            connection = await asyncpg.connect(self._dsn)
            try:
                return [*await connection.fetch(statement, *values)]
            finally:
                await connection.close()

        return asyncio.run(ask())

    def all(self) -> dict[str, int | None]:
        found = self.ask("SELECT message_id, check_at FROM file_uses")
        return {row["message_id"]: row["check_at"] for row in found}

    def are_due(self) -> bool:
        return 0 in self.all().values()


def test_nothing_is_decided_before_the_routers_have_passed(
    tmp_path: Path, kafka: KafkaBroker, cassandra: CassandraNode, databases_of_all: Databases
) -> None:
    with (
        S3Server(tmp_path / "s3") as s3,
        a_cluster(tmp_path, kafka, cassandra, databases_of_all) as cluster,
    ):
        cluster.migrate()
        site = FilesSite(cluster, s3)
        gateway = site.gateways[0]
        upload = TusUpload(random_file(tmp_path, 100), site.token).begin(gateway.url)
        assert upload.patch(gateway.url, 0) == 204
        file_id = upload.path.rpartition("/")[2]
        body = {"chat_id": site.chat, "kind": "file", "payload": {"file_id": file_id}}
        status, answer = call("POST", f"{gateway.url}/v1/messages", body, site.token)
        assert status == 202, answer
        sent, lost = answer["message_id"], str(uuid.uuid4())
        for one in site.gateways:
            one.kill()
        uses = Uses(cluster.settings["DATABASE_URL"])
        uses.ask(
            "INSERT INTO file_uses (conversation_id, message_id, sender_id, file_id) "
            "VALUES ($1, $2, 'bruno', $3)",
            site.chat,
            lost,
            file_id,
        )
        uses.ask("UPDATE file_uses SET check_at = 0")
        site.restart(gateway)
        until(lambda: not uses.are_due())
        assert set(uses.all()) == {sent, lost}
        assert None not in uses.all().values()
        gateway.kill()
        router = cluster.service("router").start()
        all_ready([router])
        uses.ask("UPDATE file_uses SET check_at = 0")
        gateway.start()  # it compares at once
        until(lambda: uses.all() == {sent: None}, seconds=150)
