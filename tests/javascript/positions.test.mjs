/** Positions: where they are kept, and how they move. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Client, indexedDBStorage, memoryStorage } from "../../clients/js/chat4all.js";
import { CHAT, FakeServer, NOW, until } from "./fake.mjs";

const URL = "http://chat.example";
const OTHER = "7f1c2d9e-5f0b-4c57-9a1e-3f2b8d6c4a10";

const following = (client, options) => {
  const events = client.events(options);
  return { events, next: async () => (await events.next()).value };
};

test("positions are kept where the storage is, once the next event is asked for", async () => {
  const server = new FakeServer();
  const options = { ...server.options, storage: memoryStorage() };
  const before = new Client(URL, options);
  const { next } = following(before);
  assert.equal((await next()).type, "Connected");
  server.sockets[0].tell(server.message(1));
  server.sockets[0].tell(server.message(2));
  assert.equal((await next()).message.seq, 1);
  assert.equal((await next()).message.seq, 2);
  // It dies here, with the second one in its hands.
  const after = new Client(URL, options);
  server.frames.length = 0;
  await after.connect();
  const [{ type, generation, positions, more }] = server.frames;
  assert.deepEqual([type, generation, more], ["resume", "g", false]);
  assert.deepEqual(positions, { [CHAT]: "1.0" });
  await after.close();
  await before.close();
});

test("positions that are given are kept by who gives them", async () => {
  const server = new FakeServer();
  const storage = memoryStorage();
  const client = new Client(URL, { ...server.options, storage });
  await client.connect({ since: { generation: "g", positions: { [CHAT]: "7.0" } } });
  server.sockets[0].tell(server.message(8));
  assert.deepEqual(client.positions, { generation: "g", positions: { [CHAT]: "8.0" } });
  assert.deepEqual(await storage.keys(""), []);
  await client.close();
  await client.connect();
  assert.deepEqual(server.frames.at(-1).positions, { [CHAT]: "8.0" });
  await client.close();
});

test("a storage that fails ends the loop, or tells listeners", async () => {
  const server = new FakeServer();
  const update = async (key) => {
    if (key.endsWith("positions")) throw new Error("the disk is full");
  };
  const options = { ...server.options, storage: { ...memoryStorage(), update } };
  const looping = new Client(URL, options);
  await assert.rejects(async () => {
    for await (const event of looping.events()) assert.equal(event.type, "Connected");
  }, /the disk is full/);
  assert.equal(looping.state, "closed");
  const listening = new Client(URL, options);
  const ended = [];
  listening.addEventListener("Ended", ({ detail }) => ended.push(detail.error.message));
  listening.connect().catch(() => {});
  await until(() => ended.length === 1);
  assert.deepEqual(ended, ["the disk is full"]);
  assert.equal(listening.state, "closed");
});

test("where there is no IndexedDB things are kept in memory", async () => {
  const storage = indexedDBStorage();
  await storage.update("b 1", () => ({ one: 1 }));
  await storage.update("a 1", (kept) => kept ?? 1);
  assert.deepEqual(await storage.get("b 1"), { one: 1 });
  assert.deepEqual(await storage.keys("b"), ["b 1"]);
  await storage.delete("b 1");
  assert.equal(await storage.get("b 1"), undefined);
});

/** Two loops over the events of one user that share a storage, both past `Connected`. */
const twoLoops = async (server, storage) => {
  const loops = [];
  for (const number of [0, 1]) {
    const client = new Client(URL, { ...server.options, storage });
    const { next } = following(client);
    assert.equal((await next()).type, "Connected");
    await until(() => server.sockets.length === number + 1);
    loops.push({ client, next, socket: server.sockets[number] });
  }
  return loops;
};

/** Take the event in hand: its position is saved when the next event is there. */
const take = async ({ socket, next }) => {
  socket.tell({ type: "typing", conversation_id: CHAT, username: "bruno" });
  assert.equal((await next()).type, "Typing");
};

const kept = async (storage) => storage.get("http://chat.example ana positions");

test("positions of two clients that share a storage only move forward", async () => {
  const server = new FakeServer();
  const storage = memoryStorage();
  const [fast, slow] = await twoLoops(server, storage);
  for (const { socket } of [fast, slow]) for (const seq of [1, 2, 3]) socket.tell(server.message(seq));
  for (const seq of [1, 2, 3]) assert.equal((await fast.next()).message.seq, seq);
  await take(fast);
  assert.deepEqual((await kept(storage)).positions, { [CHAT]: "3.0" });
  assert.equal((await slow.next()).message.seq, 1);
  assert.equal((await slow.next()).message.seq, 2);
  assert.deepEqual((await kept(storage)).positions, { [CHAT]: "3.0" });
  slow.socket.tell(server.message(7, OTHER));
  await slow.next();
  await slow.next();
  await take(slow);
  assert.deepEqual((await kept(storage)).positions, { [CHAT]: "3.0", [OTHER]: "7.0" });
  for (const { client } of [fast, slow]) await client.close();
});

