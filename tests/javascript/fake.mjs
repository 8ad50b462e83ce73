/** A server, as far as tests of the client need one, without a network. */

/** When every connection begins. */
export const NOW = "2026-01-31T12:00:00.000Z";

export const CHAT = "550e8400-e29b-41d4-a716-446655440000";

/** Wait until `condition` holds; throws after a deadline. */
export const until = async (condition, what = String(condition)) => {
  const deadline = Date.now() + 30_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`did not come to hold: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
};

/** Hold timers of so many milliseconds back. Returns those that run: a test ends one by calling it. */
export const held = (t, isHeld) => {
  const { setTimeout, clearTimeout } = globalThis;
  const running = new Set();
  t.mock.method(globalThis, "setTimeout", (act, ms, ...given) => {
    if (!isHeld(ms)) return setTimeout(act, ms, ...given);
    const timer = () => running.delete(timer) && act();
    running.add(timer);
    return timer;
  });
  t.mock.method(globalThis, "clearTimeout", (timer) => running.delete(timer) || clearTimeout(timer));
  return running;
};

export class FakeServer {
  isOnline = true;
  /** Bodies of messages that were accepted. */
  accepted = [];
  /** Ids of messages in each try, answered or not. */
  tries = [];
  /** Refresh tokens that were used. */
  refreshes = [];
  good = new Set(["a0"]);
  sockets = [];
  frames = [];
  /** By id: the fields of a conversation, and the `count` of its messages. */
  conversations = {};
  /** What is answered to a resume before it succeeds. */
  resumed = [];
  /** What a message is answered at first: a status, `[status, problem, headers]`, or a promise of one. */
  answers = [];
  /** The same, to requests for tokens. */
  tokenAnswers = [];
  generation = "g";
  /** What its clock says. */
  time = NOW;
  #issued = 0;

  fetch = (url, request) =>
    new Promise((resolve, reject) => {
      const abort = () => reject(request.signal.reason);
      request.signal.addEventListener("abort", abort);
      this.#serve(new URL(url), request).then(resolve, reject);
    });

  async #serve({ pathname, searchParams }, { method, headers, body }) {
    if (!this.isOnline) throw new TypeError("fetch failed");
    if (pathname === "/token") return this.#token(body);
    const token = headers.Authorization.replace("Bearer ", "");
    if (!this.good.has(token)) return this.#answer(401, { detail: "no" });
    if (pathname === "/v1/messages") return this.#message(JSON.parse(body));
    if (pathname === "/v1/me") return this.#answer(200, { username: "ana" });
    if (pathname === "/v1/logout") return this.#answer(204);
    const [, , kind, id, messages] = pathname.split("/");
    const { count, ...conversation } = (kind === "conversations" && this.conversations[id]) || {};
    if (count && messages) return this.#page(id, count, Object.fromEntries(searchParams));
    if (count !== undefined) return this.#answer(200, conversation);
    return this.#answer(404, { type: "/problems/not-found", detail: `${method} ${pathname}` });
  }

  #answer(status, body = null, headers = {}) {
    return new Response(body && JSON.stringify(body), { status, headers });
  }

  /** The newest messages up to the `count`th, or those after one. */
  #page(id, count, { after, limit }) {
    const from = after ? Number(after) + 1 : Math.max(1, count - limit + 1);
    const to = Math.min(count, from + Number(limit) - 1);
    const seqs = Array.from({ length: to - from + 1 }, (_, index) => from + index);
    const link = [
      from > 1 && `</v1/conversations/${id}/messages?limit=${limit}&before=${from}>; rel="prev"`,
      to < count && `</v1/conversations/${id}/messages?limit=${limit}&after=${to}>; rel="next"`,
    ];
    const headers = { "Chat4All-Position": `${count}.0`, Link: link.filter(Boolean).join(", ") };
    return this.#answer(200, seqs.map((seq) => this.message(seq, id).message), headers);
  }

  async #token(form) {
    const refresh = form.get("refresh_token");
    if (refresh) this.refreshes.push(refresh);
    const status = (await this.tokenAnswers.shift()) ?? 200;
    if (status !== 200) return this.#answer(status, { detail: "no" });
    if (!refresh && form.get("password") !== "sesame") return this.#answer(401, { detail: "wrong" });
    const number = ++this.#issued;
    this.good.add(`a${number}`);
    const tokens = { access_token: `a${number}`, refresh_token: `r${number}`, expires_in: 1800 };
    return this.#answer(200, tokens);
  }

  async #message(said) {
    this.tries.push(said.message_id);
    const answer = (await this.answers.shift()) ?? 202;
    const [status, problem, headers] = [answer].flat();
    if (status === "lost") {
      this.accepted.push(said);
      throw new TypeError("terminated");
    }
    if (status !== 202) {
      return this.#answer(status, problem ?? { type: "/problems/x", detail: "because" }, headers);
    }
    this.accepted.push(said);
    return this.#answer(202, { message_id: said.message_id, status: "accepted" });
  }

  /** A class of sockets that lead to this server. */
  get WebSocket() {
    const server = this;
    return class {
      constructor(url, protocols) {
        this.token = protocols[1].replace("bearer.", "");
        setTimeout(() => server.#opened(this));
      }
      tell(frame) {
        this.onmessage?.({ data: JSON.stringify(frame) });
      }
      end(code) {
        server.sockets = server.sockets.filter((one) => one !== this);
        this.onclose?.({ code, reason: "" });
      }
      send(text) {
        const frame = JSON.parse(text);
        server.frames.push(frame);
        if (frame.type !== "resume") return;
        const answer = server.resumed.shift() ?? { type: "resumed", markers: {} };
        setTimeout(() => this.tell(answer));
      }
      close() {
        this.end(1005);
      }
    };
  }

  #opened(socket) {
    if (!this.isOnline) return socket.end(1006);
    if (!this.good.has(socket.token)) return socket.end(4401);
    this.sockets.push(socket);
    const hello = { username: "ana", session_id: "s", heartbeat_s: 25, generation: "g", server_time: this.time };
    socket.tell({ type: "hello", ...hello });
  }

  /** Options of a client that talks to this server, quickly. */
  get options() {
    const { fetch, WebSocket } = this;
    return { fetch, WebSocket, username: "ana", password: "sesame", pace: 0.01, locks: null };
  }

  /** A message of bruno's, as it is in frames. */
  message(seq, conversation_id = CHAT) {
    const message = { conversation_id, message_id: `m${seq}`, sender_id: "bruno", seq };
    return { type: "message", message: { ...message, content: `${seq}` }, position: `${seq}.0` };
  }

  /** Everybody who is connected loses the connection, and does not get another one. */
  goOffline() {
    this.isOnline = false;
    for (const socket of this.sockets) socket.end(1006);
  }
}
