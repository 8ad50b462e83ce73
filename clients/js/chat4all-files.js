// Files, for the client of Chat4All, which loads this when one is sent: see chat4all.d.ts.
import { newId } from "./chat4all.js";

/**
 * @import * as Types from "./chat4all.d.ts"
 * @import { FilesOwn, How, Upload } from "./internal.d.ts"
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
/** Refusals in a row that may pass: another offset, another request that holds the upload. */
const REFUSALS = 10;
const PASSING = [409, 423, 460];
const GONE = [404, 410];
const FILES = "/v1/files";
const TUS = { "Tus-Resumable": "1.0.0" };
const SHOWN = ["image", "audio", "video"];

const base64 = (/** @type {string} */ text) =>
  btoa(String.fromCharCode(...new TextEncoder().encode(text)));

/** @param {Headers} headers */
const offsetIn = (headers) => {
  const said = headers.get("Upload-Offset");
  if (!said) throw new Error("the server does not say how far the upload is");
  return Number(said);
};

/** @param {Blob} file @param {string} [name] */
const nameOf = (file, name) => name || /** @type {File} */ (file).name || "";

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
    const said = { ...more, content, payload, message_id };
    try {
      try {
        return await client.send(conversation_id, { ...said, kind: asKind });
      } catch (error) {
        const { errors } = /** @type {Types.ChatError} */ (error);
        const isOther = errors?.some(({ pointer }) => pointer === "/payload/file_id");
        if (kind || asKind === "file" || !isOther) throw error;
        await client.discard(message_id);
        return await client.send(conversation_id, { ...said, kind: "file" });
      }
    } finally {
      await this.#forget(key); // the outbox has the message
    }
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
    const kept = /** @type {Upload | undefined} */ (key && (await this.#own.storage.get(key)));
    if (!kept) return;
    await this.#forget(key);
    await this.#own.call("DELETE", `${FILES}/${kept.file_id}`, { headers: TUS }).catch((error) => {
      if (!GONE.includes(error.status)) throw error;
    });
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
    const { call, life, pause, backoff, storage } = this.#own;
    const signal = asked ? AbortSignal.any([life, asked]) : life;
    /** @param {string} method @param {string} path @param {How} how */
    const ask = async (method, path, { headers, ...how }) => {
      const all = { ...TUS, ...headers };
      return (await call(method, path, { ...how, headers: all, signal, tries: 1 })).headers;
    };
    /** @type {Upload | undefined} */
    let upload = key ? /** @type {any} */ (await storage.get(key)) : undefined;
    let offset = -1; // not known
    let size = LEAST;
    let begun = 0;
    for (let tried = 0; ; ) {
      signal.throwIfAborted();
      try {
        if (!upload) {
          begun += 1;
          const metadata = `filename ${base64(nameOf(file, name) || "file")}`;
          const headers = { "Upload-Length": String(file.size), "Upload-Metadata": metadata };
          const file_id = (await ask("POST", FILES, { headers })).get("Location")?.split("/").pop();
          if (!file_id) throw new Error("the server does not say where the upload is");
          upload = { file_id, message_id: given ?? newId() };
          if (key) await storage.update(key, () => upload);
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
        if (reached <= offset) throw new Error("the server has taken nothing of what was sent");
        offset = reached;
        const took = Date.now() - began;
        if (took < FAST) size = Math.min(MOST, 2 * size);
        else if (took > SLOW) size = Math.max(LEAST, size / 2);
        tried = 0;
      } catch (error) {
        signal.throwIfAborted();
        const { status, retry_after } = /** @type {Types.ChatError} */ (error);
        if (GONE.includes(status) && upload && begun < 2) {
          upload = undefined; // it has expired
          continue;
        }
        const mayPass = PASSING.includes(status) && tried < REFUSALS;
        const isTemporary = status === 0 || status === 429 || (status >= 500 && status !== 501);
        if (!mayPass && !isTemporary) throw error;
        offset = -1;
        size = LEAST;
        await Promise.race([pause(retry_after, backoff(tried++)), aborted(signal)]);
      }
    }
  }
}

/** @param {AbortSignal} signal @returns {Promise<void>} */
const aborted = (signal) =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
