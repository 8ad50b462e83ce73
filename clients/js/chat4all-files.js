// Files, for the client of Chat4All, which loads this with the first one: see chat4all.d.ts.
import { ChatError, newId } from "./chat4all.js";

/**
 * @import * as Types from "./chat4all.d.ts"
 * @import { Arriving, FilesOwn, How, Upload } from "./internal.d.ts"
 */

const KIB = 1_024;
/** Bytes of one request. `fetch` reports no progress within one, so each is a step of it. */
const LEAST = 256 * KIB;
const MOST = 4 * KIB * KIB;
/** Milliseconds: a request that was faster makes the next one larger, a slower one smaller. */
const FAST = 500;
const SLOW = 2_000;
const TIMEOUT = 60_000;
/** The last answer comes once the server has checked the whole file. */
const LAST_TIMEOUT = 300_000;
/** For which a server keeps a request for a file in a queue, before it says that there are too many. */
const QUEUE = 30_000;
/** Refusals in a row that may pass: another offset, another request that holds the upload. */
const REFUSALS = 10;
/** Bytes of a file that one more is for: the server refuses while it finishes an upload. */
const CHECKED = 80_000_000;
const PASSING = [409, 423, 460];
const GONE = [404, 410];
/** Milliseconds to wait, in all, while the server checks a file before anybody may have it. */
const CHECKED_FOR = 600_000;
const FILES = "/v1/files";
const DEFECT = "/problems/defect";
const TUS = { "Tus-Resumable": "1.0.0" };
const SHOWN = ["image", "audio", "video"];
const NOT_SATISFIABLE = 416;
const SHA256 = /^[0-9a-f]{64}$/;

const base64 = (/** @type {string} */ text) =>
  btoa(String.fromCharCode(...new TextEncoder().encode(text)));

/** What trying again does not help. @param {string} detail */
const defect = (detail) => new ChatError({ type: DEFECT, title: detail, detail });

/** @param {Types.ChatError} error */
const isTemporary = ({ type, status }) =>
  (status === 0 && type !== DEFECT) ||
  [408, 429].includes(status) ||
  (status >= 500 && status !== 501);

/** Whether the server checks the file, and says when to ask again. @param {Types.ChatError} error */
const isChecked = ({ status, retry_after }) => status === 409 && Boolean(retry_after);

/** @param {Headers} headers */
const offsetIn = (headers) => {
  const said = headers.get("Upload-Offset") ?? "";
  if (!/^\d+$/.test(said)) throw defect("the server does not say how far the upload is");
  return Number(said);
};

/** @param {unknown} [cause] @returns {never} */
const broken = (cause) => {
  const detail = "the download broke off";
  throw new ChatError({ type: "/problems/no-answer", title: detail, detail, cause });
};

/**
 * What is coming; what does not come in time is ended, and so breaks.
 *
 * @param {number} ms @param {AbortController} ends @param {Promise<any>} coming
 */
const timed = async (ms, ends, coming) => {
  const timer = setTimeout(() => ends.abort(), ms);
  return coming.finally(() => clearTimeout(timer));
};

/** What asks for the rest of a file. @param {Arriving} at @returns {Record<string, string>} */
const rangeOf = ({ offset, tag }) =>
  offset ? { Range: `bytes=${offset}-`, ...(tag && { "If-Range": `"${tag}"` }) } : {};

/**
 * Note what an answer says of a file; return where its bytes begin. A proxy may give them all.
 *
 * @param {Arriving} at @param {Headers} headers
 */
