/** Downloads: over breaks, to the last byte, and checked. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { beforeEach, mock, test } from "node:test";

import { Sha256 } from "../../clients/js/chat4all-files.js";
import { Client } from "../../clients/js/chat4all.js";
import { FakeServer, until } from "./fake.mjs";

const ID = "550e8400-e29b-41d4-a716-446655441000";
const PIECE = 64 * 1_024;
const SIZE = 6_000_000;
const bytes = Uint8Array.from({ length: SIZE }, (_, index) => (index * 7 + (index >> 8)) % 251);
const HALF = 3_000_001;
const sha256 = (/** @type {Uint8Array} */ of) => createHash("sha256").update(of).digest("hex");

/** A server with one file, which serves a request as the next of its faults says. */
class Downloads extends FakeServer {
  file = bytes;
  tag = `"${sha256(bytes)}"`;
  /** By request: a function that answers it, or changes the answer; nothing serves it well. */
  faults = [];
  requests = [];

  fetch = async (url, request) => {
    const { pathname } = new URL(url);
    if (!pathname.startsWith("/v1/files")) return this.plain.fetch(url, request);
    request.signal.throwIfAborted();
    const { method, headers } = request;
    if (!this.plain.good.has(headers.Authorization.replace("Bearer ", ""))) {
      return new Response(null, { status: 401 });
    }
    const { Range, "If-Range": condition } = headers;
    this.requests.push({ method, path: pathname, from: Number(Range?.match(/\d+/)[0] ?? 0), condition });
    const answer = this.answerTo(method, Range, condition);
    const given = (await this.faults.shift()?.(answer, request)) ?? answer;
    return given instanceof Response ? given : this.streamed(given, request.signal);
  };

  answerTo(method, range, condition) {
    const { length } = this.file;
    const isPart = range && (!condition || condition === this.tag);
    const start = isPart ? Number(range.match(/^bytes=(\d+)-$/)[1]) : 0;
    if (isPart && start >= length) return new Response(null, { status: 416 });
    const headers = { "Content-Type": "video/mp4", "Content-Length": String(length - start), ETag: this.tag };
    if (isPart) headers["Content-Range"] = `bytes ${start}-${length - 1}/${length}`;
    const body = method === "HEAD" ? new Uint8Array() : this.file.subarray(start);
    return { status: isPart ? 206 : 200, headers, body, ends: body.length };
  }

  /** `ends`: bytes after which it breaks; with `stalls` nothing comes after them. */
  streamed({ status, headers, body, ends, stalls }, signal) {
    let at = 0;
    const start = (controller) =>
      signal.addEventListener("abort", () => controller.error(signal.reason));
    const pull = async (controller) => {
      const piece = body.slice(at, Math.min(at + PIECE, ends));
      at += piece.length;
      if (piece.length) return controller.enqueue(piece);
      if (stalls) await new Promise(() => {});
      if (at < body.length) controller.error(new TypeError("terminated"));
      else controller.close();
    };
    return new Response(new ReadableStream({ start, pull }, { highWaterMark: 0 }), { status, headers });
  }

  plain = new FakeServer();
}

const breaksAt = (ends) => (answer) => ({ ...answer, ends });
const refuses = (status, headers) => () => new Response("{}", { status, headers });

let server, chat;

const clientOf = (options) => new Client("http://server", { ...server.options, ...options });

/** A stream that keeps what it is given, and how it ended. */
const sink = (write = () => {}) => {
  const kept = { pieces: [], ended: "" };
  kept.to = new WritableStream({
    write: async (piece) => {
      await write(piece);
      kept.pieces.push(piece);
    },
    close: () => void (kept.ended = "closed"),
    abort: (reason) => void (kept.ended = reason.message),
  });
  kept.bytes = () => Buffer.concat(kept.pieces);
  return kept;
};

const isFile = async (/** @type {Blob} */ blob) => {
  assert.equal(sha256(new Uint8Array(await blob.arrayBuffer())), sha256(server.file));
};

