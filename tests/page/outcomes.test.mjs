/** What the page says and does when nobody knows what became of a request, without a browser. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

const STATIC = "../../src/chat4all/gateway/page/static";

globalThis.localStorage = {};
globalThis.sessionStorage = {};
globalThis.document = { documentElement: {} };
globalThis.location = { hash: "" };

const { default: account } = await import(`${STATIC}/core/account.js`);
const { default: groups } = await import(`${STATIC}/core/groups.js`);
const { default: outcomes } = await import(`${STATIC}/core/outcomes.js`);
const { use } = await import(`${STATIC}/core/i18n.js`);

const LOST = { status: 0, type: "/problems/no-answer", detail: "the server does not answer" };
const UNKNOWN = { status: 409, type: "/problems/outcome-unknown", detail: "taken; but an earlier try may have been done" };
const NOBODY_KNOWS = /^The server did not answer.* it will not be done twice\.$/;

use("en");

let app, client, keys;

beforeEach(() => {
  let made = 0;
  keys = [];
  client = {};
  app = {
    ...account, ...groups, ...outcomes, client, redraw() {}, search() {}, newKey: () => `k${++made}`,
    state: { me: { username: "bruno" }, conversations: new Map([["c", { id: "c" }]]), dialog: null },
  };
});

/** A call whose last argument has a key: what it answers to each try is given; an object is thrown. */
const answering = (...answers) => async (...given) => {
  keys.push(given.at(-1)?.key);
  const answer = answers.shift();
  if (answer) throw answer;
  return { conversation_id: "c", members: [] };
};

test("a group whose answer is lost is asked for under the same key, and another group under a new one", async () => {
  app.state.dialog = { kind: "new", group: true };
  client.createGroup = answering(LOST, UNKNOWN, LOST, LOST);
  for (const [title, names] of [["Team", ["ana"]], ["Team", ["ana"]], ["Team", ["ana", "eva"]], ["Club", ["ana", "eva"]]]) {
    await app.createGroup(title, names);
    assert.match(app.state.dialog.error, NOBODY_KNOWS);
    app.amend({ group: true });
  }
  assert.deepEqual(keys, ["k1", "k1", "k2", "k3"]);
  await app.createGroup("Club", ["ana", "eva"]);
  assert.deepEqual([keys.at(-1), app.state.dialog, location.hash], ["k3", null, "#/c/c"]);
  app.state.dialog = { kind: "new", group: true };
  await app.createGroup("Club", ["ana", "eva"]);
  assert.equal(keys.at(-1), "k4");
});

test("a second press while a group is being created is none", async () => {
  app.state.dialog = { kind: "new", group: true };
  client.createGroup = answering();
  await Promise.all([app.createGroup("Team", ["ana"]), app.createGroup("Team", ["ana"])]);
  assert.deepEqual(keys, ["k1"]);
});

test("what a failure means is said as far as it is known", () => {
  const told = (error, unknown) => app.reason(error, unknown);
  assert.equal(told(LOST), "No connection to the server.");
  for (const error of [LOST, { status: 502 }, UNKNOWN]) assert.match(told(error, "error_unknown"), NOBODY_KNOWS);
  assert.match(told(UNKNOWN), NOBODY_KNOWS);
  for (const error of [{ status: 502 }, { status: 503 }]) assert.match(told(error), /^The server cannot do that now/);
  assert.match(told({ status: 503 }, "error_unknown"), /^The server cannot do that now/);
  assert.equal(told({ status: 403, detail: "no" }, "error_unknown"), "That did not work: no");
});
