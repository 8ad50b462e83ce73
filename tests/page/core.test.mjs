/** What the page makes of what its client tells, without a browser. */
import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

const STATIC = "../../src/chat4all/gateway/page/static";

/** @returns {Storage} */
const storage = () => Object.create({
  getItem(key) { return Object.hasOwn(this, key) ? this[key] : null; },
  setItem(key, value) { this[key] = value; },
  removeItem(key) { delete this[key]; },
});

globalThis.localStorage = storage();
globalThis.sessionStorage = storage();
globalThis.document = { documentElement: {}, visibilityState: "visible", querySelector: () => null, getElementById: () => null };
globalThis.location = { hash: "" };

const { default: account } = await import(`${STATIC}/core/account.js`);
const { default: conversations } = await import(`${STATIC}/core/conversations.js`);
const { default: files } = await import(`${STATIC}/core/files.js`);
const { default: history } = await import(`${STATIC}/core/history.js`);
const { default: writing } = await import(`${STATIC}/core/writing.js`);
const { mentionBeing, parts } = await import(`${STATIC}/core/text.js`);
const { use } = await import(`${STATIC}/core/i18n.js`);
const vault = await import(`${STATIC}/core/vault.js`);

const message = (seq, more) => ({
  conversation_id: "c", message_id: `m${seq}`, seq, sender_id: "ana", content: `text ${seq}`, mentions: [],
  created_at: "2026-01-01T00:00:00Z", deleted_at: null, reply_to: null, reactions: [], ...more,
});
const upTo = (last, first = 1) => Array.from({ length: last - first + 1 }, (_, n) => message(first + n));
const listed = (seq, unread, more) => ({
  conversation_id: "c", type: "private", title: null, peer: "ana", role: "member", created_at: "2026-01-01T00:00:00Z",
  members: [{ username: "ana" }, { username: "bruno" }], member_count: 2, unread, unread_mentions: [],
  position: `${seq}.0`, last_message: seq ? message(seq) : null, ...more,
});

use("en");

let app, client, pages, said;

beforeEach(() => {
  for (const kept of [localStorage, sessionStorage]) for (const key of Object.keys(kept)) kept.removeItem(key);
  pages = [];
  said = [];
  client = {
    outbox: [],
    state: "connected",
    conversation: async () => listed(0, 0),
    receipts: async () => [],
    watch() {},
    history: (id, query) => ({ next: async () => ({ value: await pages.shift()(query) }) }),
  };
  app = {
    ...conversations, ...files, ...history, ...writing, client, uploads: [], links: new Map(), unlinked: [], arrived: new Map(), newest: 0, redraw() {}, draw() {}, tellTitle() {}, toast() {},
    reason: String, focusWhenDrawn() {}, isTouch: () => true,
    tellMessage: (_, { seq }) => said.push(seq),
    async attempt(act) { try { await act(); return true; } catch { return false; } },
    state: {
      phase: "signed-in", listed: true, me: { username: "bruno" }, conversations: new Map(), open: null, following: true, ui: {},
    },
  };
});

const page = (messages, { older = false, newer = false } = {}) => () =>
  ({ messages, position: `${messages.at(-1)?.seq ?? 0}.0`, has_older: older, has_newer: newer });
const settled = () => new Promise((resolve) => setImmediate(resolve));
const created = (seq) => app.takeMessage({ message: message(seq), position: `${seq}.0` });
const seqs = () => app.state.conversations.get("c").timeline.messages.map(({ seq }) => seq);

/** Open it with its newest page on the screen. */
async function open(last) {
  app.takeListed(listed(last, 0));
  pages.push(page(upTo(last)));
  app.state.open = "c";
  await app.load(app.state.conversations.get("c"));
  return app.state.conversations.get("c");
}

test("the first message of somebody new counts, and is told", async () => {
  let answer;
  client.conversation = () => new Promise((resolve) => (answer = resolve));
  created(1);
  created(2);
  answer(listed(1, 1)); // the second one came after that
  await settled();
  const found = app.state.conversations.get("c");
  assert.deepEqual([found.unread, found.last.seq, found.head], [2, 2, 2]);
  assert.deepEqual(said, [1, 2]);
});

