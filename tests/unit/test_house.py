"""The structure of the source: sizes, ports, commands, no import cycles, a light start."""

import ast
import importlib
import inspect
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median

import click
import pytest

import chat4all
from chat4all.cli import COMMANDS

SOURCE = Path(chat4all.__file__).parent
TESTS = Path(__file__).parents[1]

METHODS_MOST = 8
LINES_MOST = 400
LINES_MEDIAN = 97
TEST_LINES_MOST = 500

READ_FIRST = SOURCE / "processes" / "apps.py"
READ_FIRST_LINES_MOST = 150


def name_of(file: Path) -> str:
    parts = file.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(file): file for file in sorted(SOURCE.rglob("*.py"))}


# Ports.


COMPOSED = {
    "chat4all.ports.directory.AnsweringDirectory",
    "chat4all.ports.directory.Directory",
    "chat4all.processes.parts.StorePorts",
}
"""What has more methods than a port may, since it is other ports put together: one adapter is asked
for all of them there. None of these defines anything itself."""


def protocols() -> dict[str, list[type]]:
    """Return every Protocol with what it inherits from, itself first."""
    found = {}
    for module, file in MODULES.items():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef) and any(is_protocol(base) for base in node.bases):
                protocol = getattr(importlib.import_module(module), node.name)
                found[f"{module}.{node.name}"] = [
                    base for base in protocol.__mro__ if base.__module__.startswith("chat4all.")
                ]
    return found


def is_protocol(base: ast.expr) -> bool:
    if isinstance(base, ast.Subscript):  # Protocol[T]
        base = base.value
    return (isinstance(base, ast.Name) and base.id == "Protocol") or (
        isinstance(base, ast.Attribute) and base.attr == "Protocol"
    )


def methods_of(protocol: type) -> set[str]:
    """Return the names of the methods and properties that it defines itself."""
    return {
        name
        for name, value in vars(protocol).items()
        # `Protocol` gives each class these two.
        if (inspect.isroutine(value) or isinstance(value, property))
        and name not in {"__init__", "__subclasshook__"}
    }


def test_a_protocol_has_at_most_eight_methods_with_those_it_inherits() -> None:
    found: dict[str, set[str]] = {
        name: set().union(*map(methods_of, together)) for name, together in protocols().items()
    }
    assert len([name for name in found if name.startswith("chat4all.ports.")]) > 10
    assert "append" in found["chat4all.ports.log.PartitionedLog"]  # what is inherited counts
    assert {name for name, methods in found.items() if len(methods) > METHODS_MOST} == COMPOSED


def test_what_is_composed_defines_nothing_of_its_own() -> None:
    found = protocols()
    assert [name for name in COMPOSED if methods_of(found[name][0])] == []


# Sizes.


def lines(file: Path) -> int:
    return len(file.read_text().splitlines())


def longer_than(most: int, folder: Path) -> set[str]:
    root = TESTS.parent
    return {
        str(file.relative_to(root)) for file in sorted(folder.rglob("*.py")) if lines(file) > most
    }


def test_no_module_is_too_long() -> None:
    longer = longer_than(LINES_MOST, SOURCE) | longer_than(TEST_LINES_MOST, TESTS)
    assert longer == set()


def test_most_modules_are_short() -> None:
    assert median(lines(file) for file in MODULES.values()) <= LINES_MEDIAN


def test_what_to_read_first_is_read_at_one_sitting() -> None:
    assert lines(READ_FIRST) <= READ_FIRST_LINES_MOST


# Commands.


def test_there_is_a_module_for_each_command_and_none_besides() -> None:
    modules = {file.stem for file in (SOURCE / "commands").iterdir() if file.suffix == ".py"}
    assert modules == {"__init__"} | {name.replace("-", "_") for name in COMMANDS}
    folders = [path.name for path in (SOURCE / "commands").iterdir() if path.is_dir()]
    assert set(folders) <= {"__pycache__"}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_module_of_commands_defines_its_command(name: str) -> None:
    attribute = name.replace("-", "_")
    command = getattr(importlib.import_module(f"chat4all.commands.{attribute}"), attribute)
    assert isinstance(command, click.Command)
    assert command.name == name


# Imports.


class Imports(ast.NodeVisitor):
    """The modules of Chat4All that a module imports: in functions too, and for types only."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def visit_Import(self, node: ast.Import) -> None:
        self.found |= {alias.name for alias in node.names if alias.name in MODULES}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert node.level == 0, "relative imports are not followed here"
        base = node.module or ""
        for alias in node.names:
            # `from package import module` is about the module, not the package.
            inner = f"{base}.{alias.name}"
            self.found |= {inner} if inner in MODULES else {base} & MODULES.keys()


def imports_of(file: Path) -> set[str]:
    imports = Imports()
    imports.visit(ast.parse(file.read_text()))
    return imports.found


def test_no_import_goes_in_a_circle() -> None:
    graph = {module: imports_of(file) for module, file in MODULES.items()}
    assert sum(map(len, graph.values())) > len(MODULES)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


@pytest.mark.slow
@pytest.mark.parametrize("module", ["commands.up", "processes.router_process"])
def test_nothing_large_is_loaded_before_the_fork(module: str) -> None:
    """What is loaded when the router's process is forked is in the memory of both."""
    large = {"fastapi", "starlette", "sqlalchemy", "pydantic", "uvicorn", "alembic"}
    # The router's process on one machine needs neither people nor what serves them.
    large |= {"chat4all.processes.parts", "chat4all.domain.people"}
    assert _loaded_by(f"chat4all.{module}") & large == set()


