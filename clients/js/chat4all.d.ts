/**
 * A client of Chat4All for browsers and Node 22 or newer (20.3 with an injected `WebSocket`).
 *
 * Names of fields are those of the interface: `content`, `sender_id`, `seq`, … Times are RFC 3339
 * in UTC, durations of options are milliseconds.
 */

// ---------------------------------------------------------------------------- what is read

/** One reaction to a message: how many gave it, and the first ten names. */
export interface Reaction {
  emoji: string;
  count: number;
  names: string[];
}

/** The message that another one answers, as it is now; `content` has at most 200 characters. */
export interface Reply {
  seq: number;
  message_id: string;
  sender_id: string;
  kind: Kind;
  content: string;
  deleted: boolean;
}

/** Kinds that can be sent are `text`, `location`, `contact` and `custom`. */
export type Kind =
  | "text" | "image" | "file" | "audio" | "video" | "location" | "contact" | "system" | "custom";

/** A message as its readers see it. */
export interface Message {
  conversation_id: string;
  message_id: string;
  sender_id: string;
  /** As it is now; empty once it is deleted. */
  content: string;
  created_at: string;
  /** `SENT`: durable. `DELIVERED`: in the history. `READ`: every other member has read it. */
  status: "SENT" | "DELIVERED" | "READ";
  /** Its number in the conversation: 1, 2, 3 …; null while `SENT`. */
  seq: number | null;
  edited_at: string | null;
  deleted_at: string | null;
  reactions: Reaction[];
  kind: Kind;
  payload: Record<string, unknown> | null;
  reply_to: Reply | null;
  mentions: string[];
}

/** What names a message; a `Message` does. */
export type MessageRef = Pick<Message, "conversation_id" | "message_id">;

/** A text that a message had or has; `edited_at` is null for the first one. */
export interface Version {
  content: string;
  edited_at: string | null;
}

/** How far a member has come; times are null while nothing was read, or unknown. */
export interface Receipt {
  username: string;
  delivered_seq: number;
  read_seq: number;
  delivered_at: string | null;
  read_at: string | null;
}

export type Role = "owner" | "admin" | "member";

export interface Member {
  username: string;
  role: Role;
}

/** A conversation as its members see it. */
export interface Conversation {
  conversation_id: string;
  type: "private" | "group";
  title: string | null;
  members: Member[];
  metadata: Record<string, string>;
  created_at: string;
}

/** A conversation in your list; of a large group `members` has the first 100, by name. */
export interface ListedConversation extends Conversation {
  /** All of them. */
  member_count: number;
  /** The other one, in a private conversation. */
  peer: string | null;
  /** Yours. */
  role: Role;
  last_message: Message | null;
  unread: number;
  /** How far this goes; good for `connect({since})`. */
  position: string;
  /** The `seq` of each unread message that mentions you. */
  unread_mentions: number[];
}

/** One conversation that you are in: what your list shows of it, and all its members, by name. */
export interface WholeConversation extends ListedConversation {}

/** A user as others see that user. */
export interface Profile {
  username: string;
  display_name: string | null;
  created_at: string;
}

export interface OwnProfile extends Profile {
  email: string;
}

/** A device that is signed in. */
export interface Session {
  session_id: string;
  device: string;
  created_at: string;
  last_used_at: string;
  expires_at: string;
  /** Whether it is this one. */
  current: boolean;
}

/** Messages that follow one another, oldest first. */
export interface Page {
  messages: Message[];
  /** What it was read at; of a message on it, changes up to this one are in it already. */
  position: string;
  /** Whether there are older ones, and newer ones. */
  has_older: boolean;
  has_newer: boolean;
}

/** How far each conversation was received, and of which generation of the server that is. */
export interface Positions {
  generation: string | null;
  positions: Record<string, string>;
}

// ---------------------------------------------------------------------------- errors