beforeEach(() => {
  server = new Downloads();
  chat = clientOf();
});

test("a file is downloaded to a blob of its type", async () => {
  const steps = [];
  const blob = await chat.download(ID, { onProgress: (...said) => steps.push(said) });
  await isFile(blob);
  assert.equal(blob.type, "video/mp4");
  assert.deepEqual([steps[0], steps.at(-1)], [[PIECE, SIZE], [SIZE, SIZE]]);
  assert.deepEqual(server.requests, [
    { method: "GET", path: `/v1/files/${ID}`, from: 0, condition: undefined },
  ]);
});

test("an empty file is downloaded too", async () => {
  server.file = new Uint8Array();
  server.tag = `"${sha256(server.file)}"`;
  assert.equal((await chat.download(ID)).size, 0);
});

test("it goes on after each break where it was, if it is the same file", async () => {
  server.faults = [breaksAt(HALF), () => { throw new TypeError("fetch failed"); }, breaksAt(1), breaksAt(0)];
  await isFile(await chat.download(ID));
  assert.deepEqual(server.requests.map(({ from }) => from), [0, HALF, HALF, HALF + 1, HALF + 1]);
  assert.deepEqual(new Set(server.requests.slice(1).map(({ condition }) => condition)), new Set([server.tag]));
});

test("an answer that ends too early is a break", async () => {
  server.faults = [(answer) => ({ ...answer, body: answer.body.subarray(0, HALF), ends: HALF })];
  await isFile(await chat.download(ID));
  assert.deepEqual(server.requests.map(({ from }) => from), [0, HALF]);
});

test("what stalls is asked for again", async () => {
  chat = clientOf({ request_timeout: 100 });
  server.faults = [(answer) => ({ ...answer, ends: HALF, stalls: true })];
  await isFile(await chat.download(ID));
  assert.deepEqual(server.requests.map(({ from }) => from), [0, HALF]);
});

test("a request may be in the server's queue for longer than one that it answers may take", async () => {
  chat = clientOf({ request_timeout: 100 });
  server.faults = [(answer, { signal }) =>
    new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
      setTimeout(resolve, 300, answer);
    })];
  await isFile(await chat.download(ID));
  assert.equal(server.requests.length, 1);
});

test("a download leaves no timer behind that runs for days", async (t) => {
  const { timeout } = AbortSignal;
  const asked = [];
  t.mock.method(AbortSignal, "timeout", (ms) => asked.push(ms) && timeout(ms));
  await chat.me();
  assert.deepEqual(asked.splice(0), [10_000, 10_000]); // for a token, too
  await isFile(await chat.download(ID));
  assert.deepEqual(asked, []);
});

test("what no answer comes to is asked for again", async () => {
  let isOver = false;
  server.faults = [(_, { signal }) =>
    new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)))];
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  try {
    const download = chat.download(ID).finally(() => (isOver = true));
    for (let second = 0; second < 600 && !isOver; second++) {
      mock.timers.tick(1_000);
      await new Promise(setImmediate);
    }
    await isFile(await download);
  } finally {
    mock.timers.reset();
  }
  assert.equal(server.requests.length, 2);
});

test("a sink that is slow is not taken for a server that stalls", async () => {
  chat = clientOf({ request_timeout: 100 });
  let slow = 3;
  const kept = sink(() => slow-- > 0 && new Promise((resolve) => setTimeout(resolve, 150)));
  await chat.download(ID, { to: kept.to });
  assert.ok(kept.bytes().equals(bytes));
  assert.equal(server.requests.length, 1);
});

test("a proxy that gives everything, and compresses, does no harm", async () => {
  const whole = (answer) => {
    const { "Content-Length": _, "Content-Range": __, ...headers } = answer.headers;
    headers.ETag = `W/${server.tag}`;
    return { ...answer, status: 200, headers, body: server.file, ends: SIZE };
  };
  server.faults = [(answer) => ({ ...whole(answer), ends: HALF }), whole];
  const kept = sink();
  await chat.download(ID, { to: kept.to });
  assert.ok(kept.bytes().equals(bytes));
  assert.equal(kept.ended, "closed");
});

