/** Connections and events, where the conformance suite does not reach. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { ChatError, Client, newId } from "../../clients/js/chat4all.js";
import { CHAT, FakeServer, held, until } from "./fake.mjs";

const URL = "http://chat.example";

const expire = (server) => server.good.clear();

test("the wait between tries is a random part of a second, of two, and so on to twenty", async (t) => {
  const server = new FakeServer();
  server.isOnline = false;
  const pace = 1 / 3_001;
  const seconds = [];
  const { setTimeout } = globalThis;
  t.after(() => (globalThis.setTimeout = setTimeout));
  globalThis.setTimeout = (act, ms) => {
    if (ms % 1) seconds.push(Math.round(ms / pace) / 1_000); // the fake server's are whole
    return setTimeout(act, ms);
  };
  const client = new Client(URL, { ...server.options, token: "a0", pace, random: () => 0.9 });
  const connecting = client.connect();
  connecting.catch(() => {});
  await until(() => seconds.length >= 8);
  assert.equal(client.state, "waiting");
  await client.close();
  assert.deepEqual(seconds.slice(0, 7), [0.9, 1.8, 3.6, 7.2, 14.4, 18, 18]);
  await assert.rejects(connecting, { type: "/problems/closed" });
  assert.equal(client.state, "closed");
});

/** Run with these as `addEventListener` and `document` of a page. */
const asPage = async (act) => {
  const page = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  globalThis.addEventListener = page.addEventListener.bind(page);
  globalThis.document = document;
  try {
    await act(page, document);
  } finally {
    delete globalThis.addEventListener;
    delete globalThis.document;
  }
};

test("a page that is online again does not wait for the next try", () =>
  asPage(async (page) => {
    const server = new FakeServer();
    // At this pace it would wait for minutes.
    let random = 0;
    const client = new Client(URL, { ...server.options, pace: 100, random: () => random });
    await client.connect();
    random = 0.5;
    server.goOffline();
    const sent = client.send(CHAT, "Olá");
    await until(() => client.state === "waiting");
    await new Promise((resolve) => setTimeout(resolve));
    server.isOnline = true;
    random = 0;
    page.dispatchEvent(new Event("online"));
    await until(() => client.state === "connected");
    await sent;
    await client.close();
  }));

test("a page that is visible again looks whether its connection is alive", () =>
  asPage(async (_, document) => {
    const server = new FakeServer();
    const client = new Client(URL, server.options);
    await client.connect();
    server.frames.length = 0;
    document.dispatchEvent(new Event("visibilitychange"));
    await until(() => server.frames.length === 1);
    assert.deepEqual(server.frames, [{ type: "auth", token: "a1" }]);
    document.visibilityState = "hidden";
    document.dispatchEvent(new Event("visibilitychange"));
    await client.me();
    assert.equal(server.frames.length, 1);
    await client.close();
    document.visibilityState = "visible";
    document.dispatchEvent(new Event("visibilitychange"));
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(server.frames.length, 1);
  }));

test("after a sleep of the machine the connection is made again", async (t) => {
  const server = new FakeServer();
  const client = new Client(URL, { ...server.options, pace: 0.02 });
  await client.connect();
  const [before] = server.sockets;
  const now = Date.now;
  t.after(() => (Date.now = now));
  Date.now = () => now() + 3_600_000;
  await until(() => server.sockets.length === 1 && server.sockets[0] !== before);
  await until(() => client.state === "connected");
  await client.close();
});

test("a connection that went dead before the clock was set back is made again", async (t) => {
  const server = new FakeServer();
  const client = new Client(URL, { ...server.options, pace: 0.005 });
  await client.connect();
  const [before] = server.sockets;
  const now = Date.now;
  t.after(() => (Date.now = now));
  Date.now = () => now() - 7_200_000;
  await until(() => server.sockets.length === 1 && server.sockets[0] !== before);
  await client.close();
});

test("a program that asks while its clock is set back asks no longer than it was told to", async (t) => {
  const server = new FakeServer();
  const now = Date.now;
  t.after(() => (Date.now = now));
  let asked = 0;
  const { fetch } = server;
  server.isOnline = false;
  const client = new Client(URL, {
    ...server.options,
    token: "a0",
    retry_for: 1,
    random: () => 0.01,
    fetch: (...request) => {
      asked += 1;
      Date.now = () => now() - 7_200_000;
      return fetch(...request);
    },
  });
  await assert.rejects(client.me(), { type: "/problems/no-answer" });
  assert.equal(asked, 1);
  await client.close();
});

const following = (client, options) => {
  const events = client.events(options);
  return { events, next: async () => (await events.next()).value };
};

test("a loop that is left begins again with the event that it had in its hands", async () => {
  const server = new FakeServer();
  const client = new Client(URL, server.options);
  for await (const event of client.events()) {
    if (event.type === "Connected") server.sockets[0].tell(server.message(1));
    if (event.type === "Connected") server.sockets[0].tell(server.message(2));
    if (event.message?.seq === 2) break;
  }
  assert.equal(client.state, "closed");
  server.frames.length = 0;
  for await (const event of client.events()) if (event.type === "Connected") break;
  assert.deepEqual(server.frames[0].positions, { [CHAT]: "1.0" });
});

test("close ends a loop, and one loop is all that there is", async () => {
  const server = new FakeServer();
  const client = new Client(URL, server.options);
  const { events, next } = following(client);
  await next();
  await assert.rejects(client.events().next(), /another loop/);
  const waiting = events.next();
  await client.close();
  assert.deepEqual(await waiting, { done: true, value: undefined });
});