const arrived = (at, headers) => {
  const tag = headers.get("ETag")?.replace(/^W\/|"/g, "") ?? "";
  if (tag && at.tag && tag !== at.tag) throw defect("the file has changed while it was downloaded");
  const [, start, size] = headers.get("Content-Range")?.match(/^bytes (\d+)-\d+\/(\d+)$/) ?? [];
  const length = headers.get("Content-Encoding") ? null : headers.get("Content-Length");
  at.tag ||= tag;
  at.type ||= headers.get("Content-Type") ?? "";
  at.size = Number(size ?? length ?? NaN);
  return Number(start ?? 0);
};

/** @param {Blob} file @param {string} [name] */
const nameOf = (file, name) => name || /** @type {File} */ (file).name || "";

/**
 * Uploads that were aborted before the server has said where they are: of each client, by their keys.
 *
 * @type {WeakMap<Types.Client, Map<string, Promise<Upload>>>}
 */
const unanswered = new WeakMap();

/**
 * Ends of uploads that are being given up, the same way: who sends such a file again waits for it.
 *
 * @type {WeakMap<Types.Client, Map<string, Promise<void>>>}
 */
const givenUp = new WeakMap();

export class Files {
  #own;

  /** @param {FilesOwn} own */
  constructor(own) {
    this.#own = own;
  }

  /** @type {Types.Client["sendFile"]} */
  async send(conversation_id, file, options = {}) {
    const { content, kind, name, alt, signal, onProgress, ...more } = options;
    const { client } = this.#own;
    const key = this.#key(file, { name, conversation_id });
    const { file_id, message_id } = await this.#transfer(key, file, options, more.message_id);
    const payload = { file_id, ...(name && { name }), ...(alt && { alt }) };
    const type = /** @type {Types.FileKind} */ (file.type.split("/")[0]);
    const asKind = kind ?? (SHOWN.includes(type) ? type : "file");
    const said = { ...more, kind: asKind, content, payload, message_id };
    const ends = this.#ends(signal);
    for (let tried = 0, spent = 0; ; ) {
      try {
        await client.send(conversation_id, said);
        break;
      } catch (cause) {
        const error = /** @type {Types.ChatError} */ (cause);
        const isOther = error.errors?.some(({ pointer }) => pointer === "/payload/file_id");
        if (isChecked(error)) {
          // What is sent after it does not wait for it.
          await client.discard(message_id);
          const wait = this.#own.backoff(tried++);
          spent += 1_000 * (error.retry_after ?? 0) + wait;
          if (spent > CHECKED_FOR) throw error;
          await this.#wait(error.retry_after, wait, ends);
        } else if (isOther && !kind && said.kind !== "file") {
          await client.discard(message_id);
          said.kind = "file";
        } else {
          await this.#forget(key); // the outbox has the message
          throw error;
        }
      }
    }
    await this.#forget(key);
    return message_id;
  }

  /** @type {Types.Client["upload"]} */
  async upload(file, options = {}) {
    const key = this.#key(file, options);
    const { file_id } = await this.#transfer(key, file, options);
    await this.#forget(key);
    return file_id;
  }

  /** @type {Types.Client["discardUpload"]} */
  async discard(file, options = {}) {
    const key = this.#key(file, options);
    const ending = this.#giveUp(key);
    const all = this.#of(givenUp);
    const ended = ending.catch(() => {}).then(() => void (all.get(key) === ended && all.delete(key)));
    if (key) all.set(key, ended);
    await ending;
  }

  /** @param {string} key */
  async #giveUp(key) {
    await this.#of(unanswered).get(key)?.catch(() => {}); // or else it would be kept after this
    const kept = /** @type {Upload | undefined} */ (key && (await this.#own.storage.get(key)));
    if (!kept) return;
    await this.#forget(key);
    await this.delete(kept.file_id).catch((error) => {
      if (!GONE.includes(error.status)) throw error;
    });
  }

  /** @type {Types.Client["deleteFile"]} */
  async delete(file_id) {
    const path = `${FILES}/${encodeURIComponent(file_id)}`;
    await this.#own.call("DELETE", path, { headers: TUS, done: 404 });
  }

  /** @param {string} file_id @param {Types.DownloadOptions} [options] */
  async download(file_id, { to, from = 0, signal, onProgress } = {}) {
    const has = typeof from === "number" ? null : from;
    const at = { offset: has?.size ?? Number(from), size: NaN, tag: "", type: "" };
    if (!Number.isSafeInteger(at.offset) || at.offset < 0) throw new RangeError("`from` is no offset");
    const ends = this.#ends(signal);
    const writer = to?.getWriter();
    const stop = () => void writer?.abort(ends.reason).catch(() => {});
    ends.addEventListener("abort", stop);
    try {
      ends.throwIfAborted();
      // Of the bytes before a number nothing is known.
      const digest = has || !from ? new Sha256() : null;
      for (let done = 0; has && done < has.size; done += MOST) {
        digest?.add(new Uint8Array(await has.slice(done, done + MOST).arrayBuffer()));
      }
      const parts = has ? [has] : [];
      /** @type {Uint8Array<ArrayBuffer>[]} */
      let pieces = [];
      let held = 0;
      for await (const piece of this.#pieces(`${FILES}/${encodeURIComponent(file_id)}`, at, ends)) {
        digest?.add(piece);
        if (writer) {
          await writer.write(piece);
        } else {
          pieces.push(piece);
          held += piece.length;
        }
        if (held >= MOST) {
          parts.push(new Blob(pieces)); // a browser may keep it on its disk
          pieces = [];
          held = 0;
        }
        onProgress?.(at.offset, at.size);
      }
      if (digest && SHA256.test(at.tag) && at.tag !== digest.hex()) {
        throw defect("what was downloaded is not the file: its SHA-256 is another one");
      }
      await writer?.close();
      return writer ? undefined : new Blob([...parts, ...pieces], { type: at.type });
    } catch (error) {
      await writer?.abort(error).catch(() => {});
      throw error;
    } finally {
      ends.removeEventListener("abort", stop);
      writer?.releaseLock();
    }
  }

  /**
   * What is missing of a file, over breaks, for as long as something comes.
   *
   * @param {string} path @param {Arriving} at @param {AbortSignal} signal
   * @returns {AsyncGenerator<Uint8Array<ArrayBuffer>>}
   */
  async *#pieces(path, at, signal) {
    const { call, backoff, options } = this.#own;
    const { retry_for = 30_000, request_timeout = 10_000 } = options;
    let isBeyond = false;
    for (let tried = 0, spent = 0, queued = 0; !(at.offset >= at.size); ) {
      const ends = new AbortController();
      const within = (/** @type {Promise<any>} */ coming, queue = 0) =>
        timed(request_timeout + queue, ends, coming);
      let began = Date.now();
      try {
        const how = { raw: true, tries: 1, timeout: null }; // timed by its pieces
        const any = AbortSignal.any([signal, ends.signal]);
        const [method, headers] = isBeyond ? ["HEAD", {}] : ["GET", rangeOf(at)];
        const answer = await within(call(method, path, { ...how, headers, signal: any }), QUEUE);
        let skipped = at.offset - arrived(at, answer.headers);
        if (isBeyond) {
          if (!(at.offset >= at.size)) throw defect("the server does not give the rest of the file");
          continue;
        }
        if (skipped < 0) throw defect("the server gives another part of the file");
        const reader = answer.body.getReader();
        for (;;) {
          const { done, value } = await within(reader.read().catch(broken));
          if (done) break;
          const piece = value.subarray(skipped);
          skipped -= value.length - piece.length;
          at.offset += piece.length;
          if (piece.length) {
            yield piece;
            tried = spent = queued = 0;
          }
          began = Date.now();
        }
        if (at.offset < at.size) broken();
        at.size = at.offset; // if it was not said
      } catch (cause) {
        signal.throwIfAborted();
        const error = /** @type {Types.ChatError} */ (cause);
        if (error.status === NOT_SATISFIABLE && at.offset && !isBeyond) {
          isBeyond = true; // what there is may be all of it
          continue;
        }
        const wait = backoff(tried++);
        const took = Date.now() - began;
        const free = Math.min(QUEUE - queued, took);
        queued += free;
        spent += took - free + 1_000 * (error.retry_after ?? 0) + wait;
        const limit = isChecked(error) ? CHECKED_FOR : isTemporary(error) ? retry_for : -1;
        if (spent > limit) throw error;
        await this.#wait(error.retry_after, wait, signal);
      } finally {
        ends.abort();
      }
    }
    if (at.offset > at.size) throw defect(`there are more bytes than the file's ${at.size}`);
  }

  /** What ends it: the client's end, or the signal that was given. @param {AbortSignal} [given] */
  #ends(given) {
    const { life } = this.#own;
    return given ? AbortSignal.any([life, given]) : life;
  }

  /** @param {number | undefined} seconds @param {number} ms @param {AbortSignal} signal */
  async #wait(seconds, ms, signal) {
    await this.#own.pause(seconds, ms, signal);
    signal.throwIfAborted();
  }

  /**
   * What an upload is kept under; "" where nothing tells one file from another.
   *
   * @param {Blob} file @param {{name?: string, conversation_id?: string}} options
   */
  #key(file, { name, conversation_id = "" }) {
    const { lastModified } = /** @type {File} */ (file);
    if (lastModified === undefined) return "";
    const named = nameOf(file, name);
    return `${this.#own.prefix}upload ${conversation_id} ${file.size} ${lastModified} ${named}`;
  }

  /**
   * What this client has of them.
   *
   * @template T
   * @param {WeakMap<Types.Client, Map<string, T>>} all @returns {Map<string, T>}
   */
  #of(all) {
    const { client } = this.#own;
    const own = all.get(client) ?? new Map();
    all.set(client, own);
    return own;
  }

  /**
   * Begin an upload, and keep where it is: also if nobody waits for it any longer.
   *
   * @param {string} key @param {Blob} file @param {string} [name] @param {string} [given]
   * @returns {Promise<Upload>}
   */
  async #begin(key, file, name, given) {
    const { call, storage } = this.#own;
    const metadata = `filename ${base64(nameOf(file, name) || "file")}`;
    const headers = { ...TUS, "Upload-Length": String(file.size), "Upload-Metadata": metadata };
    const answer = await call("POST", FILES, { headers, tries: 1 });
    const file_id = answer.headers.get("Location")?.split("/").pop();
    if (!file_id) throw defect("the server does not say where the upload is");
    const upload = { file_id, message_id: given ?? newId() };
    if (key) await storage.update(key, () => upload);
    return upload;
  }

  /**
   * An upload that is being begun. One that is aborted meanwhile is left to the next who asks.
   *
   * @param {string} key @param {Promise<Upload>} asked @param {AbortSignal} signal
   * @returns {Promise<Upload>}
   */
  async #unlessAborted(key, asked, signal) {
    const left = this.#of(unanswered);
    let stop = () => {};
    const aborted = new Promise((_, reject) => {
      stop = () => {
        if (key) left.set(key, asked);
        const done = () => void (left.get(key) === asked && left.delete(key));
        asked.then(done, done);
        reject(signal.reason);
      };
    });
    signal.addEventListener("abort", stop);
    try {
      return await Promise.race([asked, /** @type {Promise<never>} */ (aborted)]);
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  /** @param {string} key */
  async #forget(key) {
    if (key) await this.#own.storage.delete(key);
  }

  /**
   * Return the upload once the server has all of it.
   *
   * @param {string} key @param {Blob} file @param {Types.UploadOptions} options
   * @param {string} [given] The message's id.
   * @returns {Promise<Upload>}
   */
  async #transfer(key, file, { name, signal: asked, onProgress }, given) {
    const { call, backoff, storage } = this.#own;
    const signal = this.#ends(asked);
    /** @param {string} method @param {string} path @param {How} how */
    const ask = async (method, path, { headers, ...how }) => {
      const all = { ...TUS, ...headers };
      return (await call(method, path, { ...how, headers: all, signal, tries: 1 })).headers;
    };
    await this.#of(givenUp).get(key);
    /** @type {Upload | undefined} */
    let upload = key ? /** @type {any} */ (await storage.get(key)) : undefined;
    let offset = -1; // not known
    let size = LEAST;
    let begun = 0;
    let refused = 0;
    const refusals = REFUSALS + Math.floor(file.size / CHECKED);
    for (let tried = 0; ; ) {
      signal.throwIfAborted();
      try {
        if (!upload) {
          begun += 1;
          const asked = this.#of(unanswered).get(key) ?? this.#begin(key, file, name, given);
          upload = await this.#unlessAborted(key, asked, signal);
          offset = 0;
        }
        const path = `${FILES}/${upload.file_id}`;
        if (offset < 0) {
          offset = offsetIn(await ask("HEAD", path, { timeout: LAST_TIMEOUT }));
        }
        const message_id = given ?? upload.message_id;
        onProgress?.(offset, file.size, message_id);
        if (offset >= file.size) return { ...upload, message_id };
        const end = Math.min(offset + size, file.size);
        const body = await file.slice(offset, end).arrayBuffer();
        const began = Date.now();
        const answer = await ask("PATCH", path, {
          headers: {
            "Upload-Offset": String(offset),
            "Content-Type": "application/offset+octet-stream",
          },
          body,
          timeout: end === file.size ? LAST_TIMEOUT : TIMEOUT,
        });
        const reached = offsetIn(answer);
        if (reached <= offset) throw defect("the server has taken nothing of what was sent");
        offset = reached;
        const took = Date.now() - began;
        if (took < FAST) size = Math.min(MOST, 2 * size);
        else if (took > SLOW) size = Math.max(LEAST, size / 2);
        tried = refused = 0;
      } catch (cause) {
        signal.throwIfAborted();
        const error = /** @type {Types.ChatError} */ (cause);
        const { status, retry_after } = error;
        if (GONE.includes(status) && upload && begun < 2) {
          upload = undefined; // it has expired
          continue;
        }
        const mayPass = PASSING.includes(status) && refused++ < refusals;
        if (!mayPass && !isTemporary(error)) throw error;
        offset = -1;
        size = LEAST;
        await this.#wait(retry_after, backoff(tried++), signal);
      }
    }
  }
}