test("a file that changes meanwhile is refused", async () => {
  server.faults = [breaksAt(HALF), (answer) => ({ ...answer, headers: { ...answer.headers, ETag: '"b"' } })];
  const kept = sink();
  await assert.rejects(chat.download(ID, { to: kept.to }), { type: "/problems/defect", message: /changed/ });
  assert.match(kept.ended, /changed/);
  assert.equal(server.requests.length, 2);
});

test("another part than was asked for is refused", async () => {
  const headers = { "Content-Range": `bytes ${HALF + 5}-${SIZE - 1}/${SIZE}`, ETag: server.tag };
  server.faults = [breaksAt(HALF), (answer) => ({ ...answer, headers })];
  await assert.rejects(chat.download(ID), { type: "/problems/defect", message: /another part/ });
});

test("bytes that are not the file's are refused", async () => {
  server.file = bytes.slice();
  server.file[HALF] ^= 1;
  const kept = sink();
  await assert.rejects(chat.download(ID, { to: kept.to }), { type: "/problems/defect", message: /SHA-256/ });
  assert.match(kept.ended, /SHA-256/);
});

test("a tag that is no digest is not taken for one", async () => {
  server.tag = '"v1"';
  await isFile(await chat.download(ID));
});

test("a server that is busy is asked again as it says, and given up in the end", async () => {
  server.faults = [refuses(503, { "Retry-After": "2" }), refuses(429), refuses(500)];
  await isFile(await chat.download(ID));
  assert.equal(server.requests.length, 4);
  server.faults = Array.from({ length: 99 }, () => refuses(503, { "Retry-After": "9" }));
  const kept = sink();
  chat = clientOf({ random: () => 0.5 });
  await assert.rejects(chat.download(ID, { to: kept.to }), { status: 503, retry_after: 9 });
  assert.equal(server.faults.length, 96, "30 s are over with the third one");
  assert.notEqual(kept.ended, "closed");
});

test("the time counts from the last byte that came", async () => {
  const busy = () => Array.from({ length: 2 }, () => refuses(503, { "Retry-After": "9" }));
  server.faults = [...busy(), breaksAt(HALF), ...busy(), breaksAt(9), ...busy()];
  await isFile(await chat.download(ID));
});

test("a file that is being checked is waited for", async () => {
  server.faults = Array.from({ length: 20 }, () => refuses(409, { "Retry-After": "9" }));
  await isFile(await chat.download(ID));
  server.faults = Array.from({ length: 999 }, () => refuses(409, { "Retry-After": "9" }));
  await assert.rejects(chat.download(ID), { status: 409 });
  assert.ok(server.faults.length > 900, "it has an end");
});

for (const status of [403, 404, 409, 501]) {
  test(`${status} is an answer`, async () => {
    server.faults = [refuses(status)];
    chat = clientOf({ random: () => 0 });
    await assert.rejects(chat.download(ID), { status });
    assert.equal(server.requests.length, 1);
  });
}

test("a token that is refused in the middle is renewed", async () => {
  await chat.download(ID);
  server.requests = [];
  server.faults = [(answer) => {
    server.plain.good.clear();
    return { ...answer, ends: HALF };
  }];
  await isFile(await chat.download(ID));
  assert.deepEqual(server.requests.map(({ from }) => from), [0, HALF]);
  assert.equal(server.plain.refreshes.length, 1);
});

test("what there is already is not asked for, and is checked", async () => {
  const from = new Blob([bytes.subarray(0, HALF)]);
  await isFile(await chat.download(ID, { from }));
  const kept = sink();
  await chat.download(ID, { from, to: kept.to });
  assert.ok(kept.bytes().equals(bytes.subarray(HALF)));
  assert.deepEqual(server.requests.map((one) => one.from), [HALF, HALF]);
  const other = new Blob([bytes.subarray(1, HALF + 1)]);
  await assert.rejects(chat.download(ID, { from: other }), /SHA-256/);
});