/** One broken rule of a request. */
export interface FieldProblem {
  /** A JSON Pointer into the request. */
  pointer: string;
  detail: string;
}

/**
 * Why something was not done: the fields of the server's problem (RFC 9457).
 *
 * `/problems/signed-out`, with 401, asks for signing in again. With `/problems/outcome-unknown` it may
 * have been done by an earlier try, whatever the `status` of the last answer says. Where the server said nothing, `status`
 * is 0 and `type` is one of
 * `/problems/no-answer` (not reached, or the answer was lost),
 * `/problems/closed` (the client was closed),
 * `/problems/discarded` (the message was taken out of the outbox),
 * `/problems/defect` (the server did not understand this client).
 */
export class ChatError extends Error {
  constructor(problem?: Partial<ChatError>);
  /** Names the kind of problem; stays the same. Decide by this and `status`. */
  type: string;
  status: number;
  title: string;
  /** The same as `message`. */
  detail: string;
  instance?: string;
  request_id?: string;
  errors?: FieldProblem[];
  message_id?: string;
  change_id?: string;
  /** Of the WebSocket, where that ended. */
  code?: number;
  /** Seconds after which to try again. */
  retry_after?: number;
  /** The call's `Idempotency-Key`: `createGroup`, `addMember` and `signUp`, called again with it, act once. */
  key?: string;
}

// ---------------------------------------------------------------------------- events

/** You are connected and have everything that was missed. */
export interface Connected {
  type: "Connected";
  username: string;
  session_id: string;
}

/** The connection ended. It is made again, until `Connected`, unless `Ended` follows. */
export interface Disconnected {
  type: "Disconnected";
  /** Of the WebSocket; 1006 when it was lost. */
  code: number;
  reason: string;
}

/**
 * The connection is not made again; `/problems/signed-out` asks for signing in.
 *
 * For listeners only: `events` throws the error.
 */
export interface Ended {
  type: "Ended";
  error: ChatError;
}

/** A message is in the history. Of one conversation they come in order, none twice. */
export interface MessageCreated {
  type: "MessageCreated";
  message: Message;
  position: string;
}

/** A message was edited, deleted or reacted to: this is how it is now. */
export interface MessageChanged {
  type: "MessageChanged";
  message: Message;
  position: string;
}

/**
 * What you have of a conversation is not whole: here is what you missed.
 *
 * The messages follow one another, oldest first, up to the newest. They begin with the first one that
 * you did not have; of a private conversation that was begun while you were not connected, and of a
 * group that was created while the program ran, with the first one there is. Of any other conversation
 * that is new to you (a group may be years old), or if the server was restored, they are the newest
 * page; if it `has_older` ones, `history(conversation_id, {before: messages[0].seq})` continues there.
 *
 * Take them in place of what you have of these numbers; what you have of older ones may have been
 * changed.
 */
export interface MessagesReloaded {
  type: "MessagesReloaded";
  conversation_id: string;
  messages: Message[];
  has_older: boolean;
  position: string;
}

/** A member, you included, has read up to `seq`. */
export interface ReadMoved {
  type: "ReadMoved";
  conversation_id: string;
  username: string;
  seq: number;
}

/** Messages up to `seq` have reached a member; what they read or sent has as well. */
export interface DeliveredMoved {
  type: "DeliveredMoved";
  conversation_id: string;
  username: string;
  seq: number;
}

/** A member is typing; let it expire after 8 s. */
export interface Typing {
  type: "Typing";
  conversation_id: string;
  username: string;
}

/** A user whom you watch is connected, or is not any more. */
export interface PresenceChanged {
  type: "PresenceChanged";
  username: string;
  status: "online" | "offline";
  /** Where it is known. */
  last_seen: string | null;
}

/** You were added to a conversation or removed from it, or its title, notes or members changed. */
export interface ConversationChanged {
  type: "ConversationChanged";
  conversation_id: string;
  event: "added" | "changed" | "removed";
  /** With `added`: the history has everything up to here, what follows comes as events. */
  position: string | null;
}

