/** Shapes inside the client, for those who change it. Not part of the package. */

import type {
  ChatError,
  Client,
  ClientEvent,
  ClientOptions,
  ClientStorage,
  Message,
  MessageRef,
  Page,
  Positions,
  SendOptions,
  UnsentMessage,
} from "./chat4all.d.ts";

/** An access token: when to renew it, and until when it is used without waiting for the next. */
export interface Access {
  access_token: string;
  renew_at: number;
  ends_at?: number;
}

/** How a request is made. */
export interface How {
  json?: object;
  form?: Record<string, string>;
  /** Its `Idempotency-Key`. */
  key?: string;
  /** Without a token. */
  open?: boolean;
  /** A status that means, where an earlier try may have been done, that it was. */
  done?: number;
  /** At most so many. */
  tries?: number;
  /** What comes before each try: it goes on until there is an answer, or this throws. */
  before?: () => Promise<void>;
  /** Milliseconds for one try; null: for as long as it takes. */
  timeout?: number | null;
  headers?: Record<string, string>;
  body?: ArrayBuffer;
  /** Resolves with the answer as soon as it begins, its body unread. */
  raw?: boolean;
  /** Ends the request, beside the client's own end; and alone the waits between tries. */
  signal?: AbortSignal;
}

/** What files need of their client. */
export interface FilesOwn {
  client: Client;
  options: ClientOptions;
  storage: ClientStorage;
  /** Of keys in the storage. */
  prefix: string;
  /** Aborted when the client is closed. */
  life: AbortSignal;
  call: Own["call"];
  pause: Own["pause"];
  backoff: Own["backoff"];
}

/** An upload that was begun, as it is kept. */
export interface Upload {
  file_id: string;
  /** The message that will name it: the same in every run. */
  message_id: string;
}

/** A download: what was received, and what is known of the file. */
export interface Arriving {
  offset: number;
  /** NaN while it is not known. */
  size: number;
  /** The entity tag without quotes. */
  tag: string;
  type: string;
}

/** How far a conversation was received: everything up to `seq` and `change`. */
export interface Reached {
  seq: number;
  change: number;
  /** The newest message that was told, beyond `seq` after a reload. */
  told: number;
  /** How often the server has shown that a message is missing. */
  gaps: number;
  /** The position as it came. */
  text: string;
  /** What was read by a reload, from one `seq` to another, each with its change. */
  pages: { from: number; to: number; change: number }[];
}

/** What waits to be taken: an event, or none where only a position moves. */
export interface Item {
  event: ClientEvent | null;
  conversation_id?: string;
  /** Null: there is none any more. */
  position?: string | null;
  generation?: string | null;
}

/** How a connection ended. */
export interface End {
  code: number;
  reason: string;
  /** Whether there was a first frame. */
  isOpen?: boolean;
  /** Done once what was received before is. */
  pumping?: Promise<void>;
  /** Seconds. */
  retry_after?: number;
}

/** The promise of the first `Connected`. */
export interface First {
  resolve: () => void;
  reject: (error: ChatError) => void;
}

/** Fields and methods of the client that only it uses, and `transact` of its storage. */
export interface Own {
  /** Ends everything that waits. */
  life: AbortController;
  access: Access | null;
  /** The next token, while it is asked for. */
  renewing: Promise<string> | null;
  first: First | null;
  /** Who waits for the next try. */
  tries: Set<() => void>;
  /** The token that a connection was refused with. */
  refused: string | undefined;
  /** The first frame of a connection. */
  hello: any;
  /** The run of the server whose positions were received. */
  generation: string | null;
  /** Whether positions are kept in the storage. */
  keeps: boolean;
  /** Whether a conversation that is added was missed. */
  goesOn: boolean;
  /** When all was told last, by the server's clock; 0 if that is not known. */
  toldAllAt: number;
  /** When that was, by `performance`. */
  toldAt: number;
  /** Conversations that were left since then: none of them is new. */
  left: Set<string>;
  /** How far each conversation was received. */
  received: Map<string, Reached>;
  /** How far this user was told to have read. */
  markers: Map<string, number>;
  /** Of the loop over `events`. */
  queue: Item[] | null;
  /** Who waits for the queue to change. */
  readers: Set<() => void>;
  /** Conversations whose positions are not saved. */
  moved: Set<string>;
  /** What the server has not accepted yet, by `message_id`. */
  outbox: Map<string, UnsentMessage>;
  /** What ends a message that is discarded on its way: one for all that are sent under one id. */
  stops: WeakMap<UnsentMessage, AbortController>;
  /** The last message on its way, by conversation. */
  chains: Map<string, Promise<void>>;