test("one who is added to a group that is old has not all of it to read", async () => {
  client.conversation = async () => listed(1_000, 3, { type: "group", role: "admin" });
  await app.refresh("c");
  created(1_001);
  const found = app.state.conversations.get("c");
  assert.deepEqual([found.unread, found.role], [4, "admin"]);
});

test("what is looked at anew does not overtake what is told", async () => {
  await open(3);
  client.conversation = async () => listed(4, 1);
  await app.refresh("c");
  created(4);
  assert.deepEqual(seqs(), [1, 2, 3, 4]);
  assert.deepEqual(said, [4]);
});

test("a server that was put back to an older state is shown as it is", async () => {
  const found = await open(10);
  found.receipts = new Map([["ana", { read: 10, delivered: 10 }]]);
  pages.push(page(upTo(5)));
  app.takeReload({ conversation_id: "c", messages: upTo(5), position: "5.0" });
  await settled();
  assert.deepEqual(seqs(), [1, 2, 3, 4, 5]);
  created(6);
  assert.deepEqual(seqs(), [1, 2, 3, 4, 5, 6]);
  assert.deepEqual([found.head, found.last.seq, found.unread], [6, 6, 1]);
  assert.equal(found.receipts.get("ana")?.read, 6);
});

test("the last message, changed while the connection was lost, is shown as it is", async () => {
  const found = await open(3);
  pages.push(page(upTo(3)));
  app.takeReload({ conversation_id: "c", messages: [...upTo(2), message(3, { content: "edited" })], position: "3.1" });
  assert.equal(found.last.content, "edited");
});

test("who was mentioned while the connection was lost is told so", async () => {
  const found = await open(3);
  pages.push(page(upTo(6)));
  app.takeReload({ conversation_id: "c", messages: [message(4), message(5, { mentions: ["bruno"] }), message(6)], position: "6.0" });
  assert.deepEqual([found.unread, found.mentions], [3, [5]]);
});

test("one who reads further up stays there when the page reads anew what was missed", async () => {
  const found = await open(50);
  app.state.following = false;
  const item = { dataset: { key: "ana/m20", seq: "20" }, getBoundingClientRect: () => ({ top: 5, bottom: 25 }) };
  const scroll = {
    dataset: { of: "c" }, getBoundingClientRect: () => ({ top: 0, bottom: 500 }),
    querySelectorAll: () => [item], querySelector: () => item,
  };
  mock.method(document, "getElementById", () => scroll);
  globalThis.CSS ??= { escape: (text) => text };
  let asked;
  pages.push((query) => ((asked = query), page(upTo(45, 1), { newer: true })()));
  app.takeReload({ conversation_id: "c", messages: upTo(900, 701), position: "900.0" });
  await found.loading;
  mock.reset();
  assert.equal(asked.around, 20);
});

test("a page that was asked for before a reload is read again", async () => {
  app.takeListed(listed(3, 0));
  app.state.open = "c";
  const found = app.state.conversations.get("c");
  let answer;
  pages.push(() => new Promise((resolve) => (answer = resolve)), page([message(1), message(2), message(3, { content: "edited" })]));
  app.load(found);
  await settled();
  app.takeReload({ conversation_id: "c", messages: upTo(3), position: "3.1" });
  answer(page(upTo(3))());
  await new Promise((resolve) => setTimeout(resolve, 5));
  await found.loading;
  assert.equal(found.timeline.messages.at(-1).content, "edited");
});

test("a message that is missing in the history neither hides others nor is asked for again and again", async () => {
  const found = await open(3);
  pages.push(page([...upTo(3), message(5)]));
  created(5);
  await found.loading;
  assert.deepEqual(seqs(), [1, 2, 3, 5]);
  created(6);
  assert.deepEqual(seqs(), [1, 2, 3, 5, 6]);
  const { timeline } = found;
  timeline.replace(upTo(20, 11), { atStart: false, atEnd: true });
  timeline.prepend(upTo(9, 1), true, 11); // 10 is missing
  assert.equal(timeline.first, 1);
  assert.equal(timeline.atStart, true);
});

test("a page that is next to what was there before is passed over", async () => {
  const { timeline } = await open(20);
  timeline.prepend(upTo(9, 5), false, 10);
  timeline.append(upTo(30, 26), true, 25);
  assert.deepEqual([timeline.first, timeline.last], [1, 20]);
});