test("listeners are told the end, and a new sign-in goes on", async () => {
  const server = new FakeServer();
  const client = new Client(URL, { ...server.options, token: "a0" });
  const told = [];
  for (const type of ["Connected", "Disconnected", "Ended"]) {
    client.addEventListener(type, ({ detail }) => told.push(detail.error?.type ?? type));
  }
  await client.connect();
  expire(server);
  server.sockets[0].end(4401);
  await until(() => told.length === 3);
  assert.deepEqual(told, ["Connected", "Disconnected", "/problems/signed-out"]);
  await assert.rejects(client.connect(), { status: 401 });
});

test("a gap that the server shows again and again is believed", async () => {
  const server = new FakeServer();
  const client = new Client(URL, server.options);
  const told = [];
  client.addEventListener("MessageCreated", ({ detail }) => told.push(detail.message.seq));
  await client.connect({ since: { generation: "g", positions: { [CHAT]: "1.0" } } });
  for (let shown = 1; told.length === 0; shown++) {
    assert.ok(shown <= 3);
    const [socket] = server.sockets;
    socket.tell(server.message(3));
    await until(() => told.length || (server.sockets[0] ?? socket) !== socket);
    await until(() => client.state === "connected");
  }
  assert.deepEqual(told, [3]);
  assert.deepEqual(client.positions.positions, { [CHAT]: "3.0" });
  await client.close();
});

test("ids are UUIDs, also where the page has no TLS", () => {
  const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
  assert.match(newId(), uuid);
  const { randomUUID } = crypto;
  crypto.randomUUID = undefined;
  try {
    const ids = Array.from({ length: 1000 }, newId);
    for (const id of ids) assert.match(id, uuid);
    assert.equal(new Set(ids).size, 1000);
  } finally {
    crypto.randomUUID = randomUUID;
  }
});

test("what is refused over the connection is told, and a watched list said again later", async () => {
  const server = new FakeServer();
  const client = new Client(URL, server.options);
  const told = [];
  client.addEventListener("RequestRefused", ({ detail: { request, conversation_id, error } }) => {
    told.push([request, conversation_id, error.status, error.type, error instanceof ChatError]);
  });
  const watched = () => server.frames.filter(({ type }) => type === "watch");
  const refuse = (ref, status, more) => {
    const error = { type: "error", ref, problem: `/problems/${status}`, status, title: "", detail: "" };
    server.sockets[0].tell({ ...error, ...more });
  };
  await client.connect();
  client.typing(CHAT);
  client.typing("x".repeat(200));
  const [typing, long] = server.frames.slice(-2);
  assert.equal(long.ref.length, 128); // the server takes no longer ones
  refuse(typing.ref, 404);
  client.watch(["bruno"]);
  refuse(watched()[0].ref, 503, { retry_after: 3 });
  refuse("1", 422);
  refuse(undefined, 429);
  assert.deepEqual(told, [
    ["typing", CHAT, 404, "/problems/404", true],
    ["watch", null, 503, "/problems/503", true],
  ]);
  await until(() => watched().length === 2);
  refuse("watch", 422);
  refuse("watch", 429); // by now another list is watched
  client.watch(["carla"]);
  await until(() => watched().length === 3);
  await new Promise((resolve) => setTimeout(resolve, 40));
  assert.deepEqual(watched().map(({ usernames }) => usernames[0]), ["bruno", "bruno", "carla"]);
  assert.equal(client.state, "connected");
  await client.close();
});

test("a resume that is refused makes the connection anew, or ends it for good", async () => {
  const server = new FakeServer();
  server.resumed = [{ type: "error", ref: "resume", problem: "/problems/x", status: 503, retry_after: 1 }];
  const client = new Client(URL, server.options);
  let ended;
  client.addEventListener("Ended", ({ detail: { error } }) => (ended = error));
  await client.connect();
  assert.equal(server.frames.filter(({ type }) => type === "resume").length, 2);
  server.resumed = [{ type: "error", ref: "resume", problem: "/problems/x", status: 422, detail: "no" }];
  server.sockets[0].end(1006);
  await until(() => ended);
  assert.equal(ended.type, "/problems/defect");
  assert.equal(ended.code, 4400);
});

/** Options of a client whose sockets note when they are terminated, and `close` as a test says. */
const terminating = (server, close) => {
  const terminated = [];
  class Socket extends server.WebSocket {
    close() {
      close.call(this);
    }
    terminate() {
      terminated.push(this);
    }
  }
  return { terminated, options: { ...server.options, WebSocket: Socket } };
};

test("a socket whose other side does not close it is terminated after a second", async (t) => {
  const closing = held(t, (ms) => ms === 1_000);
  const server = new FakeServer();
  const { terminated, options } = terminating(server, () => {});
  const client = new Client(URL, options);
  await client.connect();
  const [silent] = server.sockets;
  await until(() => closing.size); // nothing was heard
  assert.deepEqual(terminated, []);
  for (const end of [...closing]) end();
  assert.deepEqual(terminated, [silent]);
  await until(() => client.state === "connected");
  const last = server.sockets.at(-1);
  assert.notEqual(last, silent);
  await client.close();
  for (const end of [...closing]) end();
  assert.equal(terminated.at(-1), last);
});

test("a socket that the other side closes leaves no timer behind", async (t) => {
  const closing = held(t, (ms) => ms === 1_000);
  const server = new FakeServer();
  let running = 0;
  const { terminated, options } = terminating(server, function () {
    running = closing.size;
    queueMicrotask(() => this.end(1000));
  });
  const client = new Client(URL, options);
  await client.connect();
  await client.close();
  await until(() => !closing.size);
  assert.equal(running, 1);
  assert.deepEqual(terminated, []);
});