  /** Throw a `ChatError` as it is, and anything else as no answer. */
  rethrow(cause: unknown): never;
  /** Ask until there is an answer that asking again would not change. */
  call(method: string, path: string, how?: How): Promise<{ body: any; headers: Headers }>;
  /** The same, for the body alone. */
  ask(method: string, path: string, how?: How): Promise<any>;
  /** Milliseconds before another try, with full jitter. */
  backoff(tried: number): number;
  /** Wait as the server says, then for `wake` or so many milliseconds, or until `signal`. */
  pause(seconds: number | undefined, ms: number, signal?: AbortSignal): Promise<void>;
  /** Wait until these are woken, the time is over, or `signal`: the client's end, if none is given. */
  wait(these: Set<() => void>, ms?: number, signal?: AbortSignal): Promise<void>;

  /**
   * An access token other than `refused`. All who need the next one share one renewal, and nobody
   * waits for it while the token is good.
   */
  token(refused?: string): Promise<string>;
  /** The address of what an answer's `Link` calls so; "" where there is none. */
  link(headers: Headers, rel: string): string;
  renew(refused?: string): Promise<string>;
  /** Get tokens for a form, and keep them. */
  exchange(username: string, form: Record<string, string>): Promise<string>;
  /**
   * Act while no other tab does; with `ifFree` not at all when one does. One that is suspended is not
   * waited for.
   */
  locked<T>(name: string, act: () => Promise<T>, ifFree?: boolean): Promise<T>;

  /** The path of a message, and `more` below it. */
  path(message: MessageRef, ...more: string[]): string;
  history(
    conversation: string,
    options?: { direction?: string; [name: string]: any },
  ): AsyncGenerator<Page>;
  /** Entries of all pages of a list. */
  list(from: string, query: any): AsyncGenerator<any>;
  changeMessage(method: string, path: string, content?: string): Promise<void>;

  /** Both forms of `send`. */
  sendAny(conversation: string, content: any, options?: SendOptions): Promise<string>;
  /**
   * Send a message after those before it in its conversation. `isKept`: it was found in the storage,
   * and another tab may be sending it.
   */
  send(unsent: UnsentMessage, isKept?: boolean): Promise<string>;
  /** Do something with files, by the module that is loaded when it is needed. */
  files(
    act: "send" | "upload" | "discard" | "download" | "delete",
    given: unknown[],
  ): Promise<any>;
  download(...given: any[]): Promise<any>;
  /**
   * Send it now, unless `signal` ends it. `key`: its name in the storage. While its lock is held, only
   * who discards it in another tab deletes that. Without locks, another tab may also have sent it.
   */
  post(unsent: UnsentMessage, key: string, signal: AbortSignal): Promise<string>;
  /** Drop from the unsent messages one that is in the history. */
  settle(message: Message): void;

  /** Tell an event to listeners and to the loop; `more` is what moves once it is taken. */
  tell(event: ClientEvent | null, more?: Partial<Item>): void;
  /** Keep the position of an event that was taken. */
  take(item: Item): Promise<void> | undefined;
  /** Move the positions that are kept forward: another tab may be further. */
  save(): Promise<void>;

  /** Begin where this or another run has come to, or at `since`. */
  start(since: Positions | undefined): Promise<void>;
  /** Connect again and again, until the end of `life`. `run`: this loop's own end. */
  run(since: Positions | undefined, life: AbortSignal, run: AbortSignal): Promise<void>;
  /** One connection, to its end. */
  connection(life: AbortSignal): Promise<End>;
  /** Nothing is missing any more. */
  resumed(markers: Record<string, number>, generation: string | null): void;
  /** Tell what a frame says. What it throws ends the connection. */
  handle(frame: any, generation: string | null): Promise<void> | void;
  /** Tell what the server refuses of what the program said over the connection. */
  refusal(frame: any): void;
  read(conversation_id: string, username: string, seq: number): void;
  /** Tell a message, or its change, unless it was told. */
  receive(isNew: boolean, message: any, position: string): void;
  /**
   * Whether there was nothing of a conversation when everything was told before. Nobody is ever added
   * to a private one. What a group had before somebody was added may be years old.
   */
  isNew(conversation_id: string): Promise<boolean>;
  /** Read what was missed of a conversation: all of a new one, else the newest page. */
  reload(conversation_id: string, position: string, generation: string | null): Promise<void>;

  /** One request to IndexedDB, done once its transaction is. */
  transact(mode: IDBTransactionMode, act: (store: IDBObjectStore) => IDBRequest): Promise<any>;
}
