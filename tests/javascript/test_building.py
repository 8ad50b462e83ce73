"""What npm makes of the package, and what the TypeScript compiler says of it."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.javascript.node import CLIENT, MODULE, NODE, npm, typescript

pytestmark = pytest.mark.slow

STRICT = ["--strict", "--noEmit", "--target", "esnext", "--module", "nodenext"]
STRICT += ["--allowJs", "--checkJs", "--lib", "esnext,dom,dom.iterable"]

# A module beside which there is no declaration is typed by what is written in it.
AS_IT_IS = """
import type * as declared from "./chat4all.js";
import * as module from "./module.js";

export const declaredAsItIs: typeof declared = module;
export const names: keyof typeof declared = null! as keyof typeof module;
export const members: keyof declared.Client = null! as keyof module.Client;
"""

USE = """
import { Client, type ClientEvent, type Conversation } from "chat4all-client";

const chat = new Client("https://chat.example.com", { username: "ana", password: "sesame" });
const text = (event: ClientEvent): string => {
  switch (event.type) {
    case "MessageCreated": return event.message.content;
    case "Typing": return event.username;
    default: return "";
  }
};
chat.addEventListener("Typing", ({ detail }) => text(detail));
const { unread, unread_mentions, role, ...whole } = await chat.conversation("550e8400");
const all: Conversation = { ...whole };
export const line = `${all.title ?? whole.peer} ${whole.last_message?.content} ${role} ${unread}`;
export const ends = [whole.position, ...unread_mentions, whole.member_count];
export const saved: Blob = await chat.download("550e8400", { from: new Blob() });
const { writable: to } = new TransformStream<Uint8Array, Uint8Array>();
export const nothing: void = await chat.download("550e8400", { to, from: 5 });
for await (const event of chat.events({ since: chat.positions })) text(event);
"""


def checked(folder: Path, *files: str) -> str:
    done = subprocess.run(
        [*typescript(), *STRICT, *files],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for declared in ("chat4all.d.ts", "internal.d.ts"):
        shutil.copy(CLIENT / declared, tmp_path)
    shutil.copy(MODULE, tmp_path / "module.js")
    shutil.copy(CLIENT / "chat4all-files.js", tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "as_it_is.ts").write_text(AS_IT_IS)
    return tmp_path


def test_types(folder: Path) -> None:
    assert checked(folder, "chat4all.d.ts", "module.js", "as_it_is.ts") == ""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("logout(): Promise<void>", "logout(): Promise<number>"),
        ("receipts(conversation_id: string)", "receipts(conversation_id: number)"),
        ("signedIn(): Promise<boolean>;", ""),
    ],
)
def test_a_declaration_that_is_wrong_is_found(folder: Path, right: str, wrong: str) -> None:
    declared = folder / "chat4all.d.ts"
    text = declared.read_text()
    assert text.count(right) == 1
    declared.write_text(text.replace(right, wrong))
    assert "error TS" in checked(folder, "as_it_is.ts")


def test_a_package_that_is_installed(tmp_path: Path) -> None:
    (packed,) = json.loads(npm("pack", "--json", "--pack-destination", str(tmp_path), cwd=CLIENT))
    files = {one["path"] for one in packed["files"]}
    modules = {"chat4all.d.ts", "chat4all.js", "chat4all-files.js"}
    assert files == {"LICENSE", "README.md", "package.json"} | modules
    user = tmp_path / "user"
    user.mkdir()
    (user / "package.json").write_text('{"type": "module"}')
    npm("install", "--offline", str(tmp_path / packed["filename"]), cwd=user)
    (user / "use.ts").write_text(USE)
    assert checked(user, "use.ts") == ""
    script = 'import { Client, newId } from "chat4all-client"; console.log(Client.name, newId())'
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", script],
        cwd=user,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.startswith("Client ")
