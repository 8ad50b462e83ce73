/** Files: sent once, over breaks and other runs. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Client, memoryStorage } from "../../clients/js/chat4all.js";
import { CHAT, FakeServer, held, until } from "./fake.mjs";

const SIZE = 3_000_000;
const bytes = Uint8Array.from({ length: SIZE }, (_, index) => (index * 7 + (index >> 8)) % 251);
const film = () => new File([bytes], "praia ☀.mp4", { type: "video/mp4", lastModified: 1 });

/** A server that keeps uploads, and what it was sent of each. */
class Uploads extends FakeServer {
  /** By id: its size, name, and what came. */
  uploads = new Map();
  /** What is done with a PATCH before anything else. */
  faults = [];
  /** What a HEAD is answered at first. */
  heads = [];
  /** What lets each POST go on, or fail, where they are held. */
  posting = null;
  /** What each DELETE waits for. */
  deleting = null;
  requests = [];
  tries = 0;

  fetch = async (url, request) => {
    const { pathname } = new URL(url);
    if (!pathname.startsWith("/v1/files")) return this.plain.fetch(url, request);
    request.signal.throwIfAborted();
    this.tries += 1;
    if (!this.isOnline) throw new TypeError("fetch failed");
    const { method, headers, body } = request;
    assert.equal(headers["Tus-Resumable"], "1.0.0");
    const id = pathname.split("/")[3];
    const upload = this.uploads.get(id);
    this.requests.push({ method, id, offset: Number(headers["Upload-Offset"]), size: body?.byteLength });
    if (method === "POST") {
      if (this.posting) {
        await new Promise((resolve, reject) => this.posting.push((error) => (error ? reject(error) : resolve())));
      }
      const made = `550e8400-e29b-41d4-a716-44665544${1000 + this.uploads.size}`;
      const name = Buffer.from(headers["Upload-Metadata"].split(" ")[1], "base64").toString();
      this.uploads.set(made, { size: Number(headers["Upload-Length"]), name, has: Buffer.alloc(0) });
      return new Response(null, { status: 201, headers: { Location: `/v1/files/${made}` } });
    }
    if (!upload) return new Response(null, { status: 404 });
    if (method === "DELETE") {
      await this.deleting;
      this.uploads.delete(id);
      return new Response(null, { status: 204 });
    }
    if (method === "PATCH") {
      const fault = this.faults.shift();
      if (fault === "before") throw new TypeError("fetch failed");
      if (typeof fault === "number") return new Response(null, { status: fault });
      const answer = typeof fault === "function" && (await fault(upload));
      if (answer) return answer;
      if (Number(headers["Upload-Offset"]) !== upload.has.length) return new Response(null, { status: 409 });
      upload.has = Buffer.concat([upload.has, Buffer.from(body)]);
      if (fault === "after") throw new TypeError("terminated");
    }
    if (method === "HEAD" && this.heads.length) return this.heads.shift();
    const offset = String(upload.has.length);
    return new Response(null, { status: method === "HEAD" ? 200 : 204, headers: { "Upload-Offset": offset } });
  };

  /** Everything else. */
  plain = new FakeServer();

  of(method) {
    return this.requests.filter((one) => one.method === method);
  }
}

let server, chat, storage;

const clientOf = (options) => new Client("http://server", { ...server.options, storage, ...options });

beforeEach(() => {
  server = new Uploads();
  storage = memoryStorage();
  chat = clientOf();
});

test("a file is uploaded and named by one message", async () => {
  const steps = [];
  const onProgress = (done, size, id) => steps.push([done, size, id]);
  const sent = await chat.sendFile(CHAT, film(), { content: "olha", alt: "o mar", onProgress });
  const [[id, upload]] = server.uploads;
  assert.deepEqual([upload.name, upload.size], ["praia ☀.mp4", SIZE]);
  assert.ok(upload.has.equals(bytes));
  const { message_id, kind, content, payload } = server.plain.accepted[0];
  assert.deepEqual({ message_id, kind, content, payload }, {
    message_id: sent, kind: "video", content: "olha", payload: { file_id: id, alt: "o mar" },
  });
  assert.deepEqual([steps[0], steps.at(-1)], [[0, SIZE, sent], [SIZE, SIZE, sent]]);
  assert.ok(steps.length > 3, "progress is told in steps");
  assert.deepEqual(await storage.keys(""), []);
});