test("a message is delivered once it has reached everybody else, and read once they have read it", async () => {
  const found = await open(3);
  const own = message(3, { sender_id: "bruno" });
  assert.equal(app.stateOf(found, own), "sent");
  client.receipts = async () => [{ username: "ana", read_seq: 1, delivered_seq: 2 }];
  await app.loadReceipts(found);
  assert.equal(app.stateOf(found, own), "sent");
  app.takeDelivered({ conversation_id: "c", username: "ana", seq: 3 });
  assert.equal(app.stateOf(found, own), "delivered");
  app.takeDelivered({ conversation_id: "c", username: "ana", seq: 2 });
  assert.equal(app.stateOf(found, own), "delivered");
  app.takeRead({ conversation_id: "c", username: "ana", seq: 3 });
  assert.equal(app.stateOf(found, own), "read");
  app.takeRead({ conversation_id: "c", username: "ana", seq: 4 }); // and has received it, therefore
  assert.equal(app.stateOf(found, message(4, { sender_id: "bruno" })), "read");
});

test("an edit that was not taken comes back into the field", async () => {
  const found = await open(3);
  const own = message(3, { sender_id: "bruno" });
  client.edit = async () => { throw new Error("no answer"); };
  Object.assign(found, { editing: own, draft: "better" });
  app.submit(found);
  await settled();
  assert.deepEqual([found.editing, found.draft], [own, "better"]);
});

test("a tab that signs out forgets its own account and no other", async () => {
  const tokens = vault.tokens();
  await tokens.save({ username: "bruno", refresh_token: "b", access_token: "", renew_at: 0 });
  vault.choose("ana"); // somebody else has signed in in this browser
  sessionStorage.setItem("chat4all.token.ana", "a");
  await tokens.save(null);
  assert.equal(await vault.tokens().load().then((kept) => kept.username), "ana");
  assert.equal(sessionStorage.getItem("chat4all.token.bruno"), null);
});

test("a draft that another tab writes during the sign-out goes too", async () => {
  const draft = "chat4all.draft.bruno.c";
  Object.assign(app, {
    ...account, redraw() {}, reset() {}, enter() {},
    client: { outbox: [], logout: async () => localStorage.setItem(draft, "secret") },
  });
  await app.signOut();
  assert.equal(localStorage.getItem(draft), null);
});

test("a sign-out that would lose unsent messages asks first", async () => {
  let asked, ended = false;
  Object.assign(app, {
    ...account, redraw() {}, ask: async (...texts) => ((asked = texts), false),
    client: { outbox: [{}], logout: async () => (ended = true) },
  });
  await app.signOut();
  assert.match(asked[1], /^1 message was not sent/);
  assert.equal(ended, false);
});

test("how far one has read is told once the server can be told", async () => {
  const found = await open(3);
  const told = [];
  client.read = async (_, seq) => { throw told.push(seq); };
  found.readSeq = 3;
  app.sayRead(found);
  await settled();
  const listeners = {};
  client.addEventListener = (type, take) => (listeners[type] = take);
  app.listen(client);
  app.watched = "";
  client.read = async (_, seq) => told.push(seq);
  listeners.Connected({ detail: {} });
  await settled();
  listeners.Connected({ detail: {} });
  assert.deepEqual(told, [3, 3]);
});

test("a link is what it is read as", () => {
  const links = (text) => parts(text).filter((part) => part.link && typeof part !== "string").map(({ link }) => link);
  assert.deepEqual(links("see https://a.example/x_(y), (https://b.example/z)."), ["https://a.example/x_(y)", "https://b.example/z"]);
  assert.deepEqual(links("https://evil.example/\u202egro.elpmaxe.doog//:sptth"), ["https://evil.example/"]);
  assert.deepEqual(links("javascript:alert(1) data:text/html,x JAVASCRIPT://x"), []);
});