/** What you said over the connection was refused; the connection stays. */
export interface RequestRefused {
  type: "RequestRefused";
  /** The method. A `watch` that is refused for now, with 429 or 503, is repeated by itself. */
  request: "typing" | "watch";
  /** Of `typing`. */
  conversation_id: string | null;
  error: ChatError;
}

/** A message of yours waits, was sent, or was refused. */
export interface OutboxChanged {
  type: "OutboxChanged";
  unsent: UnsentMessage;
}

/** Everything that happens; `switch (event.type)` tells them apart. */
export type ClientEvent =
  | Connected | Disconnected | MessageCreated | MessageChanged | MessagesReloaded | ReadMoved
  | DeliveredMoved | Typing | PresenceChanged | ConversationChanged | RequestRefused | OutboxChanged;

/** Type of each event by name. */
export type ClientEventMap = { [E in ClientEvent | Ended as E["type"]]: CustomEvent<E> };

// ---------------------------------------------------------------------------- sending

export interface SendOptions {
  /** Your own UUID; one is made otherwise, before the first try. */
  message_id?: string;
  kind?: "text" | "location" | "contact" | "custom" | FileKind;
  payload?: Record<string, unknown>;
  /** The `message_id` of the message that it answers. */
  reply_to?: string;
  /** Usernames of members who are to be told. */
  mentions?: string[];
  /** False, for programs: leaves your read marker where it is. */
  mark_read?: boolean;
}

export type FileKind = "image" | "audio" | "video" | "file";

export interface UploadOptions {
  /** Its name for others, if not that of the `File`. */
  name?: string;
  /** Ends it with the signal's reason. Another call with the same file resumes. */
  signal?: AbortSignal;
  /** Called with the bytes that the server has, the file's size, and the message's id. */
  onProgress?: (done: number, size: number, message_id: string) => void;
}

export interface SendFileOptions extends UploadOptions {
  /** A text beside it. */
  content?: string;
  /** By default as the file's type says, or `file` if its content is of another type. */
  kind?: FileKind;
  /** A description for those who cannot see or hear it. */
  alt?: string;
  message_id?: string;
  reply_to?: string;
  mentions?: string[];
  mark_read?: boolean;
}

export interface DownloadOptions {
  /** Where its bytes are written as they come: closed when it is complete and checked, else aborted. */
  to?: WritableStream<Uint8Array>;
  /**
   * What there is of it already, which is checked with the rest; only the rest is written `to` a
   * stream. Or a number of bytes to leave out: then only the length is checked.
   */
  from?: Blob | number;
  /** Ends it with the signal's reason. */
  signal?: AbortSignal;
  /** Called with the bytes that are done, and the file's size. */
  onProgress?: (done: number, size: number) => void;
}

/** A file of your own, or an upload that is to become one. */
export interface OwnFile {
  file_id: string;
  name: string;
  /** Bytes that it has or is to have. */
  size: number;
  /** Found in the content; of an upload, what was said. */
  type: string;
  state: "uploading" | "checking" | "ready" | "refused";
  created_at: string;
  /** Whether a message has it, whoever sent that. */
  in_use: boolean;
  /** When it is deleted by itself. */
  expires_at: string | null;
  /** Your own messages that have it, at most ten. */
  messages: { conversation_id: string; message_id: string }[];
}

export interface FileLink {
  /** Relative to the server's address. */
  url: string;
  expires_at: string;
}

/** A message that the server has not accepted yet. */
export interface UnsentMessage extends SendOptions {
  message_id: string;
  conversation_id: string;
  content?: string;
  /** By this device's clock. */
  created_at: string;
  /** `sending` lasts as long as there is no answer, over reloads of the page too. */
  state: "sending" | "sent" | "failed";
  /** With `failed`: why it was refused. */
  error?: { type: string; status: number; title: string; detail: string };
}