/** @param {number} root */
const fraction = (root) => ((root % 1) * 2 ** 32) | 0;
/** @type {number[]} */
const PRIMES = [];
for (let next = 2; PRIMES.length < 64; next++) {
  if (PRIMES.every((prime) => next % prime)) PRIMES.push(next);
}
const ROUNDS = Int32Array.from(PRIMES, (prime) => fraction(Math.cbrt(prime)));

/** @param {number} word @param {number} bits */
const turn = (word, bits) => (word >>> bits) | (word << (32 - bits));

/** SHA-256 of what comes in pieces (FIPS 180-4): `crypto.subtle` takes only all at once. */
export class Sha256 {
  #state = Int32Array.from(PRIMES.slice(0, 8), (prime) => fraction(Math.sqrt(prime)));
  #words = new Int32Array(64);
  #block = new Uint8Array(64);
  #length = 0;

  /** @param {Uint8Array} bytes */
  add(bytes) {
    const held = this.#length % 64;
    let at = Math.min(bytes.length, (64 - held) % 64);
    this.#block.set(bytes.subarray(0, at), held);
    this.#length += bytes.length;
    if (held && held + at < 64) return;
    if (held) this.#mix(this.#block, 0);
    for (; at + 64 <= bytes.length; at += 64) this.#mix(bytes, at);
    this.#block.set(bytes.subarray(at));
  }

  /** The digest; nothing can be added after it. */
  hex() {
    const length = this.#length;
    const end = new Uint8Array(72 - ((length + 8) % 64));
    const view = new DataView(end.buffer);
    view.setUint8(0, 0x80);
    view.setBigUint64(end.length - 8, 8n * BigInt(length));
    this.add(end);
    return Array.from(this.#state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  /** @param {Uint8Array} bytes @param {number} at */
  #mix(bytes, at) {
    const [words, state] = [this.#words, this.#state];
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, 64);
    for (let i = 0; i < 16; i++) words[i] = view.getInt32(4 * i);
    for (let i = 16; i < 64; i++) {
      const [x, y] = [words[i - 15], words[i - 2]];
      const one = turn(x, 7) ^ turn(x, 18) ^ (x >>> 3);
      const two = turn(y, 17) ^ turn(y, 19) ^ (y >>> 10);
      words[i] = words[i - 16] + one + words[i - 7] + two;
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let i = 0; i < 64; i++) {
      const choice = (e & f) ^ (~e & g);
      const majority = (a & b) ^ (a & c) ^ (b & c);
      const one = h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + choice + ROUNDS[i] + words[i];
      const two = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + majority;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((word, index) => (state[index] += word));
  }
}
