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
    makeClient: () => client, enterWith: async () => (app.state.phase = "signed-in"), ask: async () => true,
    refresh() {}, nameOf: String, toast: (text) => (app.toasted = text),
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

test("a member whose answer is lost is added under the same key, whoever else is added meanwhile", async () => {
  const group = { id: "c" };
  client.addMember = answering(LOST, LOST);
  client.removeMember = async () => {};
  await app.addMember(group, "ana");
  assert.match(app.toasted, NOBODY_KNOWS);
  await app.addMember(group, "eva");
  await app.addMember(group, "ana");
  assert.deepEqual([keys, app.toasted], [["k1", "k2", "k1"], "ana is in the group now."]);
  await app.addMember(group, "ana"); // somebody has removed ana
  assert.equal(keys.at(-1), "k3");
  await app.removeMember(group, "eva"); // who was added after all
  await app.addMember(group, "eva");
  assert.equal(keys.at(-1), "k4");
});

const EVA = { username: "eva", email: "eva@example.com", password: "sesame" };

test("a sign-up whose answer is lost is asked for under the same key, and another one under a new one", async () => {
  app.enter = (mode) => (app.state.entrance = { mode, busy: false, error: null, fields: {} });
  app.enter("up");
  client.signUp = answering(LOST, UNKNOWN, LOST);
  client.signIn = async (...given) => assert.deepEqual(given, ["iva", "sesame"]);
  for (const username of ["eva", "eva", "iva"]) {
    await app.signUp({ ...EVA, username });
    assert.match(app.state.entrance.error, NOBODY_KNOWS);
  }
  await app.signUp({ ...EVA, username: "iva" });
  assert.deepEqual([keys, app.state.phase], [["k1", "k1", "k2", "k2"], "signed-in"]);
});

test("an account that nobody could be signed in with yet is there, and is not signed up for again", async () => {
  const entrance = { mode: "up", busy: false, error: null, fields: {} };
  Object.assign(app.state, { entrance });
  client.signUp = answering();
  client.signIn = async () => { throw LOST; };
  await app.signUp(EVA);
  const { mode, busy, note, error } = entrance;
  assert.deepEqual([mode, busy, note, error], ["in", false, "Your account was created. Sign in with it.", "No connection to the server."]);
  client.signIn = async () => {};
  await app.signIn("eva", "sesame");
  assert.deepEqual([app.state.phase, keys], ["signed-in", ["k1"]]);
});

test("who has left the form to sign up is not signed in by it", async () => {
  app.state.entrance = { mode: "up", busy: false, error: null, fields: {} };
  client.signUp = async () => { app.state.entrance = { mode: "in", busy: false }; };
  await app.signUp(EVA);
  assert.deepEqual(app.state.entrance, { mode: "in", busy: false });
});

const settled = () => new Promise((resolve) => setImmediate(resolve));
const DEVICES = [{ session_id: "own", current: true }, { session_id: "s1", current: false }, { session_id: "s2", current: false }];

test("a password that was set is said to be, whether the devices can be listed then or not", async () => {
  app.state.dialog = { kind: "profile", devices: DEVICES };
  client.changeProfile = answering(LOST);
  client.sessions = async () => { throw LOST; };
  assert.equal(await app.changePassword({}), false);
  assert.match(app.state.dialog.error, /^The server did not answer\. The new password may be set already/);
  assert.deepEqual(await Promise.all([app.changePassword({}), app.changePassword({})]), [true, false]);
  await settled();
  const { done, error, devices } = app.state.dialog;
  assert.deepEqual([keys.length, done, error], [2, "Changed. Your other devices were signed out.", null]);
  assert.deepEqual(devices, DEVICES.slice(0, 1));
});

test("a device that was signed out is gone, whether the others can be listed then or not", async () => {
  app.state.dialog = { kind: "profile", devices: DEVICES };
  const shown = () => app.state.dialog.devices.map(({ session_id }) => session_id);
  client.endSession = answering(LOST, { status: 404, detail: "no such session" });
  client.sessions = async () => { throw LOST; };
  await app.endDevice(DEVICES[1]);
  assert.match(app.toasted, NOBODY_KNOWS);
  app.toasted = null;
  await app.endDevice(DEVICES[1]);
  await settled();
  assert.deepEqual([app.toasted, shown()], [null, ["own", "s2"]]);
  await app.endDevice(DEVICES[2]);
  await settled();
  assert.deepEqual([app.toasted, shown()], [null, ["own"]]);
  client.sessions = async () => DEVICES.slice(0, 2); // signed in again
  await app.endDevice(DEVICES[2]);
  await settled();
  assert.deepEqual(shown(), ["own", "s1"]);
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