// ---------------------------------------------------------------------------- what is injected

/** Tokens of one signed-in device. */
export interface Tokens {
  username: string;
  access_token: string;
  refresh_token: string;
  /** When to renew them: milliseconds since 1970 by this device's clock. */
  renew_at: number;
  /** Until when the access token is used while there is no answer; without it, until `renew_at`. */
  ends_at?: number;
}

/** Where tokens are kept. Several tabs may share one. */
export interface TokenStore {
  load(): Tokens | null | Promise<Tokens | null>;
  /** Null: they are of no use any more. Awaited before the new ones are used. */
  save(tokens: Tokens | null): void | Promise<void>;
}

/** Where positions and unsent messages are kept. Values are JSON. Several tabs may share one. */
export interface ClientStorage {
  get(key: string): Promise<unknown>;
  /**
   * Replace the value by what `change` returns for it, given undefined where there is none. In one
   * transaction: nobody else changes it in between.
   */
  update(key: string, change: (kept: unknown) => unknown): Promise<void>;
  delete(key: string): Promise<void>;
  /** All keys that begin so, in order. */
  keys(prefix: string): Promise<string[]>;
}

/** Keeps everything until the page or process ends. */
export function memoryStorage(): ClientStorage;

/** Keeps everything in IndexedDB, under this name. */
export function indexedDBStorage(name?: string): ClientStorage;

/** A new UUID (version 4). */
export function newId(): string;

/** The part of `WebSocket` that is used. */
export interface WebSocketLike {
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(text: string): void;
  close(code?: number, reason?: string): void;
  /** Ends it without the other side, which is waited for otherwise. */
  terminate?(): void;
}

export interface ClientOptions {
  /** Sign in when it is needed; both or neither. */
  username?: string;
  password?: string;
  /** An access token, used until it is refused. */
  token?: string;
  /**
   * Asked for an access token when there is none, and once more each time when one was refused.
   * `expires_in` is in seconds: with it the token is renewed in time. What takes longer than 30 s
   * has failed.
   */
  getToken?: () => Promise<string | { access_token: string; expires_in?: number }>;
  /** Where the tokens of `signIn` are kept; in memory unless you say otherwise. */
  tokens?: TokenStore;
  /** Where positions and unsent messages are kept; in memory unless you say otherwise. */
  storage?: ClientStorage;
  /** Events that may wait for `events()`; more end the connection until half are taken. 5,000. */
  queue_max?: number;
  /** Milliseconds that one request may take. 10,000. */
  request_timeout?: number;
  /** Milliseconds for which a request is repeated. 30,000; sending a message has no end. */
  retry_for?: number;
  fetch?: typeof fetch;
  WebSocket?: new (url: string, protocols: string[]) => WebSocketLike;
  /** Shared by the tabs of one origin; null does without. `navigator.locks` where there is one. */
  locks?: Pick<LockManager, "request"> | null;
  /** From 0 up to 1: spreads the waits between tries. `Math.random`. */
  random?: () => number;
  /** What waits between tries are multiplied by, for tests. 1. */
  pace?: number;
}

// ---------------------------------------------------------------------------- the client

/**
 * One person on one device.
 *
 * Everything but events works without `connect`. Requests are repeated while that is safe and the
 * server is unavailable; what is refused rejects with a `ChatError`.
 */
export class Client extends EventTarget {
  /** `url`: of the gateway, like `https://chat.example.com`. */
  constructor(url: string | URL, options?: ClientOptions);

  /** Who is signed in; null while it is not known. */
  readonly username: string | null;
  /** `waiting`: for the next try. `connected`: nothing is missing. */
  readonly state: "closed" | "connecting" | "connected" | "waiting";
  /** How far the events were taken; see `events`. */
  readonly positions: Positions;
  /** What the server has not accepted yet, refused ones too, oldest first. */
  readonly outbox: readonly UnsentMessage[];

  // -- accounts

