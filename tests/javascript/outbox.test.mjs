/** What becomes of messages that are sent: over failures, reloads of the page, and two tabs. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Client, memoryStorage } from "../../clients/js/chat4all.js";
import { CHAT, FakeServer, until } from "./fake.mjs";

const URL = "http://chat.example";
const OTHER = "7f1c2d9e-5f0b-4c57-9a1e-3f2b8d6c4a10";

const statesOf = (client) => {
  const states = [];
  client.addEventListener("OutboxChanged", ({ detail }) => states.push(detail.unsent.state));
  return states;
};

/** A promise that somebody else fulfils. */
const later = () => {
  let fulfil;
  const promise = new Promise((resolve) => (fulfil = resolve));
  return Object.assign(promise, { fulfil });
};

test("a message is shown at once, with the id that it keeps in all tries", async () => {
  const server = new FakeServer();
  server.answers = ["lost", 503, 429, 502];
  const client = new Client(URL, server.options);
  const states = statesOf(client);
  const sent = client.send(CHAT, "Olá", { mentions: ["bruno"] });
  const [unsent] = client.outbox;
  assert.equal(unsent.content, "Olá");
  assert.equal(unsent.state, "sending");
  assert.equal(await sent, unsent.message_id);
  assert.deepEqual(new Set(server.tries), new Set([unsent.message_id]));
  assert.equal(server.tries.length, 5);
  assert.deepEqual(server.accepted.at(-1), {
    content: "Olá",
    mentions: ["bruno"],
    message_id: unsent.message_id,
    chat_id: CHAT,
  });
  assert.deepEqual(states, ["sending", "sent"]);
  assert.deepEqual(client.outbox, []);
});

test("messages of one conversation are sent in their order, others do not wait for them", async () => {
  const server = new FakeServer();
  const client = new Client(URL, server.options);
  const first = later();
  server.answers = [first];
  const sent = [client.send(CHAT, "one"), client.send(CHAT, "two"), client.send(CHAT, "three")];
  await until(() => server.tries.length === 1);
  await client.send(OTHER, "elsewhere");
  assert.deepEqual(server.accepted.map(({ content }) => content), ["elsewhere"]);
  first.fulfil(503);
  await Promise.all(sent);
  assert.deepEqual(
    server.accepted.map(({ content }) => content),
    ["elsewhere", "one", "two", "three"],
  );
});

test("a message that is refused says why, holds nobody up, and can be sent again", async () => {
  const server = new FakeServer();
  server.answers = [422];
  const client = new Client(URL, server.options);
  const states = statesOf(client);
  const refused = client.send(CHAT, "one");
  const following = client.send(CHAT, "two");
  await assert.rejects(refused, { status: 422, type: "/problems/x", detail: "because" });
  await following;
  const [failed] = client.outbox;
  assert.equal(failed.state, "failed");
  assert.equal(failed.error.detail, "because");
  assert.equal(await client.retry(failed.message_id), failed.message_id);
  assert.deepEqual(server.accepted.map(({ content }) => content), ["two", "one"]);
  assert.deepEqual(states, ["sending", "sending", "failed", "sent", "sending", "sent"]);
  server.answers = [422];
  await assert.rejects(client.send(CHAT, "three"));
  await client.discard(client.outbox[0].message_id);
  assert.deepEqual(client.outbox, []);
});

test("what was not sent is sent after a reload of the page, with its id and in its order", async () => {
  const server = new FakeServer();
  const storage = memoryStorage();
  const options = { ...server.options, storage };
  const before = new Client(URL, options);
  await before.signIn("ana", "sesame");
  server.isOnline = false;
  const left = [];
  for (const content of ["one", "two", "three"]) left.push(before.send(CHAT, content));
  for (const one of left) one.catch(() => {});
  const ids = before.outbox.map(({ message_id }) => message_id);
  await until(() => before.outbox.length === 3);
  await new Promise((resolve) => setTimeout(resolve));
  await before.close();
  for (const one of left) await assert.rejects(one, { type: "/problems/closed" });
  server.isOnline = true;
  const after = new Client(URL, options);
  await after.connect();
  await until(() => server.accepted.length === 3);
  assert.deepEqual(server.accepted.map(({ message_id }) => message_id), ids);
  await until(() => after.outbox.length === 0);
  const isUnsent = (key) => key.includes("unsent");
  assert.deepEqual((await storage.keys("")).filter(isUnsent), []);
  await after.close();
});

