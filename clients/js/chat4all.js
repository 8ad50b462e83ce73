/**
 * A client of Chat4All for browsers and Node, described in chat4all.d.ts.
 *
 * @import * as Types from "./chat4all.d.ts"
 * @import { End, Item, Own, Reached } from "./internal.d.ts"
 */

/** Seconds between looks for what other tabs left. */
const ADOPT = 15;
const HANDSHAKE = 10_000;
const PROBE = 5_000;
const CLOSING = 1_000;
const LOCKED = 10_000;
const ASKED = 30_000;
const RENEWED_AGAIN = 10_000;
const POSITIONS_OF_FRAME = 500;
const REF_MAX = 128;
/** Resumes before a gap is believed. */
const GAPS = 3;
/** Close codes of what would come again. */
const DEFECTS = [1002, 1007, 1009, 4400];
const UNKNOWN = "/problems/outcome-unknown";

export class ChatError extends Error {
  name = "ChatError";
  type = "about:blank";
  status = 0;
  title = "";
  detail = "";
  /** @type {number | undefined} */
  retry_after;

  /** @param {Partial<Types.ChatError>} [problem] */
  constructor(problem = {}) {
    super(problem.detail);
    Object.assign(this, problem);
  }
}

/** @param {string} slug @param {string} detail @param {object} [more] */
const failure = (slug, detail, more) =>
  new ChatError({ type: `/problems/${slug}`, title: detail, detail, ...more });

/** @param {unknown} cause */
const noAnswer = (cause) => failure("no-answer", "the server does not answer", { cause });

/** @param {ChatError} [cause] */
const signedOut = (cause) =>
  failure("signed-out", cause?.detail ?? "nobody is signed in", { status: 401, cause });

const isSignedOut = (/** @type {any} */ error) =>
  error?.type === "/problems/signed-out";

const isTemporary = (/** @type {ChatError} */ { status }) =>
  status === 0 || status === 429 || status >= 500;

const isUnknown = (/** @type {ChatError} */ { status, type }) =>
  status === 0 || (status >= 500 && status !== 503) || type === UNKNOWN;

/** @type {Own["rethrow"]} */
const rethrow = (cause) => {
  throw cause instanceof ChatError ? cause : noAnswer(cause);
};

/** @param {Response} response @param {string} text */
const problem = ({ status, statusText: title, headers }, text) => {
  let fields = {};
  try {
    fields = JSON.parse(text);
  } catch {
    // A proxy's.
  }
  const detail = `answered with ${status} ${title}`.trim();
  const retry_after = Number(headers.get("Retry-After")) || undefined;
  return new ChatError({ title, detail, ...fields, status, retry_after });
};

// Pages without TLS have no `randomUUID`.
export const newId = () =>
  "xxxxxxxx-xxxx-4xxx-axxx-xxxxxxxxxxxx".replace(/x/g, () =>
    (crypto.getRandomValues(new Uint8Array(1))[0] % 16).toString(16),
  );

/** @returns {Types.ClientStorage} */
export const memoryStorage = () => {
  const kept = new Map();
  return {
    get: async (key) => kept.get(key),
    update: async (key, change) => void kept.set(key, structuredClone(change(kept.get(key)))),
    delete: async (key) => void kept.delete(key),
    keys: async (prefix) => [...kept.keys()].filter((key) => key.startsWith(prefix)).sort(),
  };
};

