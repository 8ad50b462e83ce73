/** Tokens: who renews them, and who waits for it. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Client } from "../../clients/js/chat4all.js";
import { FakeServer, until } from "./fake.mjs";

const URL = "http://chat.example";

/** Where two tabs keep their tokens. */
const tokenStore = () => {
  let tokens = null;
  return { load: () => tokens, save: async (given) => void (tokens = given) };
};

const expire = (server) => server.good.clear();

/** Let so many seconds go by at once. */
const skip = (t, seconds) => {
  const { now } = Date;
  t.mock.method(Date, "now", () => now() + 1_000 * seconds);
};

test("two tabs that share tokens refresh them once", async () => {
  const server = new FakeServer();
  const shared = { ...server.options, tokens: tokenStore(), locks: navigator.locks };
  const tabs = [new Client(URL, shared), new Client(URL, { ...shared, password: undefined })];
  await tabs[0].me();
  await tabs[1].me();
  expire(server);
  await Promise.all([...tabs, ...tabs].map((tab) => tab.me()));
  assert.deepEqual(server.refreshes, ["r1"]);
});

test("without locks each tab sends the same refresh token, and goes on", async () => {
  const server = new FakeServer();
  const shared = { ...server.options, tokens: tokenStore() };
  const tabs = [new Client(URL, shared), new Client(URL, shared)];
  await tabs[0].me();
  await tabs[1].me();
  expire(server);
  await Promise.all(tabs.map((tab) => tab.me()));
  assert.deepEqual(server.refreshes, ["r1", "r1"]);
});

test("a tab that is suspended with the lock is not waited for", async () => {
  const server = new FakeServer();
  const locks = {
    request: async () => {
      throw new DOMException("timed out", "TimeoutError");
    },
  };
  const client = new Client(URL, { ...server.options, locks });
  assert.equal((await client.me()).username, "ana");
});

test("what goes wrong under a lock is told, and not done twice", async () => {
  const server = new FakeServer();
  const client = new Client(URL, { ...server.options, password: "wrong", locks: navigator.locks });
  await assert.rejects(client.me(), { status: 401, detail: "wrong" });
  await assert.rejects(client.connect(), { type: "/problems/signed-out" });
});

test("getToken that fails is asked again", async () => {
  const server = new FakeServer();
  let asked = 0;
  const getToken = async () => {
    if (++asked < 3) throw new TypeError("fetch failed");
    return { access_token: "a0", expires_in: 60 };
  };
  const client = new Client(URL, { ...server.options, password: undefined, getToken });
  await client.connect();
  assert.equal(asked, 3);
  await client.close();
});

test("while /token does not answer calls go on with the token that is still good", async (t) => {
  const server = new FakeServer();
  const client = new Client(URL, server.options);
  await client.me();
  let answer;
  server.tokenAnswers = [new Promise((resolve) => (answer = resolve))];
  skip(t, 0.85 * 1_800);
  for (const call of [1, 2, 3]) assert.equal((await client.me()).username, "ana", `call ${call}`);
  assert.deepEqual(server.refreshes, ["r1"]);
  answer(200);
  // The next one is used as soon as it is there.
  server.good.delete("a1");
  await client.me();
  assert.deepEqual(server.refreshes, ["r1"]);
});

test("a token that has ended is used until it is refused, where there is no other", async (t) => {
  const server = new FakeServer();
  // What is in the store is not the client's to change.
  const tokens = tokenStore();
  const save = async (given) => tokens.save(Object.freeze(given));
  const client = new Client(URL, { ...server.options, tokens: { ...tokens, save }, retry_for: 0 });
  await client.me();
  server.tokenAnswers = [503, 503];
  skip(t, 0.97 * 1_800);
  await client.me();
  await client.me();
  assert.deepEqual(server.refreshes, ["r1"]); // asked for again after a while only
  server.good.delete("a1");
  await assert.rejects(client.me(), { status: 503 });
  await client.me();
  assert.deepEqual(server.refreshes, ["r1", "r1", "r1"]);
});

test("a session that has ended meanwhile is told to the next call", async (t) => {
  const server = new FakeServer();
  const client = new Client(URL, { ...server.options, tokens: tokenStore() });
  await client.me();
  server.tokenAnswers = [400];
  skip(t, 0.85 * 1_800);
  await client.me();
  await until(() => server.tokenAnswers.length === 0);
  await assert.rejects(async () => {
    for (;;) await client.me();
  }, { type: "/problems/signed-out" });
  assert.deepEqual(server.refreshes, ["r1"]);
});

test("getToken that does not return fails the calls that wait for it", async (t) => {
  const server = new FakeServer();
  const { timeout } = AbortSignal;
  t.mock.method(AbortSignal, "timeout", (ms) => timeout(ms === 30_000 ? 20 : ms));
  const getToken = () => new Promise(() => {});
  const client = new Client(URL, { ...server.options, getToken });
  await assert.rejects(client.me(), { type: "/problems/no-answer" });
});