  /** Sign up; does not sign in. With the same `key`, a UUID, within 24 hours, it is done once. */
  signUp(
    user: { username: string; email: string; password: string },
    options?: { key?: string },
  ): Promise<OwnProfile>;
  /** Sign in, and keep the tokens. */
  signIn(username: string, password: string): Promise<void>;
  /** Whether there are tokens, so that nobody has to be asked for a password. */
  signedIn(): Promise<boolean>;
  /** End this session, forget tokens, positions and unsent messages, and close. */
  logout(): Promise<void>;
  sessions(): Promise<Session[]>;
  /** Sign another device out. */
  endSession(session_id: string): Promise<void>;
  me(): Promise<OwnProfile>;
  user(username: string): Promise<Profile>;
  /** Users whose username or display name begins so. */
  searchUsers(query: string, options?: { limit?: number }): AsyncIterableIterator<Profile>;
  /** A new password needs `current_password`, and signs out all other devices. */
  changeProfile(changes: {
    display_name?: string;
    email?: string;
    password?: string;
    current_password?: string;
  }): Promise<OwnProfile>;

  // -- conversations

  /** Yours, newest activity first. `limit` is the size of the pages that are asked for. */
  conversations(options?: { limit?: number }): AsyncIterableIterator<ListedConversation>;
  conversation(conversation_id: string): Promise<WholeConversation>;
  /** With the same `key`, a UUID, within 24 hours, a group is created once. */
  createGroup(
    title: string,
    members: string[],
    options?: { metadata?: Record<string, string>; key?: string },
  ): Promise<Conversation>;
  /** The conversation with one other, which is made once. */
  createPrivate(username: string): Promise<Conversation>;
  changeConversation(
    conversation_id: string,
    changes: { title?: string; metadata?: Record<string, string> },
  ): Promise<Conversation>;
  /** End a group for everybody, as its owner. */
  deleteConversation(conversation_id: string): Promise<void>;
  members(conversation_id: string, options?: { limit?: number }): AsyncIterableIterator<Member>;
  /** With the same `key`, a UUID, within 24 hours, it is done once. */
  addMember(
    conversation_id: string,
    username: string,
    role?: Role,
    options?: { key?: string },
  ): Promise<Member>;
  removeMember(conversation_id: string, username: string): Promise<void>;
  leave(conversation_id: string): Promise<void>;
  changeRole(conversation_id: string, username: string, role: Role): Promise<Member>;

  // -- messages

  /**
   * Send a message; resolves with its `message_id` once it is durable.
   *
   * It is put into the outbox first, and sent from there until the server accepts or refuses it,
   * one after another in each conversation. `OutboxChanged` tells what becomes of it. Rejects when
   * it was refused or discarded, or the client was closed: then it is sent by the next client with
   * the storage.
   */
  send(conversation_id: string, content: string, options?: SendOptions): Promise<string>;
  send(conversation_id: string, options: SendOptions & { content?: string }): Promise<string>;

  /**
   * Upload a file and send it; resolves with the `message_id` once the message is durable.
   *
   * It resumes after breaks, for as long as it takes. With a storage another run resumes too, when it
   * is given the same `File` (name, size, `lastModified`), and the message is sent once. A `Blob` that
   * is not a `File` is uploaded from the start. Rejects when it is refused, cannot be read or is aborted.
   */
  sendFile(conversation_id: string, file: Blob, options?: SendFileOptions): Promise<string>;
  /** Upload a file; resolves with its `file_id`. It is yours alone until a message names it. */
  upload(file: Blob, options?: UploadOptions): Promise<string>;
  /** Delete an aborted upload: of `sendFile` with its `conversation_id`, of `upload` without. */
  discardUpload(
    file: Blob,
    options?: { name?: string; conversation_id?: string },
  ): Promise<void>;
  /**
   * Download a file: to a `Blob` of its type, or `to` a stream, for files that are larger than memory.
   *
   * It resumes after breaks, for as long as something comes within `retry_for`. The size and the
   * SHA-256 are checked; what is not the file rejects.
   */
  download(
    file_id: string,
    options: DownloadOptions & { to: WritableStream<Uint8Array> },
  ): Promise<void>;
  download(file_id: string, options?: DownloadOptions & { to?: undefined }): Promise<Blob>;
  /** Your own files and unfinished uploads. `limit` is the size of the pages that are asked for. */
  files(options?: {
    order?: "newest" | "largest";
    limit?: number;
  }): AsyncIterableIterator<OwnFile>;
  /** Delete a file that no message has, or an upload. */
  deleteFile(file_id: string): Promise<void>;
  /** An address of a file for some minutes, for what cannot send a token: `<img>`, `<video>`. */
  fileLink(file_id: string): Promise<FileLink>;

