/** What is discarded is not sent any more: whatever it waits for, in no tab, and after no reload. */

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Client, memoryStorage, newId } from "../../clients/js/chat4all.js";
import { CHAT, FakeServer, held, until } from "./fake.mjs";

const URL = "http://chat.example";
const OTHER = "7f1c2d9e-5f0b-4c57-9a1e-3f2b8d6c4a10";
const DISCARDED = { type: "/problems/discarded", status: 0 };

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A promise that somebody else fulfils. */
const later = () => {
  let fulfil;
  const promise = new Promise((resolve) => (fulfil = resolve));
  return Object.assign(promise, { fulfil });
};

/** A storage like a browser's: each request is done in its turn, and later. */
const storageInTurn = () => {
  const kept = memoryStorage();
  let last = Promise.resolve();
  const inTurn = (name) => (...given) =>
    (last = last.then(turn).then(() => kept[name](...given)));
  const [get, update, keys] = ["get", "update", "keys"].map(inTurn);
  return { get, update, delete: inTurn("delete"), keys };
};

let server, storage, chat, granted;

/** Locks like a browser's: granted later. */
const locks = {
  request: async (name, how, act) => {
    await turn();
    await granted;
    return navigator.locks.request(name, how, act);
  },
};

const clientOf = (options) =>
  new Client(URL, { ...server.options, token: "a0", storage, locks, ...options });

/** Send, and let whoever waits for it look at it later. */
const send = (client, content, options) => {
  const sent = client.send(CHAT, content, options);
  sent.catch(() => {});
  return sent;
};

const contents = () => server.accepted.map(({ content }) => content);

/** What is left in the outbox and in the storage. */
const left = async () => [chat.outbox, await storage.keys("")];

/** Let a client of another tab, or of this one after a reload, look for what was left, and send. */
const lookedBy = async (another) => {
  await another.connect();
  for (let looked = 0; looked < 100; looked++) await turn();
  await another.send(OTHER, "elsewhere");
  assert.deepEqual(another.outbox, []);
  await another.close();
};

beforeEach(() => {
  server = new FakeServer();
  storage = storageInTurn();
  granted = undefined;
  chat = clientOf();
});

test("what is discarded while the server does not answer is not tried again", async () => {
  let tried = 0;
  const fetch = (...given) => {
    tried += 1;
    return server.fetch(...given);
  };
  chat = clientOf({ fetch });
  server.isOnline = false;
  const sent = send(chat, "one");
  await until(() => tried >= 3);
  await chat.discard(chat.outbox[0].message_id);
  server.isOnline = true;
  await assert.rejects(sent, DISCARDED);
  await chat.send(CHAT, "two");
  assert.deepEqual(contents(), ["two"]);
  assert.deepEqual(await left(), [[], []]);
});

test("what is discarded does not wait until the next try, and holds nobody up", async (t) => {
  const waiting = held(t, (ms) => ms === 3_600_000);
  chat = clientOf({ pace: 1 });
  server.answers = [[503, undefined, { "Retry-After": "3600" }]];
  const sent = send(chat, "one");
  await until(() => waiting.size);
  const following = chat.send(CHAT, "two");
  await chat.discard(chat.outbox[0].message_id);
  await assert.rejects(sent, DISCARDED);
  assert.equal(waiting.size, 0);
  await following;
  assert.deepEqual(contents(), ["two"]);
});

test("what is discarded while a try is under way is not tried again", async () => {
  server.answers = [new Promise(() => {})];
  const sent = send(chat, "one");
  await until(() => server.tries.length);
  await chat.discard(chat.outbox[0].message_id);
  await assert.rejects(sent, DISCARDED);
  assert.deepEqual(await left(), [[], []]);
  await lookedBy(clientOf());
  assert.deepEqual(contents(), ["elsewhere"]);
});

test("what is discarded before its lock is granted is neither kept nor sent", async () => {
  granted = later();
  const sent = send(chat, "one");
  await chat.discard(chat.outbox[0].message_id);
  granted.fulfil();
  await assert.rejects(sent, DISCARDED);
  assert.deepEqual(await left(), [[], []]);
  await lookedBy(clientOf());
  assert.deepEqual(contents(), ["elsewhere"]);
});

test("what is discarded at any step before the first try is neither kept nor sent", async () => {
  for (let steps = 0; steps < 12; steps++) {
    const asked = later();
    const client = clientOf({ token: undefined, username: "ana", getToken: () => asked });
    const sent = send(client, "one");
    for (let step = 0; step < steps; step++) await turn();
    await client.discard(client.outbox[0].message_id);
    asked.fulfil("a0");
    await assert.rejects(sent, DISCARDED);
    assert.deepEqual([client.outbox, await storage.keys("")], [[], []]);
  }
  assert.deepEqual(server.tries, []);
});

test("what is discarded while it waits for one before it is not sent", async () => {
  const answer = later();
  server.answers = [answer];
  const first = chat.send(CHAT, "one");
  const second = send(chat, "two");
  await until(() => server.tries.length);
  await chat.discard(chat.outbox[1].message_id);
  answer.fulfil(202);
  await first;
  await assert.rejects(second, DISCARDED);
  assert.deepEqual(contents(), ["one"]);
  assert.deepEqual(await left(), [[], []]);
});