test("a conversation that one client was removed from is not brought back by another", async () => {
  const server = new FakeServer();
  const storage = memoryStorage();
  const [one, other] = await twoLoops(server, storage);
  for (const { socket, next } of [one, other]) {
    socket.tell(server.message(7, OTHER));
    socket.tell(server.message(1));
    await next();
    await next();
  }
  assert.deepEqual((await kept(storage)).positions, { [OTHER]: "7.0" });
  one.socket.tell({ type: "conversation", event: "removed", conversation_id: OTHER });
  await one.next();
  await take(one);
  assert.deepEqual((await kept(storage)).positions, { [CHAT]: "1.0" });
  await take(other);
  assert.deepEqual((await kept(storage)).positions, { [CHAT]: "1.0" });
  for (const { client } of [one, other]) await client.close();
});

test("positions of another generation take the place of all", async () => {
  const server = new FakeServer();
  const storage = memoryStorage();
  const before = { generation: "before", positions: { [CHAT]: "9.9", [OTHER]: "8.0" } };
  await storage.update("http://chat.example ana positions", () => before);
  const client = new Client(URL, { ...server.options, storage });
  await client.connect();
  server.sockets[0].tell({ type: "conversation", event: "removed", conversation_id: OTHER });
  await client.close(); // saves
  assert.deepEqual(await kept(storage), { generation: "g", positions: { [CHAT]: "9.9" } });
});

const BEFORE = "2026-01-31T11:59:59.999Z";
const AFTER = "2026-01-31T12:00:00.001Z";

/** What is told of a conversation of 260 messages to somebody who is new in it. */
const toldOf = async (server, conversation, { since, before = async () => {} } = {}) => {
  server.conversations[OTHER] = { count: 260, ...conversation };
  const client = new Client(URL, server.options);
  const told = [];
  client.addEventListener("MessagesReloaded", ({ detail }) => told.push(detail));
  await client.connect({ since });
  await before(server.sockets[0]);
  server.sockets[0].tell({ type: "conversation", event: "added", conversation_id: OTHER, position: "260.0" });
  await until(() => told.length === 1);
  await client.close();
  const [{ messages, has_older }] = told;
  return [messages[0].seq, messages.at(-1).seq, has_older];
};

test("of a private conversation that was begun meanwhile everything is told", async () => {
  const whole = [1, 260, false];
  for (const generation of ["g", null]) {
    const since = { generation, positions: { [CHAT]: "1.0" } };
    assert.deepEqual(await toldOf(new FakeServer(), { type: "private", created_at: BEFORE }, { since }), whole);
  }
});

test("of a group everything is told if it is younger than what was told before", async () => {
  assert.deepEqual(await toldOf(new FakeServer(), { type: "group", created_at: AFTER }), [1, 260, false]);
  const newest = [211, 260, true];
  for (const created_at of [NOW, BEFORE]) {
    assert.deepEqual(await toldOf(new FakeServer(), { type: "group", created_at }), newest);
  }
  // One that was left, whose messages were told.
  const before = async (socket) => {
    socket.tell({ type: "conversation", event: "removed", conversation_id: OTHER });
  };
  assert.deepEqual(await toldOf(new FakeServer(), { type: "group", created_at: AFTER }, { before }), newest);
});

test("a group that was created since is new, also where the server's clock was ahead before", async (t) => {
  let passed = 0;
  const now = performance.now.bind(performance);
  t.mock.method(performance, "now", () => now() + passed);
  for (const [second, count] of [["10", 260], ["00", 50]]) {
    const server = new FakeServer();
    const client = new Client(URL, server.options);
    const told = [];
    client.addEventListener("MessagesReloaded", ({ detail }) => told.push(detail.messages.length));
    server.time = "2026-01-31T14:00:00.000Z";
    await client.connect();
    passed += 55_000;
    server.time = NOW;
    server.conversations[OTHER] = { count: 260, type: "group", created_at: `2026-01-31T11:59:${second}.000Z` };
    server.resumed = [{ type: "conversation", event: "added", conversation_id: OTHER, position: "260.0" }];
    server.sockets[0].end(1006);
    await until(() => told.length === 1);
    assert.deepEqual(told, [count], second);
    await client.close();
  }
});

test("where it is not known whether everything was told before, the newest page is", async () => {
  const server = new FakeServer();
  server.conversations[OTHER] = { count: 260, type: "private", created_at: AFTER };
  const client = new Client(URL, server.options);
  const told = [];
  client.addEventListener("MessagesReloaded", ({ detail }) => told.push(detail.messages.length));
  server.resumed = [
    { type: "conversation", event: "added", conversation_id: OTHER, position: "260.0" },
  ];
  // Positions of a run that ended before it was told of every conversation have no generation.
  client.connect({ since: { generation: null, positions: { [CHAT]: "1.0" } } }).catch(() => {});
  await until(() => told.length === 1);
  assert.deepEqual(told, [50]);
  await client.close();
});