test("nothing that was acknowledged is sent again", async () => {
  server.faults = [undefined, "before", undefined, "after", 423, 503, 409];
  await chat.upload(film());
  const [[, upload]] = server.uploads;
  assert.ok(upload.has.equals(bytes));
  assert.equal(server.faults.length, 0);
  // Each request began where the server was, or the server has refused it.
  const taken = server.of("PATCH").reduce((sum, { size }) => sum + size, 0);
  assert.ok(server.of("HEAD").length >= 5 && taken > SIZE);
  const offsets = server.of("PATCH").map(({ offset }) => offset);
  assert.deepEqual(offsets, offsets.toSorted((one, two) => one - two));
});

test("another run goes on where the first was, and the message is there once", async () => {
  const stop = new AbortController();
  server.faults = [undefined, undefined, () => stop.abort(new Error("paused"))];
  await assert.rejects(chat.sendFile(CHAT, film(), { signal: stop.signal }), /paused/);
  await chat.close();
  const [[id, upload]] = server.uploads;
  const had = upload.has.length;
  assert.ok(had > 0 && had < SIZE);
  server.requests = [];
  chat = clientOf();
  const sent = await chat.sendFile(CHAT, film());
  assert.deepEqual(server.of("POST"), []);
  assert.equal(server.of("PATCH")[0].offset, had);
  assert.equal(server.plain.accepted[0].payload.file_id, id);
  assert.ok(upload.has.equals(bytes));
  assert.equal(server.plain.accepted[0].message_id, sent);
});

test("a run that ends before the message is accepted does not make two", async () => {
  let answer;
  server.plain.answers.push(new Promise((resolve) => (answer = resolve)));
  const progress = [];
  const lost = chat.sendFile(CHAT, film(), { onProgress: (...said) => progress.push(said) });
  lost.catch(() => {});
  await until(() => chat.outbox.length === 1);
  // A process that dies forgets nothing of what it had kept.
  const kept = (await storage.keys("")).filter((key) => key.includes("upload"));
  assert.equal(kept.length, 1);
  assert.equal((await storage.get(kept[0])).message_id, progress[0][2]);
  answer(202);
  assert.equal(await lost, progress[0][2]);
});

test("an upload that has expired is begun anew", async () => {
  const stop = new AbortController();
  server.faults = [() => stop.abort()];
  await assert.rejects(chat.sendFile(CHAT, film(), { signal: stop.signal }));
  server.uploads.clear();
  await chat.sendFile(CHAT, film());
  assert.equal(server.plain.accepted.length, 1);
});

test("files without a name or a time are not taken for one another", async () => {
  const stop = new AbortController();
  server.faults = [() => stop.abort()];
  await assert.rejects(chat.sendFile(CHAT, new Blob([bytes]), { signal: stop.signal }));
  await chat.sendFile(CHAT, new Blob([bytes]));
  assert.equal(server.of("POST").length, 2);
  assert.equal(server.plain.accepted[0].kind, "file");
});

test("a refusal after a long outage is not one too many", async () => {
  const outage = Array.from({ length: 15 }, () => "before");
  server.faults = [undefined, ...outage, 423, 409, ...outage, 423];
  await chat.upload(film());
  assert.equal(server.faults.length, 0);
  server.faults = Array.from({ length: 20 }, () => 423);
  await assert.rejects(chat.upload(film()), { status: 423 });
  assert.equal(server.faults.length, 9);
});

/** Answers to HEAD while another request finishes the upload. */
const busy = (times) =>
  Array.from({ length: times }, (_, index) =>
    index % 2 ? new Response(null, { status: 409 }) : new Response(null, { status: 423, headers: { "Retry-After": "3" } }));