test("two files are uploaded at a time, and one that is paused lets the next one begin", async () => {
  const found = await open(3);
  const begun = [];
  client.sendFile = (_, { name }, { signal }) => new Promise((resolve, reject) => {
    begun.push({ name, resolve });
    signal.addEventListener("abort", () => reject(signal.reason));
  });
  const names = () => begun.map(({ name }) => name);
  app.toNewest = () => {};
  app.attach(found, ["a", "b", "c", "d"].map((name) => ({ name, size: 1 })));
  assert.deepEqual(names(), ["a", "b"]);
  app.pauseUpload(app.uploads[0]);
  assert.deepEqual(names(), ["a", "b", "c"]);
  begun[1].resolve();
  await settled();
  assert.deepEqual(names(), ["a", "b", "c", "d"]);
  assert.deepEqual(app.uploads.map(({ state }) => state), ["paused", "uploading", "uploading"]);
});

test("what was refused before it was a message says why, and can be tried again", async () => {
  const found = await open(3);
  client.sendFile = async () => { throw Error("too large"); };
  app.toNewest = () => {};
  app.attach(found, [{ name: "a", size: 1 }]);
  await settled();
  const [upload] = app.uploads;
  assert.deepEqual([upload.state, upload.reason], ["failed", "Error: too large"]);
  client.sendFile = async () => "m9";
  await app.resumeUpload(upload);
  assert.deepEqual(app.uploads, []);
});

test("a file's address is asked for once, and anew once it has expired", async (it) => {
  it.mock.timers.enable({ apis: ["Date"] });
  let made = 0;
  client.fileLink = async (id) => ({ url: `/v1/files/${id}?link=${++made}` });
  const video = message(1, { kind: "video", payload: { file_id: "f", type: "video/mp4" } });
  assert.equal(app.linkOf(video).url, "");
  app.linkOf(video);
  await settled();
  assert.equal(app.linkOf(video).url, "/v1/files/f?link=1");
  it.mock.timers.tick(16 * 60_000);
  const player = { addEventListener() {} };
  app.renewLink(video.payload, player);
  await settled();
  assert.equal(app.linkOf(video).url, "/v1/files/f?link=2");
  // One that is refused at once is not asked for again and again.
  app.renewLink(video.payload, player);
  assert.deepEqual([app.linkOf(video).broken, made], [true, 2]);
  assert.equal(app.linkOf({ ...video, deleted_at: "2026-01-01T00:00:00Z" }), null);
});

test("a picture that is refused is drawn again three times, each time later, at the same address", async (it) => {
  it.mock.timers.enable({ apis: ["Date", "setTimeout"] });
  let made = 0;
  client.fileLink = async (id) => ({ url: `/v1/files/${id}?link=${++made}` });
  const image = message(1, { kind: "image", payload: { file_id: "f", type: "image/png" } });
  app.linkOf(image);
  await settled();
  for (const seconds of [2, 4, 6]) {
    app.renewLink(image.payload);
    it.mock.timers.tick(seconds * 1_000 - 1);
    assert.equal(app.linkOf(image).url, "");
    it.mock.timers.tick(1);
    assert.equal(app.linkOf(image).url, "/v1/files/f?link=1");
  }
  app.renewLink(image.payload);
  assert.deepEqual([app.linkOf(image).broken, made], [true, 1]);
});

test("conversations are in the server's order and that of what comes live, whatever their messages' times are", async () => {
  const at = (conversation_id, created_at) =>
    listed(1, 0, { conversation_id, last_message: message(1, { conversation_id, created_at }) });
  const told = (conversation_id, seq, created_at) =>
    app.takeMessage({ message: message(seq, { conversation_id, created_at }), position: `${seq}.0` });
  const listeners = {};
  const order = () => app.sorted().map(({ id }) => id).join(" ");
  client.addEventListener = (type, take) => (listeners[type] = take);
  app.listen(client);
  client.connect = async () => {};
  client.conversations = async function* () {
    yield at("a", "2026-01-01T10:00:00Z");
    yield at("b", "2026-01-01T12:00:00Z"); // the server's clock was ahead
    yield at("c", "2099-01-01T00:00:00Z");
  };
  location.hash = "";
  await app.list(client);
  assert.equal(order(), "a b c");
  told("b", 2, "2026-01-01T10:01:00Z");
  told("a", 2, "2026-01-01T10:00:30Z");
  assert.equal(order(), "a b c");
  client.conversation = async (conversation_id) => at(conversation_id, "2020-01-01T00:00:00Z");
  await app.refresh("b");
  assert.equal(order(), "a b c");
  await app.refresh("new");
  assert.equal(order(), "new a b c");
  // What was missed comes in no order.
  listeners.Disconnected({ detail: {} });
  client.state = "connecting";
  told("b", 3, "2026-01-01T10:07:00Z");
  told("c", 2, "2026-01-01T10:09:00Z");
  app.takeReload({ conversation_id: "a", messages: [message(3, { conversation_id: "a", created_at: "2026-01-01T10:08:00Z" })], position: "3.0" });
  app.takeReload({ conversation_id: "new", messages: [], position: "1.1" });
  assert.equal(order(), "c a b new");
  client.state = "connected";
  told("b", 4, "2026-01-01T09:00:00Z");
  assert.equal(order(), "b c a new");
});