/** @returns {Types.ClientStorage} */
export const indexedDBStorage = (name = "chat4all") => {
  if (!globalThis.indexedDB) return memoryStorage();
  /** @type {Promise<IDBDatabase> | undefined} */
  let opened;
  const forget = () => (opened = undefined);
  /** @type {Own["transact"]} */
  const run = async (mode, act) => {
    opened ??= new Promise((resolve, reject) => {
      const request = indexedDB.open(name);
      request.onupgradeneeded = () => request.result.createObjectStore("kept");
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    opened.then((database) => (database.onclose = forget), forget);
    const transaction = (await opened).transaction("kept", mode);
    const request = act(transaction.objectStore("kept"));
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  };
  return {
    get: (key) => run("readonly", (store) => store.get(key)),
    update: (key, change) =>
      run("readwrite", (store) => {
        const request = store.get(key);
        request.onsuccess = () => store.put(change(request.result), key);
        return request;
      }),
    delete: (key) => run("readwrite", (store) => store.delete(key)),
    keys: (prefix) =>
      run("readonly", (store) => store.getAllKeys(IDBKeyRange.bound(prefix, `${prefix}\uffff`))),
  };
};

/** @returns {Types.TokenStore} */
const memoryTokens = () => {
  /** @type {Types.Tokens | null} */
  let kept = null;
  return { load: () => kept, save: (tokens) => void (kept = tokens) };
};

/** @param {string} text @returns {Reached} */
const reached = (text) => {
  const [seq, change] = text.split(".").map(Number);
  return { seq, change, told: seq, gaps: 0, text, pages: [] };
};

const wake = (/** @type {Set<() => void>} */ these) => {
  for (const end of [...these]) end();
};

const path = (/** @type {string[]} */ ...parts) =>
  "/v1/" + parts.map(encodeURIComponent).join("/");

export class Client extends EventTarget {
  #url;
  #options;
  #fetch;
  #WebSocket;
  #random;
  #pace;
  #locks;
  #tokens;
  #storage;
  #queueMax;

  /** @type {string | null} */
  #username;
  /** @type {string | undefined} */
  #password;
  /** @type {Own["access"]} */
  #access = null;
  /** @type {Own["renewing"]} */
  #renewing = null;

  /** @type {Own["life"]} */
  #life = new AbortController();
  /** @type {Types.Client["state"]} */
  #state = "closed";
  /** @type {Promise<void> | null} */
  #running = null;
  /** @type {Own["first"]} */
  #first = null;
  /** @type {ChatError | null} */
  #ended = null;
  /** @type {Types.WebSocketLike | null} */
  #socket = null;
  #isConnected = false;
  /** @type {Own["tries"]} */
  #tries = new Set();
  #probe = () => {};
  /** @type {string[]} */
  #watched = [];
  /** @type {Own["refused"]} */
  #refused;
  /** @type {Own["hello"]} */
  #hello;

  /** @type {Own["received"]} */
  #received = new Map();
  /** @type {Own["generation"]} */
  #generation = null;
  /** @type {Types.Positions} */
  #taken = { generation: null, positions: {} };
  #keeps = true;
  #goesOn = false;
  /** @type {Own["toldAllAt"]} */
  #toldAllAt = 0;
  /** @type {Own["toldAt"]} */
  #toldAt = Infinity;
  /** @type {Own["left"]} */
  #left = new Set();
  /** @type {Own["markers"]} */
  #markers = new Map();
  /** @type {Own["queue"]} */
  #queue = null;
  /** @type {Own["readers"]} */
  #readers = new Set();
  /** @type {Own["moved"]} */
  #moved = new Set();
  /** @type {Promise<void> | null} */
  #saving = null;

  /** @type {Own["outbox"]} */
  #outbox = new Map();
  /** @type {Own["chains"]} */
  #chains = new Map();
  /** @type {Own["stops"]} */
  #stops = new WeakMap();
  #created = 0;
  /** @type {Promise<void> | null} */
  #adopting = null;

  /** @param {string | URL} url @param {Types.ClientOptions} [options] */
  constructor(url, options = {}) {
    super();
    this.#url = String(url).replace(/\/+$/, "");
    this.#options = options;
    this.#fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
    this.#WebSocket = options.WebSocket ?? globalThis.WebSocket;
    this.#random = options.random ?? Math.random;
    this.#pace = options.pace ?? 1;
    this.#locks = options.locks === undefined ? globalThis.navigator?.locks : options.locks;
    this.#tokens = options.tokens ?? memoryTokens();
    this.#storage = options.storage ?? memoryStorage();
    this.#queueMax = options.queue_max ?? 5_000;
    this.#username = options.username ?? null;
    this.#password = options.password;
  }

  get username() {
    return this.#username;
  }
  get state() {
    return this.#state;
  }
  get positions() {
    return structuredClone(this.#taken);
  }
  get outbox() {
    return [...this.#outbox.values()];
  }

  /** @type {Own["call"]} */
  async #call(method, path, { json, form, key, open, done, tries = Infinity, before, timeout, raw, ...init } = {}) {
    const signal = this.#life.signal;
    /** @type {any} */
    const headers = { ...init.headers };
    if (json) headers["Content-Type"] = "application/json";
    if (key) headers["Idempotency-Key"] = `"${key}"`;
    let spent = 0;
    let renewed = false;
    let mayBeDone = false;
    for (let tried = 1; ; tried++) {
      const began = performance.now();
      /** @type {ChatError} */
      let error;
      let token = "";
      if (!open) headers.Authorization = `Bearer ${(token = await this.#token())}`;
      await before?.();
      try {
        const ms = timeout ?? this.#options.request_timeout ?? 10_000;
        const late = timeout === null ? signal : AbortSignal.timeout(ms);
        const response = await this.#fetch(this.#url + path, {
          method,
          headers,
          body: json ? JSON.stringify(json) : form ? new URLSearchParams(form) : init.body,
          signal: AbortSignal.any([signal, late, init.signal ?? signal]),
          cache: "no-store",
          credentials: "omit",
        });
        if (raw && response.ok) return response;
        const text = await response.text();
        if (response.ok || (mayBeDone && response.status === done)) {
          return { body: response.ok && text ? JSON.parse(text) : null, headers: response.headers };
        }
        error = problem(response, text);
      } catch (cause) {
        error = noAnswer(cause);
      }
      signal.throwIfAborted();
      if (error.status === 401 && !open) {
        if (renewed) throw signedOut(error);
        renewed = true;
        await this.#token(token);
        continue;
      }
      renewed = false;
      const backoff = this.#backoff(tried - 1);
      spent += performance.now() - began + 1_000 * (error.retry_after ?? 0) + backoff;
      const again =
        isTemporary(error) ||
        (error.status === 409 && mayBeDone && key && error.type === "/problems/conflict");
      if (!again || tried >= tries || (!before && spent > (this.#options.retry_for ?? 30_000))) {
        const detail = `${error.detail}; but an earlier try may have been done`;
        const doubt = mayBeDone && !isUnknown(error) && { type: UNKNOWN, detail };
        throw new ChatError({ ...error, key, ...doubt });
      }
      mayBeDone ||= method !== "GET" && !form && isUnknown(error);
      await this.#pause(error.retry_after, backoff, init.signal);
      signal.throwIfAborted();
    }
  }

  /** @type {Own["ask"]} */
  async #ask(method, path, how) {
    return (await this.#call(method, path, how)).body;
  }

  /** @type {Own["backoff"]} */
  #backoff(tried) {
    return this.#random() * Math.min(20_000, 1_000 * 2 ** tried);
  }

  /** @type {Own["pause"]} */
  async #pause(seconds, ms, signal) {
    if (seconds) await this.#wait(new Set(), 1_000 * seconds, signal);
    await this.#wait(this.#tries, ms, signal);
  }

  /** @type {Own["wait"]} */
  #wait(these, ms, signal = this.#life.signal) {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        these.delete(end);
        resolve();
      };
      const timer = ms === undefined ? 0 : setTimeout(end, ms * this.#pace);
      signal.addEventListener("abort", end);
      these.add(end);
      if (signal.aborted) end();
    });
  }

  /** @type {Own["token"]} */
  async #token(refused) {
    const has = this.#access;
    const now = Date.now();
    const isGood = has && has.access_token !== refused;
    if (isGood && now < has.renew_at) return has.access_token;
    this.#renewing ??= this.#renew(refused).finally(() => (this.#renewing = null));
    const renewed = this.#renewing.catch((error) => {
      if (!isGood || !isTemporary(error)) throw error;
      has.renew_at = Date.now() + RENEWED_AGAIN;
      return has.access_token; // until it is refused
    });
    renewed.catch(() => {}); // who does not wait is not told
    return isGood && now < (has.ends_at ?? 0) ? has.access_token : renewed;
  }

  /** @type {Own["renew"]} */
  async #renew(refused) {
    const { token, getToken } = this.#options;
    if (token || getToken) {
      if (token && token === refused) throw signedOut();
      const late = () => new Promise((_, reject) => (AbortSignal.timeout(ASKED).onabort = reject));
      const given = token ?? (await Promise.race([getToken?.(), late()]).catch(rethrow)) ?? "";
      const got = typeof given === "string" ? { access_token: given } : given;
      this.#access = { ...got, ...lasting(got.expires_in) };
      return got.access_token;
    }
    return this.#locked(`tokens ${this.#url}`, async () => {
      const kept = await this.#tokens.load();
      const password = this.#password;
      try {
        if (kept && kept.access_token !== refused && Date.now() < kept.renew_at) {
          this.#username = kept.username;
          this.#access = { ...kept }; // another tab has renewed them
          return kept.access_token;
        }
        if (kept) {
          const { username, refresh_token } = kept;
          return await this.#exchange(username, { grant_type: "refresh_token", refresh_token });
        }
        if (password === undefined || !this.#username) throw signedOut();
        return await this.#exchange(this.#username, { username: this.#username, password });
      } catch (error) {
        if (!(error instanceof ChatError) || ![400, 401].includes(error.status)) throw error;
        this.#password = undefined;
        if (!kept) throw error;
        this.#access = null;
        await this.#tokens.save(null);
        throw signedOut(error);
      }
    });
  }

  /** @type {Own["exchange"]} */
  async #exchange(username, form) {
    const got = await this.#ask("POST", "/token", { form, open: true });
    const { access_token, refresh_token } = got;
    const tokens = { username, access_token, refresh_token, ...lasting(got.expires_in) };
    await this.#tokens.save(tokens); // first: the former ones are spent
    this.#access = { ...tokens };
    this.#username = username;
    this.#password = undefined; // once: a session that was ended stays ended
    return access_token;
  }

  /** @type {Own["locked"]} */
  async #locked(name, act, ifFree) {
    if (!this.#locks) return act();
    const how = ifFree ? { ifAvailable: true } : { signal: AbortSignal.timeout(LOCKED) };
    let isActing = false;
    try {
      return await this.#locks.request(`chat4all ${name}`, how, (lock) => {
        isActing = true;
        return /** @type {any} */ (lock && act());
      });
    } catch (error) {
      if (isActing) throw error;
      return act();
    }
  }

  /** @type {Types.Client["signUp"]} */
  signUp(json, { key = newId() } = {}) {
    return this.#ask("POST", "/v1/users", { json, key, open: true });
  }

  /** @type {Types.Client["signIn"]} */
  async signIn(username, password) {
    await this.#locked(`tokens ${this.#url}`, () =>
      this.#exchange(username, { username, password }),
    );
  }

  async signedIn() {
    const { token, getToken } = this.#options;
    const kept = await this.#tokens.load();
    this.#username ??= kept?.username ?? null;
    return Boolean(token ?? getToken ?? kept ?? this.#password);
  }

  async logout() {
    const prefix = await this.#prefix();
    try {
      await this.#ask("POST", "/v1/logout");
    } catch (error) {
      if (!isSignedOut(error)) throw error;
    } finally {
      await this.close();
      this.#outbox.clear();
      for (const key of await this.#storage.keys(prefix)) await this.#storage.delete(key);
      this.#taken = { generation: null, positions: {} };
      this.#markers.clear();
      this.#access = this.#username = null;
      await this.#tokens.save(null);
    }
  }

  sessions() {
    return this.#ask("GET", "/v1/sessions");
  }

  /** @type {Types.Client["endSession"]} */
  endSession(session) {
    return this.#ask("DELETE", path("sessions", session), { done: 404 });
  }

  me() {
    return this.#ask("GET", "/v1/me");
  }

  /** @type {Types.Client["user"]} */
  user(username) {
    return this.#ask("GET", path("users", username));
  }

  /** @type {Types.Client["searchUsers"]} */
  searchUsers(query, { limit = 20 } = {}) {
    return this.#list("/v1/users", { query, limit });
  }

  /** @type {Types.Client["changeProfile"]} */
  async changeProfile(changes) {
    // Once: then it is not the current password.
    return this.#ask("PATCH", path("users", await this.#who()), { json: changes, tries: 1 });
  }

  async #who() {
    return (this.#username ??= (await this.#tokens.load())?.username ?? (await this.me()).username);
  }

  conversations({ limit = 50 } = {}) {
    return this.#list("/v1/conversations", { limit });
  }

  /** @type {Types.Client["conversation"]} */
  conversation(conversation) {
    return this.#ask("GET", path("conversations", conversation));
  }

  /** @type {Types.Client["createGroup"]} */
  createGroup(title, members, { key = newId(), metadata } = {}) {
    const json = { type: "group", title, members, metadata };
    return this.#ask("POST", "/v1/conversations", { json, key });
  }

  /** @type {Types.Client["createPrivate"]} */
  createPrivate(username) {
    const json = { type: "private", members: [username] };
    return this.#ask("POST", "/v1/conversations", { json, key: newId() });
  }

  /** @type {Types.Client["changeConversation"]} */
  changeConversation(conversation, changes) {
    return this.#ask("PATCH", path("conversations", conversation), { json: changes });
  }

  /** @type {Types.Client["deleteConversation"]} */
  deleteConversation(conversation) {
    return this.#ask("DELETE", path("conversations", conversation), { done: 404 });
  }

  /** @type {Types.Client["members"]} */
  members(conversation, { limit = 200 } = {}) {
    return this.#list(path("conversations", conversation, "members"), { limit });
  }

  /** @type {Types.Client["addMember"]} */
  addMember(conversation, username, role, { key = newId() } = {}) {
    const json = { username, role };
    return this.#ask("POST", path("conversations", conversation, "members"), { json, key });
  }

  /** @type {Types.Client["removeMember"]} */
  removeMember(conversation, username) {
    return this.#ask("DELETE", path("conversations", conversation, "members", username), {
      done: 404,
    });
  }

  /** @type {Types.Client["leave"]} */
  async leave(conversation) {
    await this.removeMember(conversation, await this.#who());
  }

  /** @type {Types.Client["changeRole"]} */
  changeRole(conversation, username, role) {
    const json = { role };
    return this.#ask("PATCH", path("conversations", conversation, "members", username), { json });
  }

  /** @type {Own["list"]} */
  async *#list(from, query) {
    for (let next = `${from}?${new URLSearchParams(query)}`; next; ) {
      const { body, headers } = await this.#call("GET", next);
      yield* body;
      next = link(headers, "next");
    }
  }

  /** @type {Own["path"]} */
  #path(message, ...more) {
    return path("conversations", message.conversation_id, "messages", message.message_id, ...more);
  }

  /** @type {Types.Client["edit"]} */
  edit(message, content) {
    return this.#changeMessage("PATCH", this.#path(message), content);
  }

  /** @type {Types.Client["remove"]} */
  remove(message) {
    return this.#changeMessage("DELETE", this.#path(message));
  }

  /** @type {Types.Client["react"]} */
  react(message, emoji) {
    return this.#changeMessage("PUT", this.#path(message, "reactions", emoji));
  }

  /** @type {Types.Client["unreact"]} */
  unreact(message, emoji) {
    return this.#changeMessage("DELETE", this.#path(message, "reactions", emoji));
  }

  /** @type {Own["changeMessage"]} */
  async #changeMessage(method, path, content) {
    const key = newId();
    const how = content === undefined ? { key } : { json: { content, change_id: key } };
    await this.#ask(method, path, how);
  }

  /** @type {Types.Client["message"]} */
  message(conversation_id, message_id) {
    return this.#ask("GET", this.#path({ conversation_id, message_id }));
  }

  /** @type {Types.Client["edits"]} */
  edits(message) {
    return this.#ask("GET", this.#path(message, "edits"));
  }

  /** @type {Types.Client["reactions"]} */
  reactions(message) {
    return this.#ask("GET", this.#path(message, "reactions"));
  }

  /** @type {Own["history"]} */
  async *history(conversation, { direction, ...query } = {}) {
    direction ??= query.after === undefined ? "older" : "newer";
    if (direction === "newer" && query.before === undefined && query.around === undefined) {
      query.after ??= 0;
    }
    const given = new URLSearchParams(JSON.parse(JSON.stringify(query))); // none that is undefined
    for (let next = `${path("conversations", conversation, "messages")}?${given}`; next; ) {
      const { body, headers } = await this.#call("GET", next);
      const older = link(headers, "prev");
      const newer = link(headers, "next");
      yield {
        messages: body,
        position: headers.get("Chat4All-Position") ?? "",
        has_older: older !== "",
        has_newer: newer !== "",
      };
      next = direction === "newer" ? newer : older;
    }
  }

  /** @type {Types.Client["read"]} */
  async read(conversation, seq) {
    await this.#ask("POST", path("conversations", conversation, "read"), { json: { seq } });
  }

  /** @type {Types.Client["receipts"]} */
  receipts(conversation) {
    return this.#ask("GET", path("conversations", conversation, "receipts"));
  }

  /** @type {Own["sendAny"]} */
  send(conversation, content, options) {
    const said = typeof content === "string" ? { ...options, content } : content;
    this.#created = Math.max(this.#created + 1, Date.now()); // it says their order
    return this.#send({
      ...said,
      message_id: said.message_id ?? newId(),
      conversation_id: conversation,
      created_at: new Date(this.#created).toISOString(),
      state: "sending",
    });
  }

  files({ order = "newest", limit = 50 } = {}) {
    return this.#list("/v1/files", { order, limit });
  }

  /** @type {Types.Client["fileLink"]} */
  fileLink(file_id) {
    return this.#ask("POST", path("files", file_id, "link"));
  }

  /** @type {Types.Client["sendFile"]} */
  sendFile(...given) {
    return this.#files("send", given);
  }

  /** @type {Types.Client["upload"]} */
  upload(...given) {
    return this.#files("upload", given);
  }

  /** @type {Own["download"]} */
  download(...given) {
    return this.#files("download", given);
  }

  /** @type {Types.Client["deleteFile"]} */
  deleteFile(...given) {
    return this.#files("delete", given);
  }

  /** @type {Types.Client["discardUpload"]} */
  discardUpload(...given) {
    return this.#files("discard", given);
  }

  /** @type {Own["files"]} */
  async #files(act, given) {
    const own = {
      client: this,
      options: this.#options,
      storage: this.#storage,
      life: this.#life.signal,
      call: this.#call.bind(this),
      pause: this.#pause.bind(this),
      backoff: this.#backoff.bind(this),
      prefix: await this.#prefix(),
    };
    const { Files } = await import("./chat4all-files.js");
    return /** @type {any} */ (new Files(own))[act](...given);
  }

  /** @type {Types.Client["retry"]} */
  async retry(message_id) {
    const unsent = this.#outbox.get(message_id);
    if (unsent?.state !== "failed") throw failure("not-found", "no such refused message");
    return this.#send({ ...unsent, state: "sending", error: undefined });
  }

  /** @type {Types.Client["discard"]} */
  async discard(message_id) {
    const unsent = this.#outbox.get(message_id);
    if (!unsent) return;
    this.#outbox.delete(message_id);
    this.#stops.get(unsent)?.abort(failure("discarded", "the message was discarded"));
    await this.#storage.delete(await this.#keyOf(unsent));
  }

  async #prefix() {
    return this.#options.storage ? `${this.#url} ${await this.#who()} ` : "";
  }

  /** @param {Types.UnsentMessage} unsent */
  async #keyOf({ created_at, message_id }) {
    return `${await this.#prefix()}unsent ${created_at} ${message_id}`;
  }

  /** @param {Types.UnsentMessage} unsent */
  #outboxChanged(unsent) {
    if (unsent.state === "sent") this.#outbox.delete(unsent.message_id);
    else this.#outbox.set(unsent.message_id, unsent);
    this.#tell({ type: "OutboxChanged", unsent: { ...unsent } });
  }

  /** @type {Own["send"]} */
  #send(unsent, isKept) {
    const { message_id, conversation_id } = unsent;
    const stop = this.#stops.get(this.#outbox.get(message_id) ?? unsent) ?? new AbortController();
    this.#stops.set(unsent, stop);
    const signal = AbortSignal.any([this.#life.signal, stop.signal]);
    if (!isKept) this.#outboxChanged(unsent);
    const before = this.#chains.get(conversation_id);
    const sent = (async () => {
      const key = await this.#keyOf(unsent);
      const act = async () => {
        stop.signal.throwIfAborted();
        if (!isKept) await this.#storage.update(key, () => unsent);
        else if (await this.#storage.get(key)) this.#outboxChanged(unsent);
        try {
          await before;
          signal.throwIfAborted();
          return await this.#post(unsent, key, signal);
        } finally {
          if (!this.#outbox.has(message_id)) await this.#storage.delete(key);
        }
      };
      return this.#locked(`unsent ${message_id}`, act, isKept);
    })();
    const settled = sent.catch(() => {}).then(() => {
      if (this.#chains.get(conversation_id) === settled) this.#chains.delete(conversation_id);
    });
    this.#chains.set(conversation_id, settled);
    return sent;
  }

  /** @type {Own["post"]} */
  async #post(unsent, key, signal) {
    const { message_id, conversation_id, created_at, state, error, ...said } = unsent;
    if (this.#outbox.get(message_id)?.state !== "sending") return message_id;
    const before = async () => {
      if (this.#locks && !(await this.#storage.get(key))) await this.discard(message_id); // in another tab
      signal.throwIfAborted();
    };
    const json = { ...said, message_id, chat_id: conversation_id };
    try {
      await this.#ask("POST", "/v1/messages", { json, signal, before });
    } catch (cause) {
      signal.throwIfAborted();
      if (cause instanceof ChatError && cause.status && !isSignedOut(cause)) {
        const { type, status, title, detail } = cause;
        /** @type {Types.UnsentMessage} */
        const failed = { ...unsent, state: "failed", error: { type, status, title, detail } };
        this.#outboxChanged(failed);
        await this.#storage.update(key, () => failed);
      }
      throw cause;
    }
    this.#outboxChanged({ ...unsent, state: "sent" });
    return message_id;
  }

  /** Send what this or another tab has left. */
  #adopt() {
    this.#adopting ??= (async () => {
      const left = this.outbox.filter(
        ({ state, conversation_id }) => state === "sending" && !this.#chains.has(conversation_id),
      );
      const sent = left.map((unsent) => this.#send(unsent));
      const keys = await this.#storage.keys(`${await this.#prefix()}unsent `);
      this.#created = Math.max(this.#created, +new Date(keys.at(-1)?.split(" ").at(-2) ?? 0)); // by a clock that was ahead
      for (const key of keys) {
        const kept = /** @type {any} */ (await this.#storage.get(key));
        if (kept && !this.#outbox.has(kept.message_id)) sent.push(this.#send(kept, true));
      }
      await Promise.allSettled(sent);
    })()
      .catch(() => {}) // it is tried again
      .finally(() => (this.#adopting = null));
  }

  /** @type {Types.Client["connect"]} */
  connect({ since } = {}) {
    this.#running ??= new Promise((resolve, reject) => {
      this.#ended = null;
      this.#first = { resolve, reject };
      const run = new AbortController();
      const life = this.#life.signal;
      this.#run(since, life, run.signal)
        .catch((error) => life.aborted || this.#end(error))
        .finally(() => run.abort());
    });
    return this.#running;
  }

  async close() {
    const life = this.#life;
    this.#life = new AbortController();
    this.#state = "closed";
    this.#running = null;
    this.#isConnected = false;
    life.abort(failure("closed", "the client was closed"));
    this.#first?.reject(life.signal.reason);
    wake(this.#readers);
    await this.#saving;
  }

  /** @param {ChatError} error */
  #end(error) {
    this.#state = "closed";
    this.#running = null;
    this.#ended = error;
    this.#first?.reject(error);
    this.dispatchEvent(new CustomEvent("Ended", { detail: { type: "Ended", error } }));
    wake(this.#readers);
  }

  /** @type {Types.Client["events"]} */
  async *events(options) {
    if (this.#queue) throw new Error("another loop over the events is running");
    const life = this.#life.signal;
    /** @type {Item[]} */
    const queue = (this.#queue = []);
    this.connect(options).catch(() => {}); // thrown below
    try {
      while (!life.aborted) {
        const [item] = queue;
        if (item) {
          if (item.event) yield item.event;
          queue.shift();
          await this.#take(item);
          wake(this.#readers);
        } else if (this.#ended) {
          throw this.#ended;
        } else {
          await this.#wait(this.#readers);
        }
      }
    } finally {
      this.#queue = null;
      if (!life.aborted) await this.close();
    }
  }

  /** @type {Types.Client["typing"]} */
  typing(conversation_id) {
    const ref = `typing ${conversation_id}`.slice(0, REF_MAX);
    this.#say({ type: "typing", ref, conversation_id });
  }

  /** @type {Types.Client["watch"]} */
  watch(usernames) {
    this.#watched = [...usernames];
    this.#say({ type: "watch", ref: "watch", usernames });
  }

  /** @param {object} frame */
  #say(frame) {
    if (this.#isConnected) this.#socket?.send(JSON.stringify(frame));
  }

  /** @type {Own["tell"]} */
  #tell(event, more) {
    if (event) this.dispatchEvent(new CustomEvent(event.type, { detail: event }));
    const item = { event, ...more };
    if (this.#queue) {
      this.#queue.push(item);
      wake(this.#readers);
    } else {
      this.#take(item)?.catch((error) => {
        this.#end(error);
        this.close();
      });
    }
  }

  /** @type {Own["take"]} */
  #take({ conversation_id = "", position, generation }) {
    if (position === undefined && generation === undefined) return;
    if (generation !== undefined) this.#taken.generation = generation;
    const { positions } = this.#taken;
    if (position) positions[conversation_id] = position;
    else delete positions[conversation_id];
    if (!this.#keeps) return;
    this.#moved.add(conversation_id);
    return (this.#saving ??= this.#save().finally(() => (this.#saving = null)));
  }

  /** @type {Own["save"]} */
  async #save() {
    while (this.#moved.size) {
      const key = `${await this.#prefix()}positions`;
      const moved = this.#moved;
      this.#moved = new Set();
      const { generation, positions } = this.#taken;
      await this.#storage.update(key, (/** @type {any} */ kept) => {
        if (kept?.generation !== generation) return this.positions;
        for (const id of moved) {
          const next = reached(positions[id] ?? "");
          const has = reached(kept.positions[id] ?? "");
          if (!next.seq) delete kept.positions[id];
          else if (!(next.seq < has.seq || next.change < has.change)) kept.positions[id] = next.text;
        }
        return kept;
      });
    }
  }

  /** @type {Own["start"]} */
  async #start(since) {
    const has = Object.keys(this.#taken.positions).length ? this.#taken : undefined;
    if (since) this.#keeps = false;
    const kept = since ?? has ?? (await this.#storage.get(`${await this.#prefix()}positions`));
    if (kept) this.#taken = structuredClone(/** @type {Types.Positions} */ (kept));
    this.#goesOn = Boolean(kept);
    this.#toldAllAt = this.#taken.generation ? (this.#toldAt = Infinity) : 0; // by another run
    this.#generation = this.#taken.generation ?? null;
    const positions = Object.entries(this.#taken.positions);
    this.#received = new Map(positions.map(([id, text]) => [id, reached(text)]));
    this.#adopt();
  }

  /** @type {Own["run"]} */
  async #run(since, life, run) {
    const look = () => {
      if (globalThis.document?.visibilityState === "hidden") return;
      this.#probe();
      setTimeout(() => wake(this.#tries), 1_000 * this.#random() * this.#pace);
    };
    globalThis.addEventListener?.("online", look, { signal: run });
    globalThis.document?.addEventListener("visibilitychange", look, { signal: run });
    let hasStarted = false;
    for (let tried = 0; !life.aborted; tried++) {
      /** @type {End} */
      let end;
      this.#state = "connecting";
      try {
        if (!hasStarted) await this.#start(since);
        hasStarted = true;
        end = await this.#connection(life);
      } catch (error) {
        if (!(error instanceof ChatError && isTemporary(error))) throw error;
        end = { code: 1006, reason: error.detail, retry_after: error.retry_after };
      }
      if (life.aborted) return;
      const { code, reason, retry_after } = end;
      if (this.#isConnected) {
        this.#isConnected = false;
        tried = 0;
        this.#tell({ type: "Disconnected", code, reason });
      }
      if (DEFECTS.includes(code)) throw failure("defect", `closed with ${code} ${reason}`, { code });
      this.#state = "waiting";
      await this.#pause(retry_after, this.#backoff(tried));
      const least = this.#queueMax / 2;
      while (!life.aborted && this.#queue && this.#queue.length > least) await this.#wait(this.#readers);
    }
  }

  /** @type {Own["connection"]} */
  async #connection(life) {
    const token = await this.#token(this.#refused);
    life.throwIfAborted();
    const url = this.#url.replace(/^http/, "ws") + "/v1/live";
    /** @type {End} */
    const ended = await new Promise((resolve) => {
      /** @type {Types.WebSocketLike} */
      const socket = new this.#WebSocket(url, ["chat4all.v1", `bearer.${token}`]);
      this.#socket = socket;
      let retry_after = 0;
      let isOpen = false;
      let silence = HANDSHAKE;
      let silentAt = Date.now() + silence;
      let looks = 0;
      /** @type {string[]} */
      const frames = [];
      let isBusy = false;
      /** @type {Promise<void> | undefined} */
      let pumping;
      /** @type {string | null} */
      let generation = null;
      let shown = token;

      /** @param {number} code @param {string} reason */
      const end = (code, reason) => {
        if (this.#socket !== socket) return;
        this.#socket = null;
        this.#probe = () => {};
        clearInterval(timer);
        life.removeEventListener("abort", left);
        const closing = setTimeout(() => socket.terminate?.(), CLOSING);
        socket.onclose = () => clearTimeout(closing);
        socket.onmessage = null;
        socket.onerror = () => {};
        try {
          socket.close(1000);
        } catch {
          // It was not open yet.
        }
        const wait = code === 1013 || code === 4429 ? retry_after : 0;
        resolve({ code, reason, retry_after: wait, isOpen, pumping });
      };
      /** End it, and forget the rest. @param {string} reason */
      const drop = (reason) => {
        frames.length = 0;
        end(1006, reason);
      };
      const left = () => drop("closed");
      life.addEventListener("abort", left);
      /** Renew the token of the connection. @param {boolean} [again] */
      const show = async (again) => {
        try {
          const token = await this.#token();
          if (this.#socket !== socket || (token === shown && !again)) return;
          shown = token;
          socket.send(JSON.stringify({ type: "auth", token }));
        } catch {
          // The server ends it when the token does.
        }
      };
      const look = () => {
        const now = Date.now();
        if (now > silentAt) return drop("nothing was heard"); // also after a sleep
        silentAt = Math.min(silentAt, now + silence); // where the clock was set back
        const has = this.#access;
        if (isOpen && (has?.access_token !== shown || now > has.renew_at)) show();
        if (isOpen && ++looks % ADOPT === 0) this.#adopt();
      };
      const timer = setInterval(look, Math.max(20, 1_000 * this.#pace));
      this.#probe = () => {
        if (!isOpen) return;
        show(true); // it is answered
        silentAt = Math.min(silentAt, Date.now() + PROBE);
      };

      /** @param {any} frame */
      const handle = (frame) => {
        switch (frame.type) {
          case "hello":
            silence = 1_000 * (frame.heartbeat_s + 10) * this.#pace;
            silentAt = Date.now() + silence;
            if (isOpen) return;
            isOpen = true;
            generation = frame.generation ?? null;
            this.#username = frame.username;
            this.#hello = frame;
            this.#toldAllAt = Math.min(
              this.#toldAllAt,
              Date.parse(frame.server_time) - performance.now() + this.#toldAt,
            );
            if (!this.#received.size) this.#generation = generation;
            for (const piece of this.#resumes()) socket.send(JSON.stringify(piece));
            return;
          case "resumed":
            return this.#resumed(frame.markers, generation);
          case "error":
            retry_after = frame.retry_after ?? 0;
            // There will be no `resumed`.
            if (frame.ref === "resume") end(isTemporary(frame) ? 1013 : 4400, frame.detail);
            return this.#refusal(frame);
          default:
            return this.#handle(frame, generation);
        }
      };
      const pump = async () => {
        try {
          for (let data; (data = frames.shift()) !== undefined; ) {
            if (this.#queue && this.#queue.length >= this.#queueMax) {
              drop("events are not taken");
            } else {
              const handled = handle(JSON.parse(data));
              if (handled) await handled; // what comes meanwhile waits in its order
            }
          }
        } catch (error) {
          drop(String(error));
        }
        isBusy = false;
      };
      socket.onmessage = ({ data }) => {
        silentAt = Date.now() + silence;
        frames.push(data);
        if (frames.length > this.#queueMax) drop("events are not taken");
        else if (!isBusy) {
          isBusy = true;
          pumping = pump();
        }
      };
      socket.onclose = ({ code, reason }) => end(code, reason);
      socket.onerror = () => {};
    });
    await ended.pumping; // what was received is of use
    if (ended.code === 4401) this.#refused = token;
    if (ended.code === 1006 && !ended.isOpen && !life.aborted) {
      // A page is not told why a handshake is refused.
      try {
        await this.#call("GET", "/v1/me", { tries: 1 });
      } catch (error) {
        if (isSignedOut(error)) throw error;
        if (error instanceof ChatError) return { ...ended, retry_after: error.retry_after };
      }
    }
    return ended;
  }

  *#resumes() {
    const all = [...this.#received].map(([id, { text }]) => [id, text]);
    const generation = (all.length && this.#generation) || undefined;
    do {
      const positions = Object.fromEntries(all.splice(0, POSITIONS_OF_FRAME));
      yield { type: "resume", ref: "resume", generation, positions, more: all.length > 0 };
    } while (all.length);
  }

  /** @type {Own["resumed"]} */
  #resumed(markers, generation) {
    const username = this.#username ?? "";
    for (const [conversation, seq] of Object.entries(markers)) {
      this.#read(conversation, username, seq);
    }
    this.#generation = generation;
    this.#goesOn = true;
    this.#toldAllAt = Date.parse(this.#hello.server_time);
    this.#toldAt = performance.now();
    this.#left.clear();
    this.#isConnected = true;
    this.#state = "connected";
    this.#tell({ type: "Connected", username, session_id: this.#hello.session_id }, { generation });
    this.#first?.resolve();
    wake(this.#tries);
    if (this.#watched.length) this.watch(this.#watched);
    this.#adopt();
  }

  /** @type {Own["handle"]} */
  #handle(frame, generation) {
    const { type, position, message, event, username, seq } = frame;
    const conversation_id = frame.conversation_id ?? message?.conversation_id;
    switch (type) {
      case "message":
      case "message_changed":
        return this.#receive(type === "message", message, position);
      case "reload":
        return this.#reload(conversation_id, position, generation);
      case "conversation": {
        const isMissed = event === "added" && this.#goesOn;
        if (event === "added" && !isMissed) this.#received.set(conversation_id, reached(position));
        if (event === "removed") {
          this.#received.delete(conversation_id);
          this.#markers.delete(conversation_id);
          this.#left.add(conversation_id);
        }
        this.#tell(
          { type: "ConversationChanged", conversation_id, event, position: position ?? null },
          { conversation_id, position: event === "removed" ? null : isMissed ? undefined : position },
        );
        return isMissed ? this.#reload(conversation_id, position, generation) : undefined;
      }
      case "read":
        return this.#read(conversation_id, username, seq);
      case "delivered":
        return this.#tell({ type: "DeliveredMoved", conversation_id, username, seq });
      case "typing":
        return this.#tell({ type: "Typing", conversation_id, username });
      case "presence": {
        const { status, last_seen = null } = frame;
        return this.#tell({ type: "PresenceChanged", username, status, last_seen });
      }
    }
  }

  /** @type {Own["refusal"]} */
  #refusal({ ref, problem, ...frame }) {
    const [request, conversation_id = null] = String(ref).split(" ");
    if (request !== "watch" && request !== "typing") return;
    const error = new ChatError({ ...frame, type: problem });
    this.#tell({ type: "RequestRefused", request, conversation_id, error });
    const watched = this.#watched;
    if (request === "typing" || !isTemporary(error)) return;
    this.#pause(error.retry_after || 1, 0).then(() => {
      if (watched === this.#watched) this.watch(watched);
    });
  }

  /** @type {Own["read"]} */
  #read(conversation_id, username, seq) {
    if (username === this.#username) {
      if (seq <= (this.#markers.get(conversation_id) ?? 0)) return;
      this.#markers.set(conversation_id, seq);
    }
    this.#tell({ type: "ReadMoved", conversation_id, username, seq });
  }

  /** @type {Own["receive"]} */
  #receive(isNew, message, position) {
    const { conversation_id, seq } = message;
    const next = reached(position);
    const at = this.#received.get(conversation_id);
    if (at) {
      if (isNew ? seq <= at.seq : next.change <= at.change) return;
      if (seq > at.seq + Number(isNew) && ++at.gaps < GAPS) throw new Error("a message is missing");
      next.told = Math.max(next.told, at.told);
      next.pages = at.pages.filter(({ change }) => change >= next.change);
    }
    const isRead = next.pages.some(({ from, to }) => from <= seq && seq <= to);
    const isTold = isNew ? at && seq <= at.told : isRead;
    const type = isNew ? "MessageCreated" : "MessageChanged";
    this.#received.set(conversation_id, next);
    this.#tell(isTold ? null : { type, message, position }, { conversation_id, position });
    if (isNew) this.#settle(message);
  }

  /** @type {Own["isNew"]} */
  async #isNew(conversation_id) {
    if (!this.#toldAllAt || this.#left.has(conversation_id)) return false;
    const { type, created_at } = await this.conversation(conversation_id);
    return type === "private" || Date.parse(created_at) > this.#toldAllAt;
  }

  /** @type {Own["reload"]} */
  async #reload(conversation_id, position, generation) {
    const at = this.#received.get(conversation_id);
    const next = reached(position);
    const isSame = generation === this.#generation;
    /** @type {Types.Message[]} */
    const messages = [];
    let has_older = false;
    try {
      let after = isSame && at && at.seq < next.seq ? at.seq : undefined;
      if (!at && (!next.seq || (isSame && (await this.#isNew(conversation_id))))) after = 0;
      const options = { at_least: position, after, limit: after === undefined ? 50 : 200 };
      for await (const page of this.history(conversation_id, options)) {
        const [from, to] = [page.messages[0]?.seq, page.messages.at(-1)?.seq];
        if (from && to) {
          next.told = Math.max(next.told, to);
          next.pages.push({ from, to, change: reached(page.position).change });
        }
        has_older ||= !messages.length && page.has_older;
        messages.push(...page.messages);
        if (after === undefined) break;
      }
    } catch (error) {
      if (!(error instanceof ChatError && [403, 404].includes(error.status))) throw error;
      return; // removed meanwhile: another frame says so
    }
    this.#received.set(conversation_id, next);
    this.#tell(
      { type: "MessagesReloaded", conversation_id, messages, has_older, position },
      { conversation_id, position },
    );
    for (const message of messages) this.#settle(message);
  }

  /** @type {Own["settle"]} */
  #settle({ message_id, sender_id }) {
    const unsent = this.#outbox.get(message_id);
    if (!unsent || sender_id !== this.#username || unsent.state !== "failed") return;
    this.discard(message_id).catch(() => {});
    this.#outboxChanged({ ...unsent, state: "sent", error: undefined });
  }
}

/** @type {Own["link"]} */
const link = (headers, rel) =>
  headers.get("Link")?.match(`<([^>]*)>; *rel="${rel}"`)?.[1] ?? "";

const lasting = (seconds = Infinity) => ({
  renew_at: Date.now() + 800 * seconds,
  ends_at: Date.now() + 950 * seconds,
});