test("an upload that is being finished is waited for, a larger one longer", async () => {
  const small = new File([bytes.subarray(0, 9)], "a.txt", { lastModified: 1 });
  server.faults = ["after"];
  server.heads = busy(10);
  const id = await chat.upload(small);
  assert.ok(server.uploads.has(id));
  assert.equal(server.of("PATCH").length, 1);
  server.faults = ["after"];
  server.heads = busy(99);
  await assert.rejects(chat.upload(small), { status: 423 });
  assert.equal(server.heads.length, 99 - 11);
  // One of 160 MB, of which all but the last bytes have come.
  const large = Object.assign(new File([], "b.bin", { lastModified: 1 }), { slice: () => new Blob(["b"]) });
  Object.defineProperty(large, "size", { value: 160_000_000 });
  const end = new Response(null, { headers: { "Upload-Offset": "160000000" } });
  server.faults = ["after"];
  server.heads = [...busy(12), end];
  assert.ok(server.uploads.has(await chat.upload(large)));
});

test("a request that stalled is gone on with", async () => {
  const some = (upload) => {
    upload.has = Buffer.from(bytes.subarray(0, 1_000));
    return new Response(null, { status: 408 });
  };
  server.faults = [some, ...Array.from({ length: 12 }, () => 408), 503];
  await chat.upload(film());
  assert.ok(server.uploads.values().next().value.has.equals(bytes));
  assert.deepEqual(server.of("PATCH").slice(0, 2).map(({ offset }) => offset), [0, 1_000]);
});

test("what the server says wrongly is a defect", async () => {
  server.faults = [() => new Response(null, { status: 204, headers: { "Upload-Offset": "much" } })];
  await assert.rejects(chat.upload(film()), { name: "ChatError", type: "/problems/defect" });
});

/** Answers of a server that checks the file first. */
const checked = (times) =>
  Array.from({ length: times }, () => [409, { type: "/problems/conflict", detail: "checked" }, { "Retry-After": "20" }]);

test("a file that is being checked is sent when it may be, and holds up nothing", async () => {
  server.plain.answers.push(...checked(1));
  const isRefused = new Promise((resolve) => {
    chat.addEventListener("OutboxChanged", ({ detail }) => detail.unsent.state === "failed" && resolve());
  });
  const sent = chat.sendFile(CHAT, film());
  await isRefused;
  await chat.send(CHAT, "later");
  const id = await sent;
  assert.deepEqual(server.plain.accepted.map(({ content }) => content), ["later", undefined]);
  assert.equal(server.plain.accepted[1].message_id, id);
  assert.deepEqual([chat.outbox, await storage.keys("")], [[], []]);
});

test("a check that does not end is given up, and what was uploaded is kept", async () => {
  server.plain.answers.push(...checked(99));
  await assert.rejects(chat.sendFile(CHAT, film()), { status: 409, retry_after: 20 });
  assert.ok(server.plain.answers.length > 50, "it has an end");
  assert.deepEqual(chat.outbox, []);
  server.plain.answers = [];
  await chat.sendFile(CHAT, film());
  assert.equal(server.of("POST").length, 1);
});

test("a wait for the check can be aborted", async () => {
  const stop = new AbortController();
  server.plain.answers.push(...checked(99));
  const sent = clientOf({ pace: 1 }).sendFile(CHAT, film(), { signal: stop.signal });
  sent.catch(() => {});
  await until(() => server.plain.tries.length);
  stop.abort(new Error("paused"));
  await assert.rejects(sent, /paused/);
  assert.equal((await storage.keys("")).length, 1, "the upload is kept");
});

test("a wait that is aborted leaves no timer behind, which would keep a program running", async (t) => {
  const waiting = held(t, (ms) => ms === 3_600_000);
  const stop = new AbortController();
  const later = () => new Response(null, { status: 503, headers: { "Retry-After": "3600" } });
  server.faults = [later];
  const sent = clientOf({ pace: 1 }).sendFile(CHAT, film(), { signal: stop.signal });
  sent.catch(() => {});
  await until(() => waiting.size);
  stop.abort(new Error("paused"));
  await assert.rejects(sent, /paused/);
  assert.equal(waiting.size, 0);
});