test("who is typing, what is asked again and what is said of typing do not wait for a clock that was set back", async (it) => {
  const found = await open(3);
  const clock = it.mock.method(performance, "now", () => 1_000);
  const typings = [];
  client.typing = (id) => typings.push(id);
  it.mock.timers.enable({ apis: ["Date", "setTimeout"], now: Date.now() + 7_200_000 });
  app.takeTyping({ conversation_id: "c", username: "ana" });
  app.write(found, "a");
  found.timeline.loaded = false;
  pages.push(() => { throw Error("no answer"); }, page(upTo(2)));
  await app.load(found);
  found.timeline.loaded = true;
  found.timeline.atStart = false;
  const scroll = { scrollTop: 0, scrollHeight: 0, clientHeight: 0 };
  app.fill(found, scroll);
  assert.deepEqual([app.typingIn(found), typings, pages.length], [["ana"], ["c"], 1]);
  it.mock.timers.setTime(0);
  clock.mock.mockImplementation(() => 9_001);
  app.write(found, "ab");
  app.fill(found, scroll);
  assert.deepEqual([app.typingIn(found), typings, pages.length], [[], ["c", "c"], 0]);
  client.fileLink = async () => ({ url: "anew" });
  app.links.set("f", { url: "expired", made: 7_200_000 });
  app.renewLink({ file_id: "f" });
  await settled();
  assert.equal(app.links.get("f").url, "anew");
});

test("a name that is being written is found however it is spelled", () => {
  assert.deepEqual(mentionBeing("so @Jose\u0301", 9), { start: 3, prefix: "josé" }); // as some keyboards write it
  assert.deepEqual(mentionBeing("@ana.b, yes", 6), { start: 0, prefix: "ana.b" });
  assert.equal(mentionBeing("ana@b", 5), null);
});

test("of what was missed the receipts say who has read, as its senders may be programs that do not", async () => {
  const found = await open(3);
  const read = (username, read_seq) => ({ username, read_seq, delivered_seq: 3 });
  const own = message(3, { sender_id: "bruno" });
  const listeners = {};
  client.addEventListener = (type, take) => (listeners[type] = take);
  app.listen(client);
  client.receipts = async () => [read("ana", 1), read("bruno", 3)];
  await app.loadReceipts(found);
  for (const isOpen of [true, false]) {
    app.state.open = isOpen ? "c" : null;
    client.state = "connecting";
    const seq = found.head + 1;
    created(seq);
    app.takeMessage({ message: message(seq + 1, { sender_id: "bruno" }), position: `${seq + 1}.0` });
    app.takeReload({ conversation_id: "c", messages: [message(seq + 2), message(seq + 3, { sender_id: "bruno" })], position: `${seq + 3}.0` });
    pages.push(page(upTo(seq + 3)));
    await settled();
    client.state = "connected";
    listeners.Connected({ detail: {} });
    await settled();
    assert.deepEqual([app.stateOf(found, own), found.unread, found.isDoubtful], ["delivered", found.head - 3, false]);
  }
  // While connected there is no `Connected` to wait for.
  client.receipts = async () => [read("ana", found.head), read("bruno", found.head)];
  const seq = found.head + 1;
  app.takeReload({ conversation_id: "c", messages: [message(seq, { sender_id: "bruno" })], position: `${seq}.0` });
  await settled();
  assert.deepEqual([app.stateOf(found, own), found.unread], ["read", 0]);
  created(seq + 1);
  assert.equal(app.stateOf(found, message(seq + 1, { sender_id: "bruno" })), "read");
});