test("another tab does not get hold of what is being discarded", async () => {
  server.answers = [new Promise(() => {})];
  const sent = send(chat, "one");
  await until(() => server.tries.length);
  const [{ message_id }] = chat.outbox;
  const remove = storage.delete;
  const gate = later();
  storage.delete = async (key) => {
    if (key.includes(message_id)) await gate;
    return remove(key);
  };
  const discarding = chat.discard(message_id);
  await lookedBy(clientOf());
  gate.fulfil();
  await discarding;
  await assert.rejects(sent, DISCARDED);
  assert.deepEqual(contents(), ["elsewhere"]);
});

test("what is discarded in one tab is not sent by another one that tries it again", async () => {
  server.answers = [422];
  await assert.rejects(chat.send(CHAT, "one"));
  const [{ message_id }] = chat.outbox;
  const another = clientOf();
  await another.connect();
  await until(() => another.outbox.length);
  server.goOffline();
  const sent = chat.retry(message_id);
  sent.catch(() => {});
  await until(() => chat.outbox[0].state === "sending");
  while (!(await storage.keys("")).length) await turn();
  await another.discard(message_id);
  server.isOnline = true;
  await assert.rejects(sent, DISCARDED);
  await chat.send(CHAT, "two");
  assert.deepEqual(contents(), ["two"]);
  assert.deepEqual(chat.outbox, []);
  await another.close();
});

test("what was discarded can be sent anew under its id, with another text", async () => {
  const message_id = newId();
  granted = later();
  const former = send(chat, "one", { message_id });
  await chat.discard(message_id);
  const sent = chat.send(CHAT, "two", { message_id });
  granted.fulfil();
  await assert.rejects(former, DISCARDED);
  await sent;
  assert.deepEqual(contents(), ["two"]);
  assert.deepEqual(await left(), [[], []]);
});

test("what is sent twice under one id is discarded at once", async () => {
  const message_id = newId();
  chat = clientOf({ locks: null });
  server.isOnline = false;
  const both = [send(chat, "one", { message_id }), send(chat, "one", { message_id })];
  while ((await storage.keys("")).length < 2) await turn();
  await chat.discard(message_id);
  server.isOnline = true;
  for (const sent of both) await assert.rejects(sent, DISCARDED);
  assert.deepEqual(server.tries, []);
  assert.deepEqual(await left(), [[], []]);
});

test("what is discarded as soon as it is refused stays discarded", async () => {
  server.answers = [422];
  chat.addEventListener("OutboxChanged", ({ detail: { unsent } }) => {
    if (unsent.state === "failed") chat.discard(unsent.message_id);
  });
  await assert.rejects(chat.send(CHAT, "one"), { status: 422 });
  assert.deepEqual(await left(), [[], []]);
});

test("what is discarded while its refusal is being kept stays discarded", async () => {
  server.answers = [422];
  const { update } = storage;
  let discarding;
  storage.update = (key, change) => {
    if (change().state === "failed") discarding = chat.discard(change().message_id);
    return update(key, change);
  };
  await assert.rejects(chat.send(CHAT, "one"), { status: 422 });
  await discarding;
  assert.deepEqual(await left(), [[], []]);
});

test("what is refused after it was discarded stays discarded", async () => {
  const answer = later();
  server.answers = [answer];
  const { signal } = new AbortController();
  chat = clientOf({ fetch: (url, how) => server.fetch(url, { ...how, signal }) }); // ends no request
  const sent = send(chat, "one");
  await until(() => server.tries.length);
  await chat.discard(chat.outbox[0].message_id);
  answer.fulfil(422);
  await assert.rejects(sent, DISCARDED);
  assert.deepEqual(await left(), [[], []]);
});

test("what the storage did not give when it was to be sent is sent by the next who looks", async () => {
  server.isOnline = false;
  send(chat, "one");
  while (!(await storage.keys("")).length) await turn();
  await chat.close();
  const { get } = storage;
  let asked = 0;
  storage.get = async (key) => {
    if (key.includes("unsent") && ++asked === 2) throw new Error("the storage is busy");
    return get(key);
  };
  server.isOnline = true;
  for (const look of [1, 2]) {
    const another = clientOf();
    await another.connect();
    await until(() => (look === 1 ? asked === 2 : server.accepted.length));
    await another.close();
  }
  assert.deepEqual(contents(), ["one"]);
});

test("what gets its lock while its sender signs out is not left behind", async () => {
  granted = later();
  const sent = send(chat, "one");
  const { keys } = storage;
  storage.keys = async (prefix) => {
    const found = await keys(prefix);
    granted.fulfil();
    await sent.catch(() => {});
    return found;
  };
  await chat.logout();
  storage.keys = keys;
  await assert.rejects(sent, { type: "/problems/closed" });
  assert.deepEqual(await left(), [[], []]);
});