@pytest.mark.slow
def test_services_load_nothing_of_the_clients_and_of_rare_commands() -> None:
    clients = {"rich", "httpx2", "websockets.asyncio", "chat4all.client", "chat4all.terminal"}
    rare = {"alembic", "matplotlib"}
    loaded = _loaded_by(
        "chat4all.commands.up", "chat4all.operations.running", "chat4all.processes.one_machine"
    )
    assert loaded & (clients | rare) == set()


def _loaded_by(*modules: str) -> set[str]:
    """Return the names of all modules that a process has once it has loaded these."""
    code = f"import sys, {', '.join(modules)}\nprint(*sys.modules, sep='\\n')"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ran.stdout.splitlines())


# Background work.

LOOPS = {
    "adapters.clamd._instream": "one answer, ended with the scan that waits for it",
    "usecases.scanning.Scanning._scanned": "one scan, ended with the task that waits for it",
    "usecases.scanning.Scanning._start": "one scan, held until it has ended; `close` ends it",
    "concurrency.periodic._Job.repeat": "the one loop of background work",
    "client.calling.Caller.response": "ends with the deadline of the call",
    "client.live.Events.__anext__": "one event, awaited by its caller",
    "client.live.Events._follow": "the connection, for as long as the loop over events",
    "client.messages.MessageCalls._change": "ends when the message is stored, within 5 s",
    "client.messages.MessageCalls.history": "ends with the last page, or with its reader",
    "client.reloading.reloaded": "ends with the last page",
    "client.socket.Socket.do_later": "its connection's, ended and awaited with it",
    "client.socket.Socket.next": "ends with a frame, or with the silence that is allowed",
    "client.socket.opened": "its connection's, ended and awaited with it",
    "client.timing.Pace.delays": "a generator, read by a loop that ends",
    "client.tokens.Tokens._renewing": "one renewal, awaited; `close` ends it",
    "concurrency.keyed.KeyedWork._start": "one run for a key, held until it has ended",
    "concurrency.periodic._running": "its task, watched by `ping_background`",
    "concurrency.retrying.retry": "ends with the deadline, the tries or the context of its caller",
    "concurrency.waiting.BoundedWaiting.outlasting": "one call, held until it has ended",
    "adapters.cassandra.session.CassandraSession._start": "one call, held until it has ended",
    "adapters.cassandra.generation.CassandraGeneration.current": "one question, shared and awaited",
    "adapters.embedded.link._Frames.each": "ends with the other process, as its own one then does",
    "adapters.embedded.link.GatewayLink.run": "one answer, in a task group",
    "adapters.embedded.log.EmbeddedLog.append": "ends when nothing waits; survives any error",
    "adapters.embedded.reads.Reads._start": "ends when nothing waits",
    "adapters.kafka.consumer.KafkaConsumer.poll": "one call, kept for the next caller",
    "adapters.kafka.consumer.KafkaConsumer._check_new": "one check, kept for the next poll",
    "concurrency.output.BackgroundWriter.__init__": "a thread; ends with the process",
    "adapters.kafka.feed.KafkaFeed._read_on": "begun anew by `for_ever`",
    "adapters.kafka.producer.KafkaProducer.open": "a thread, whose end `ping` reports",
    "adapters.pictures.process._answer": "a picture's input and output, in a task group",
    "gateway.files.downloads._stream": "one request's, cancelled at its end",
    "client.downloading.Downloading._fill": "ends with the download, or its time-out",
    "client.uploading.Uploading._offset": "ends with the upload, or its time-out",
    "client.files.FileCalls.send_file.send": "ends when the file is checked, within ten minutes",
    "gateway.live.streams._EventsEndpoint._stream": "one request's, cancelled at its end",
    "http.bodies.read_body": "ends with the request",
    "http.health._Check.answer": "one answer, awaited",
    "http.server.serving.serve": "the servers, in a task group",
    "processes.cluster.serve_router": "the process ends with it",
    "processes.cluster_router.ClusterRouter.run": "awaited",
    "processes.router_process._route": "awaited",
    "processes.routing.forked_router": "the process ends with it",
    "processes.routing.in_process_router": "awaited",
    "router.loop.Router._poll": "awaited",
    "usecases.uploading.Uploading._append": "one body's, held until it has ended",
    "usecases.uploading.Uploading._finish": "one upload's, held until it has ended",
    "usecases.writing_parts.PartWriter._write": "one part's, awaited by its request",
    "terminal.following.each": "what its caller reads; the command ends with it",
    "terminal.output.Output.put": "the rest of a line, awaited",
    "terminal.signing_in.SharedTokens._renewed": "one renewal, awaited; its caller's end ends it",
}
"""What loops without end or runs beside its caller, outside `concurrency.periodic`: each by what
ends it or shows its end. Anything else uses `periodically` or `for_ever`."""

BESIDE = {"create_task", "ensure_future", "run_in_executor", "Thread"}


def loops_of(module: str, file: Path) -> set[str]:
    """Return the functions that loop for ever, or start something and do not await it at once."""
    found: set[str] = set()

    def look(node: ast.AST, names: tuple[str, ...], *, awaited: bool = False) -> None:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names = (*names, node.name)
        is_loop = (
            isinstance(node, ast.While)
            and isinstance(node.test, ast.Constant)
            and bool(node.test.value)
        )
        is_beside = (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute | ast.Name)
            and (node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id) in BESIDE
        )
        if is_loop or (is_beside and not awaited):
            found.add(".".join((module.removeprefix("chat4all."), *names)))
        for child in ast.iter_child_nodes(node):
            look(child, names, awaited=isinstance(node, ast.Await))

    look(ast.parse(file.read_text()), ())
    return found


def test_background_work_is_run_by_its_helper() -> None:
    """A loop of its own dies of the first error that nobody thought of, and nobody is told."""
    found: set[str] = set().union(*(loops_of(module, file) for module, file in MODULES.items()))
    assert found == set(LOOPS)