  /** Send a refused message once more. */
  retry(message_id: string): Promise<string>;
  /**
   * Take a message out of the outbox; its `send` rejects. It may have been sent already, and a try that
   * is under way may still send it, but once this has resolved no other is begun, by no tab and after
   * no reload. Only a client without Web Locks, or one that was closed or signed out while it was
   * sending the message, does not find out that another tab has discarded it.
   */
  discard(message_id: string): Promise<void>;

  /** Give your own message another text. */
  edit(message: MessageRef, content: string): Promise<void>;
  /** Delete your own message, or anybody's as an admin. */
  remove(message: MessageRef): Promise<void>;
  react(message: MessageRef, emoji: string): Promise<void>;
  unreact(message: MessageRef, emoji: string): Promise<void>;
  message(conversation_id: string, message_id: string): Promise<Message>;
  /** Every text that it had, earliest first; for its author and admins. */
  edits(message: MessageRef): Promise<Version[]>;
  /** With all names. */
  reactions(message: MessageRef): Promise<Reaction[]>;

  /**
   * Pages, each oldest first: from the newest or `before` a seq to older ones, from `after` a seq to
   * newer ones, and from the page `around` a seq in the `direction` that you say (older).
   */
  history(
    conversation_id: string,
    options?: {
      before?: number;
      after?: number;
      around?: number;
      direction?: "older" | "newer";
      /** Messages of a page, 1 to 200. 50. */
      limit?: number;
      /** Not older than this position. */
      at_least?: string;
    },
  ): AsyncIterableIterator<Page>;
  /** You have read everything up to `seq`. */
  read(conversation_id: string, seq: number): Promise<void>;
  receipts(conversation_id: string): Promise<Receipt[]>;

  // -- live

  /**
   * Connect, and stay connected until `close`. Resolves once you have everything that was missed;
   * rejects when trying again is of no use.
   *
   * `since`: positions from where to go on, which you keep yourself; without it those that are in
   * `storage`, where they are kept then. Conversations that are not among them come as
   * `ConversationChanged`, `added`.
   */
  connect(options?: { since?: Positions }): Promise<void>;
  /**
   * Everything that happens, from `since` on; connects. One at a time.
   *
   * An event counts as taken when the next one is asked for: then its position is kept, so that a
   * program that dies while it handles one gets it again. Listeners by `addEventListener` are told
   * at once; without a loop an event counts as taken when they have returned. Ends with `close`, and
   * throws when trying again is of no use.
   */
  events(options?: { since?: Positions }): AsyncIterableIterator<ClientEvent>;
  /** Say that you are typing; again every few seconds while it is so. It may be lost. */
  typing(conversation_id: string): void;
  /** Be told who of these is online, at most 200; replaces those named before. */
  watch(usernames: string[]): void;
  /** End the connection and everything that waits. */
  close(): Promise<void>;

  addEventListener<K extends keyof ClientEventMap>(
    type: K,
    listener: (event: ClientEventMap[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof ClientEventMap>(
    type: K,
    listener: (event: ClientEventMap[K]) => void,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
}