test("a file that was refused by the check is refused", async () => {
  server.plain.answers.push(...checked(1), [409, { type: "/problems/conflict", detail: "refused" }]);
  await assert.rejects(chat.sendFile(CHAT, film()), { status: 409, detail: "refused" });
  assert.equal(chat.outbox[0].state, "failed");
});

test("a refusal ends it", async () => {
  server.faults = [413];
  await assert.rejects(chat.sendFile(CHAT, film()), { status: 413 });
  assert.equal(server.plain.accepted.length, 0);
});

test("an upload that is given up is deleted at the server", async () => {
  const stop = new AbortController();
  server.faults = [() => stop.abort()];
  await assert.rejects(chat.sendFile(CHAT, film(), { signal: stop.signal }));
  await chat.discardUpload(film(), { conversation_id: CHAT });
  assert.equal(server.uploads.size, 0);
  assert.deepEqual(await storage.keys(""), []);
});

/** Let whatever can be asked for without an answer be asked for. */
const asked = async () => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
};

/** Send the film, and abort that while its POST is held. */
const abortedWhileBegun = async () => {
  server.posting = [];
  const stopping = new AbortController();
  const stopped = chat.sendFile(CHAT, film(), { signal: stopping.signal });
  await until(() => server.posting.length);
  stopping.abort();
  await assert.rejects(stopped, { name: "AbortError" });
};

for (const answered of ["before", "after"]) {
  test(`an upload that was aborted while it was begun is gone on with: answered ${answered}`, async () => {
    await abortedWhileBegun();
    if (answered === "before") {
      server.posting.pop()();
      await until(() => server.uploads.size);
    }
    const sending = chat.sendFile(CHAT, film());
    if (answered === "after") {
      await asked();
      server.posting.pop()();
    }
    await sending;
    assert.equal(server.of("POST").length, 1);
    const [[id, upload]] = server.uploads;
    assert.ok(upload.has.equals(bytes));
    assert.deepEqual(server.plain.accepted.map(({ payload }) => payload.file_id), [id]);
  });

  test(`an upload that is given up while it is begun is deleted: answered ${answered}`, async () => {
    await abortedWhileBegun();
    const answer = () => server.posting.pop()();
    if (answered === "before") {
      answer();
      await until(() => server.uploads.size);
    }
    const discarding = chat.discardUpload(film(), { conversation_id: CHAT });
    if (answered === "after") {
      await asked();
      answer();
    }
    await discarding;
    assert.equal(server.of("DELETE").length, 1);
    assert.equal(server.uploads.size, 0);
    // And nothing of it is gone on with.
    server.posting = null;
    await chat.sendFile(CHAT, film());
    assert.equal(server.of("POST").length, 2);
  });
}

test("a file that is sent again while it is given up is another upload", async () => {
  await abortedWhileBegun();
  const discarding = chat.discardUpload(film(), { conversation_id: CHAT });
  const again = chat.sendFile(CHAT, film());
  await asked();
  const [answer] = server.posting;
  server.posting = null;
  let goOn;
  server.deleting = new Promise((resolve) => (goOn = resolve));
  answer();
  await until(() => server.of("DELETE").length);
  // Time enough to send all of it to the upload that is being deleted.
  for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate);
  goOn();
  await Promise.all([discarding, again]);
  assert.equal(server.of("POST").length, 2);
  assert.equal(server.of("DELETE").length, 1);
  const [[id, upload]] = server.uploads;
  assert.ok(upload.has.equals(bytes));
  assert.deepEqual(server.plain.accepted.map(({ payload }) => payload.file_id), [id]);
});

test("a beginning that fails while nobody waits for it is no error, and is tried anew", async () => {
  await abortedWhileBegun();
  server.posting.pop()(new TypeError("fetch failed"));
  server.posting = null;
  await asked(); // an unhandled rejection fails the test
  await chat.sendFile(CHAT, film());
  assert.equal(server.of("POST").length, 2);
});

test("closing the client ends an upload that waits", async () => {
  server.isOnline = false;
  const sent = chat.upload(film());
  sent.catch(() => {});
  await until(() => server.tries);
  await chat.close();
  await assert.rejects(sent, { type: "/problems/closed" });
});
