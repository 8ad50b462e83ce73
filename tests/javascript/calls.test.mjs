/** Calls that are tried again: what is told of all the tries together. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Client } from "../../clients/js/chat4all.js";

const LOST = null;
const problem = (status, slug, headers) => [status, { type: `/problems/${slug}`, detail: slug }, headers];
const EXPIRED = problem(401, "not-signed-in");
const MANY = problem(429, "too-many-requests", { "Retry-After": "1" });
const OVERLOADED = problem(503, "overloaded");
const UNKNOWN = problem(503, "outcome-unknown");
const GATEWAY = [502, null];
const MISSING = problem(404, "not-found");
const DONE = [200, { conversation_id: "c" }];

/** A client of a server that gives these answers, the last one again and again. */
const talking = (...answers) => {
  const keys = [];
  const bodies = [];
  const fetch = async (_, { headers, body: asked }) => {
    keys.push(headers["Idempotency-Key"]?.replaceAll('"', ""));
    bodies.push(asked);
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    if (!answer) throw new TypeError("terminated");
    const [status, body, more] = answer;
    return new Response(body && JSON.stringify(body), { status, headers: more });
  };
  let tokens = 0;
  const getToken = async () => `t${tokens++}`;
  const options = { fetch, getToken, pace: 0.001, random: () => 0.1, retry_for: 3_000, locks: null };
  return { chat: new Client("http://server", options), keys, bodies };
};

const DELETIONS = {
  deleteConversation: (chat) => chat.deleteConversation("x"),
  removeMember: (chat) => chat.removeMember("x", "bruno"),
  endSession: (chat) => chat.endSession("x"),
  deleteFile: (chat) => chat.deleteFile("x"),
};

for (const [name, act] of Object.entries(DELETIONS)) {
  test(`${name}: 404 after a try that may have done it says that it did`, async () => {
    for (const first of [LOST, GATEWAY, UNKNOWN]) await act(talking(first, MISSING).chat);
    await act(talking(LOST, EXPIRED, MANY, MISSING).chat);
  });

  test(`${name}: 404 after tries that did nothing is 404`, async () => {
    for (const first of [EXPIRED, MANY, OVERLOADED]) {
      const { chat, keys } = talking(first, MISSING);
      await assert.rejects(act(chat), { status: 404, type: "/problems/not-found" });
      assert.equal(keys.length, 2);
    }
  });
}

const CREATIONS = {
  createGroup: (chat, options) => chat.createGroup("Equipe", ["bruno"], options),
  addMember: (chat, options) => chat.addMember("x", "bruno", "admin", options),
  signUp: (chat, options) => chat.signUp({ username: "eva", email: "eva@example.com", password: "sesame" }, options),
};

for (const [name, act] of Object.entries(CREATIONS)) {
  test(`${name}: what may have been done is not told as refused, and its key does it once`, async () => {
    for (const last of [MANY, problem(403, "not-allowed"), MISSING, problem(409, "conflict"), OVERLOADED]) {
      const { chat, keys, bodies } = talking(LOST, last);
      const error = await act(chat).catch((cause) => cause);
      const [status, { detail }] = last;
      assert.equal(error.type, "/problems/outcome-unknown");
      assert.equal(error.status, status);
      assert.equal(error.message, `${detail}; but an earlier try may have been done`);
      assert.equal(error.key, keys[0]);
      const again = talking(DONE);
      await act(again.chat, { key: error.key });
      assert.deepEqual([...new Set([...keys, ...again.keys])], [error.key]);
      assert.equal(new Set([...bodies, ...again.bodies]).size, 1);
      await act(again.chat);
      assert.notEqual(again.keys[1], error.key);
    }
  });
}

test("a refusal where nothing was done before is told as it is", async () => {
  for (const first of [EXPIRED, MANY, OVERLOADED]) {
    const refused = talking(first, problem(403, "not-allowed")).chat.createGroup("Equipe", ["bruno"]);
    await assert.rejects(refused, { status: 403, type: "/problems/not-allowed", detail: "not-allowed" });
  }
  const busy = talking(MANY).chat.createGroup("Equipe", ["bruno"]);
  await assert.rejects(busy, { status: 429, type: "/problems/too-many-requests", retry_after: 1 });
});

test("what leaves it open by itself is told as it is", async () => {
  const calling = (...answers) => talking(...answers).chat.changeRole("x", "bruno", "member");
  await assert.rejects(calling(LOST), { status: 0, type: "/problems/no-answer" });
  await assert.rejects(calling(LOST, UNKNOWN), { status: 503, detail: "outcome-unknown" });
  await assert.rejects(calling(LOST, GATEWAY), { status: 502, type: "about:blank" });
});

test("what only reads, and a sign-in, have no outcome that is open", async () => {
  await assert.rejects(talking(LOST, MISSING).chat.conversation("x"), { type: "/problems/not-found" });
  const signingIn = talking(LOST, EXPIRED).chat.signIn("ana", "sesame");
  await assert.rejects(signingIn, { type: "/problems/not-signed-in", detail: "not-signed-in" });
});

test("a conflict with one's own first request is waited for, any other one is told", async () => {
  const conflict = problem(409, "conflict");
  const created = await talking(LOST, conflict, conflict, DONE).chat.createGroup("Equipe", ["bruno"]);
  assert.equal(created.conversation_id, "c");
  for (const first of [EXPIRED, MANY]) {
    const { chat, keys } = talking(first, conflict, DONE);
    const added = chat.addMember("x", "bruno");
    await assert.rejects(added, { status: 409, type: "/problems/conflict" });
    assert.equal(keys.length, 2);
  }
});