test("what is there is all there is", async () => {
  await isFile(await chat.download(ID, { from: new Blob([bytes]) }));
  assert.deepEqual(server.requests.map(({ method }) => method), ["GET", "HEAD"]);
  await assert.rejects(chat.download(ID, { from: new Blob([bytes, "!"]) }), /more bytes/);
  assert.equal(server.requests.length, 4);
});

test("a server that knows no part of a file is not asked for ever", async () => {
  server.faults = [breaksAt(HALF), refuses(416), undefined, refuses(403)];
  await assert.rejects(chat.download(ID), { type: "/problems/defect" });
  assert.equal(server.requests.length, 3);
});

test("a server that does not say how long a file is is not asked for ever", async () => {
  for (const headers of [{}, { "Content-Length": "9", "Content-Encoding": "gzip" }]) {
    const unsized = () => new Response(null, { headers });
    server.faults = [refuses(416), ...Array.from({ length: 9 }, () => unsized), refuses(403)];
    await assert.rejects(chat.download(ID, { from: SIZE }), { type: "/problems/defect" });
    assert.equal(server.faults.length, 9);
  }
});

test("bytes before a number are left out", async () => {
  const blob = await chat.download(ID, { from: HALF });
  assert.equal(sha256(new Uint8Array(await blob.arrayBuffer())), sha256(bytes.subarray(HALF)));
  assert.equal((await chat.download(ID, { from: SIZE })).size, 0);
  for (const from of [-1, 0.5, NaN, "x"]) await assert.rejects(chat.download(ID, { from }), RangeError);
});

test("an abort ends it, its request and its sink", async () => {
  const stop = new AbortController();
  let asked;
  server.faults = [(answer, { signal }) => {
    asked = signal;
    return { ...answer, ends: HALF, stalls: true };
  }];
  const kept = sink();
  const onProgress = (done) => done === HALF && stop.abort(new Error("paused"));
  await assert.rejects(chat.download(ID, { to: kept.to, signal: stop.signal, onProgress }), /paused/);
  assert.ok(asked.aborted);
  assert.equal(kept.ended, "paused");
  await assert.rejects(chat.download(ID, { signal: stop.signal }), /paused/);
  assert.equal(server.requests.length, 1);
});

test("an abort does not wait for who reads what is written", async () => {
  const stop = new AbortController();
  const { readable, writable } = new TransformStream();
  const download = chat.download(ID, { to: writable, signal: stop.signal });
  download.catch(() => {});
  const reader = readable.getReader();
  await reader.read();
  stop.abort(new Error("paused"));
  await assert.rejects(download, /paused/);
  await assert.rejects(reader.read(), /paused/);
});

test("a sink that fails ends it", async () => {
  const kept = sink(() => { throw new Error("the disk is full"); });
  await assert.rejects(chat.download(ID, { to: kept.to }), /the disk is full/);
  assert.equal(server.requests.length, 1);
});

test("an error of the program's own is thrown as it is", async () => {
  const kept = sink();
  const onProgress = () => { throw new Error("mine"); };
  await assert.rejects(chat.download(ID, { to: kept.to, onProgress }), /mine/);
  assert.equal(kept.ended, "mine");
});

test("closing the client ends a download that waits", async () => {
  server.faults = [refuses(503, { "Retry-After": "25" })];
  chat = clientOf({ pace: 1 });
  const download = chat.download(ID);
  download.catch(() => {});
  await until(() => server.requests.length);
  await chat.close();
  await assert.rejects(download, { type: "/problems/closed" });
});

test("the digest is SHA-256, however the bytes come", () => {
  for (let length = 0; length <= 200; length++) {
    const some = bytes.subarray(length, 2 * length);
    for (const step of [1, 7, 63, 64, 65, 200]) {
      const digest = new Sha256();
      for (let at = 0; at < length; at += step) digest.add(some.subarray(at, Math.min(at + step, length)));
      assert.equal(digest.hex(), sha256(some), `${length} bytes by ${step}`);
    }
  }
});
