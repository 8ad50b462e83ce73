"""`docker-compose.yml` and the image: checks that start neither."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from chat4all import __version__
from chat4all.cli import COMMANDS
from chat4all.settings import Settings
from tests.compose import DONE, ENGINES, HEALTHY, JOBS, SERVICES, conditions, health_check, order

WHOLE: dict[str, Any] = yaml.safe_load(Path("docker-compose.yml").read_text())
OURS = {"frontend_service": 8000, "metadata_service": 8001, "router_worker": 8002}
DOCKERFILE = Path("Dockerfile").read_text()


def pins(lock: str) -> set[str]:
    return set(re.findall(r"^(\S+==.*?)(?: \\)?$", Path(lock).read_text(), re.MULTILINE))


@pytest.mark.slow
def test_the_file_is_one_by_the_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    told = subprocess.run(
        [*command, "docker-compose.yml"], capture_output=True, text=True, check=False, timeout=30
    )
    assert told.returncode == 0, told.stdout


def test_services_volumes_and_network_have_the_names_that_are_documented() -> None:
    assert set(SERVICES) == {*ENGINES, *OURS, *JOBS}
    assert set(WHOLE["networks"]) == {"chat4all_net"}
    data = {f"{engine}_data" for engine in ENGINES}
    assert set(WHOLE["volumes"]) == {*data, "s3_metadata", "secrets"}
    for service in SERVICES.values():
        assert service["networks"] == ["chat4all_net"]
        assert "container_name" not in service
    for engine, place in {
        "kafka": SERVICES["kafka"]["environment"]["KAFKA_LOG_DIRS"],
        "cassandra": "/var/lib/cassandra",
        "cockroachdb": "/cockroach/cockroach-data",
    }.items():
        assert SERVICES[engine]["volumes"] == [f"{engine}_data:{place}"]
    # What is said of an object is kept beside it: not every file system takes it as attributes.
    volumes = [volume.split(":") for volume in SERVICES["s3"]["volumes"]]
    assert [name for name, _ in volumes] == ["s3_data", "s3_metadata"]
    assert SERVICES["s3"]["command"][-2:] == [f"--sidecar={volumes[1][1]}", volumes[0][1]]


@pytest.mark.parametrize("name", ["migrate", "frontend_service"])
def test_files_are_in_the_store_that_is_started(name: str) -> None:
    ours, theirs = SERVICES[name]["environment"], SERVICES["s3"]["environment"]
    assert ours["CHAT4ALL_S3_ACCESS_KEY"] == theirs["ROOT_ACCESS_KEY_ID"]
    assert ours["CHAT4ALL_S3_SECRET_KEY"] == theirs["ROOT_SECRET_ACCESS_KEY"]
    port = ours["CHAT4ALL_S3_ENDPOINT"].removeprefix("http://s3:")
    assert f"--port=:{port}" in SERVICES["s3"]["command"]
    region = Settings.model_fields["s3_region"].default
    assert f"--region={region}" in SERVICES["s3"]["command"]
    settings = Settings.model_validate({k[9:].lower(): v for k, v in ours.items() if "S3" in k})
    assert settings.files.s3 is not None


def test_ports_are_published_on_loopback_only() -> None:
    published = {name: service.get("ports", []) for name, service in SERVICES.items()}
    found = {}
    for name, ports in published.items():
        for port in ports:
            address, outside, inside = port.split(":")
            assert (address, outside) == ("127.0.0.1", inside)
            found[int(outside)] = name
    assert found == {
        8000: "frontend_service",
        8001: "metadata_service",
        9042: "cassandra",
        29092: "kafka",
        26257: "cockroachdb",
        8080: "cockroachdb",
        7070: "s3",
    }


def test_kafka_is_told_apart_inside_and_outside_and_needs_no_zookeeper() -> None:
    kafka = SERVICES["kafka"]["environment"]
    advertised = dict(a.split("://") for a in kafka["KAFKA_ADVERTISED_LISTENERS"].split(","))
    listening = dict(a.split("://") for a in kafka["KAFKA_LISTENERS"].split(","))
    assert set(advertised.values()) == {"kafka:9092", "localhost:29092"}
    for name, address in advertised.items():
        assert listening.pop(name) == f":{address.rpartition(':')[2]}"
    assert listening == {"CONTROLLER": "localhost:9093"}
    assert kafka["KAFKA_PROCESS_ROLES"] == "broker,controller"
    assert "zookeeper" not in Path("docker-compose.yml").read_text().lower()


def test_what_is_started_waits_for_health_and_ends_not_for_time() -> None:
    assert conditions("migrate") == dict.fromkeys(ENGINES, HEALTHY) | {"secrets": DONE}
    for name in (*OURS, "demo"):
        assert conditions(name) == {"migrate": DONE}
    for name in (*ENGINES, *OURS):
        assert health_check(name)
    # The engines by themselves, and the secrets without them.
    for name in (*ENGINES, "secrets"):
        assert order(name) == [name]
    assert not [name for name in (*ENGINES, *OURS) if "profiles" in SERVICES[name]]
    assert SERVICES["demo"]["profiles"]


def test_the_image_is_built_once_and_by_what_is_started_first() -> None:
    (builder,) = (name for name, service in SERVICES.items() if "build" in service)
    assert SERVICES[builder]["build"] == "."
    assert order(builder) == [builder]
    for name in (*OURS, *JOBS):
        assert builder in order(name)
        assert SERVICES[name]["pull_policy"] == ("build" if name == builder else "never")


def test_every_image_is_of_a_named_release() -> None:
    for name, service in SERVICES.items():
        release = service["image"].partition(":")[2]
        assert release not in ("", "latest"), name
        assert name in ENGINES or release == __version__


def test_the_page_about_one_container_names_this_release() -> None:
    page = Path("docs/operations/production.md").read_text()
    assert set(re.findall(r"\bchat4all:(\d[\w.]*)", page)) == {__version__}


@pytest.mark.parametrize("name", SERVICES)
def test_memory_and_logs_are_bounded(name: str) -> None:
    service = SERVICES[name]
    assert service["mem_limit"]
    assert service["logging"]["driver"] == "json-file"
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}


@pytest.mark.parametrize("engine", ENGINES)
def test_asking_an_engine_for_its_health_starts_no_client_of_its_own(engine: str) -> None:
    """A JVM or a cqlsh costs a second of CPU each time it is started."""
    if engine == "s3":
        assert health_check(engine)[0] == "wget"  # BusyBox's
        return
    program, option, script = health_check(engine)
    assert (program, option) == ("bash", "-c")
    programs = set(re.findall(r"(?:^|&& |\| |\$\$\()\s*(\w+)", script))
    assert programs <= {"exec", "printf", "test", "read", "head", "tail", "tr", "wc"}


@pytest.mark.parametrize("name", [*OURS, *JOBS])
def test_ours_may_do_little(name: str) -> None:
    service = SERVICES[name]
    assert service["user"] == "10001:10001"
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["command"][0] in COMMANDS
    # Only who makes the secrets writes them; nobody has them in the environment.
    for volume in service.get("volumes", []):
        assert name == "secrets" or volume.endswith(":ro")
    assert not {"SECRET_KEY", "CHAT4ALL_SERVICE_CREDENTIAL"} & set(service.get("environment", {}))


def test_every_variable_is_a_setting_of_ours() -> None:
    known: set[str] = set()
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        known.update(map(str, getattr(alias, "choices", [alias or f"CHAT4ALL_{name.upper()}"])))
    for name in (*OURS, *JOBS):
        assert set(SERVICES[name].get("environment", {})) <= known


def test_only_the_demonstration_is_told_that_this_is_for_development() -> None:
    told = [n for n, s in SERVICES.items() if "CHAT4ALL_DEPLOYMENT" in s.get("environment", {})]
    assert told == ["demo"]


@pytest.mark.parametrize(("name", "port"), OURS.items())
def test_health_is_asked_at_the_service_s_own_port(name: str, port: int) -> None:
    assert health_check(name) == ["chat4all", "ready", "--port", str(port)]


def test_the_engines_are_of_the_releases_that_the_tests_run_on() -> None:
    for name, artifact in {"kafka": "kafka_2.13", "cassandra": "cassandra-all"}.items():
        pom = Path(f"engines/poms/{name}.xml").read_text()
        (release,) = re.findall(
            rf"<artifactId>{artifact}</artifactId>\s*<version>(.*?)</version>", pom
        )
        assert SERVICES[name]["image"].rpartition(":")[2] == release
    module = Path("engines/go/versitygw/go.mod").read_text()
    (release,) = re.findall(r"github\.com/versity/versitygw (\S+)", module)
    assert SERVICES["s3"]["image"] == f"ghcr.io/versity/versitygw:{release}"


@pytest.mark.parametrize(
    "page", ["docs/operations/cluster.md", "docs/differences.md", "docker-compose.yml"]
)
def test_the_services_that_are_named_are_there(page: str) -> None:
    options = r"(?:-[-a-z]+ (?:\d+ )?)*"
    found = re.findall(rf"docker compose (?:exec|run|logs) {options}(\w+)", Path(page).read_text())
    found += re.findall(r"--scale (\w+)=", Path(page).read_text())
    assert found
    assert set(found) <= set(SERVICES)


def test_the_image_has_what_the_compose_file_counts_on() -> None:
    stages = re.split(r"^FROM .*$", DOCKERFILE, flags=re.MULTILINE)[1:]
    assert len(stages) == 2
    last = stages[1]
    assert "USER 10001:10001" in last
    assert "CHAT4ALL_HOST=0.0.0.0" in last
    assert "CHAT4ALL_DATA=/var/lib/chat4all/data" in last
    assert 'ENTRYPOINT ["chat4all"]' in last
    assert 'CMD ["chat4all", "ready"]' in last
    assert "install -d -m 0700 -o 10001 -g 10001 /var/lib/chat4all" in last
    assert "curl" not in DOCKERFILE
    assert "pip install" not in last
    # Nothing is fetched that a lock file does not name with its hash.
    commands = re.findall(r"(pip (?:install|wheel).*?)(?:&&|\n\n|\nCOPY)", DOCKERFILE, re.DOTALL)
    assert len(commands) == 4
    for command in commands:
        assert "--require-hashes" in command or "--no-deps" in command
        # What builds from source would fetch what it builds with, whatever the lock file says.
        assert "--no-binary" not in command or "--no-build-isolation" in command


def test_the_image_has_the_releases_that_the_tests_run_with() -> None:
    tested = pins("requirements/dev.txt")
    for lock in ("requirements/cluster.txt", "requirements/build.txt"):
        assert pins(lock) <= tested
    wanted = {p.partition("==")[0] for p in pins("requirements/cluster.txt")}
    assert {"acsylla", "asyncpg", "confluent-kafka", "aiohttp"} <= wanted


def test_what_the_image_is_built_from_is_let_through() -> None:
    let_through = Path(".dockerignore").read_text().splitlines()
    for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE):
        for name in line.split():
            assert Path(name).exists()
            assert f"!{name.split('/')[0]}" in let_through