test("what is written after the clock was set back is sent after what is kept", async (t) => {
  const server = new FakeServer();
  const storage = memoryStorage();
  const now = Date.now;
  t.after(() => (Date.now = now));
  const write = async (content, kept) => {
    const client = new Client(URL, { ...server.options, token: "a0", storage });
    client.connect().catch(() => {});
    await until(() => client.outbox.length === kept);
    client.send(CHAT, content).catch(() => {});
    const isKept = async () => (await storage.keys("")).length === kept + 1;
    while (!(await isKept())) await new Promise((resolve) => setTimeout(resolve, 2));
    await client.close();
  };
  server.isOnline = false;
  Date.now = () => now() + 7_200_000;
  await write("one", 0);
  Date.now = now;
  await write("two", 1);
  await write("three", 2);
  server.isOnline = true;
  const client = new Client(URL, { ...server.options, token: "a0", storage });
  await client.connect();
  await until(() => server.accepted.length === 3);
  assert.deepEqual(server.accepted.map(({ content }) => content), ["one", "two", "three"]);
  await client.close();
});

test("a refused message is still there after a reload of the page", async () => {
  const server = new FakeServer();
  const options = { ...server.options, storage: memoryStorage() };
  const before = new Client(URL, options);
  server.answers = [403];
  await assert.rejects(before.send(CHAT, "one"), { status: 403 });
  const after = new Client(URL, options);
  await after.connect();
  await until(() => after.outbox.length === 1);
  assert.equal(after.outbox[0].state, "failed");
  assert.deepEqual(server.accepted, []);
  await after.retry(after.outbox[0].message_id);
  assert.equal(server.accepted.length, 1);
  await after.close();
});

test("another tab sends nothing that is on its way, and what a closed one has left", async () => {
  const server = new FakeServer();
  const shared = { ...server.options, storage: memoryStorage(), locks: navigator.locks };
  const one = new Client(URL, shared);
  server.answers = [new Promise(() => {})];
  const sent = one.send(CHAT, "Olá");
  sent.catch(() => {});
  await until(() => server.tries.length === 1);
  const another = new Client(URL, shared);
  const states = statesOf(another);
  await another.connect();
  server.sockets[0].tell(server.message(1));
  await another.send(OTHER, "elsewhere"); // it has looked by then
  assert.deepEqual(another.outbox, []);
  assert.equal(server.tries.length, 2);
  const [{ message_id }] = one.outbox;
  await one.close();
  await until(() => server.accepted.length === 2);
  assert.equal(server.accepted[1].message_id, message_id);
  await until(() => states.at(-1) === "sent");
  await another.close();
});

test("without locks two tabs send the same id, which is one message", async () => {
  const server = new FakeServer();
  const shared = { ...server.options, storage: memoryStorage() };
  const one = new Client(URL, shared);
  server.answers = [new Promise(() => {})];
  one.send(CHAT, "Olá").catch(() => {});
  await until(() => server.tries.length === 1);
  const another = new Client(URL, shared);
  await another.connect();
  await until(() => server.accepted.length === 1);
  assert.equal(new Set(server.tries).size, 1);
  await one.close();
  await another.close();
});

test("what was given up while nobody was signed in is sent after signing in", async () => {
  const server = new FakeServer();
  const client = new Client(URL, { ...server.options, password: undefined });
  await assert.rejects(client.send(CHAT, "one"), { type: "/problems/signed-out" });
  assert.equal(client.outbox[0].state, "sending");
  await client.signIn("ana", "sesame");
  await client.connect();
  await until(() => server.accepted.length === 1);
  await client.close();
});

test("a message that comes back from the history is not failed", async () => {
  const server = new FakeServer();
  const client = new Client(URL, server.options);
  await client.connect();
  server.answers = [409];
  await assert.rejects(client.send(CHAT, "one", { message_id: "mine" }));
  const frame = server.message(1);
  Object.assign(frame.message, { message_id: "mine", sender_id: "ana" });
  server.sockets[0].tell(frame);
  assert.deepEqual(client.outbox, []);
  await client.close();
});

test("signing out forgets everything, also when the server does not answer", async () => {
  const server = new FakeServer();
  const storage = memoryStorage();
  let tokens = null;
  const client = new Client(URL, {
    ...server.options,
    storage,
    tokens: { load: () => tokens, save: (given) => void (tokens = given) },
    retry_for: 0,
  });
  await client.connect();
  server.sockets[0].tell(server.message(1));
  server.answers = [422];
  await assert.rejects(client.send(CHAT, "one"));
  assert.notDeepEqual(await storage.keys(""), []);
  server.isOnline = false;
  await assert.rejects(client.logout(), { type: "/problems/no-answer" });
  assert.deepEqual(await storage.keys(""), []);
  assert.equal(tokens, null);
  assert.equal(await client.signedIn(), false);
  assert.equal(client.username, null);
});
