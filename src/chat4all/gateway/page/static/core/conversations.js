/** The list of conversations, and what the client tells of them. */
import { Timeline } from "./timeline.js";
import { t } from "./i18n.js";

const TYPING_MS = 8_000;
/** Ms of a lost connection before it is said: most come back at once. */
const TROUBLED_MS = 1_500;
const WATCHED = 200;
const CHANGED_MS = 150;
const ARRIVED_MOST = 50;
const NOTHING = { read: 0, delivered: 0 };

/** Return the two numbers of a position. */
const numbers = (position) => position.split(".").map(Number);

export const changeOf = (position) => numbers(position)[1] ?? 0;

export default {
  /** Read all conversations, then be told what happens to them from there on. */
  async list(client) {
    const positions = {};
    let rank = 0;
    try {
      for await (const one of client.conversations({ limit: 200 })) {
        if (this.client !== client) return;
        this.takeListed(one, --rank);
        positions[one.conversation_id] = one.position;
      }
    } catch (error) {
      if (this.client !== client) return;
      if (error.type === "/problems/signed-out") return this.expelled();
      this.setTroubled(true);
      setTimeout(() => this.client === client && this.list(client), 2_000);
      return;
    }
    this.state.listed = true;
    this.tellTitle();
    this.route();
    this.redraw();
    client.connect({ since: { generation: null, positions } }).catch(() => {}); // `Ended` tells why
  },

  /** `rank`: its place in the server's list, which is in the order of the log and not of any clock. */
  takeListed(listed, rank) {
    const { conversation_id: id, last_message: last, position, unread } = listed;
    const known = this.state.conversations.get(id);
    const [seq, change] = numbers(position);
    const head = Math.max(seq, known?.head ?? 0);
    const readSeq = Math.max(seq - unread, known?.readSeq ?? 0);
    // The same object for good: what is drawn has hold of it.
    const one = known ?? {
      timeline: new Timeline(), draft: this.keptDraft(id), editing: null, replying: null, typing: new Map(),
      receipts: null, unreadFrom: null, sent: new Map(), reloads: 0,
    };
    one.rank = rank ?? known?.rank ?? this.nextRank();
    this.state.conversations.set(id, Object.assign(one, {
      id, least: null, type: listed.type, title: listed.title, peer: listed.peer, role: listed.role, created_at: listed.created_at,
      members: listed.members, memberCount: listed.member_count,
      moreMembers: listed.member_count > listed.members.length,
      last: known?.last && known.last.seq >= (last?.seq ?? 0) ? known.last : last && { ...last, at: change },
      head, readSeq, unread: Math.max(0, head - readSeq), mentions: listed.unread_mentions,
    }));
  },

  /** Look at one conversation anew: its title, its members, one's own role. */
  async refresh(id) {
    const { client } = this;
    try {
      const found = await client.conversation(id);
      if (this.client !== client) return;
      const known = this.state.conversations.get(id);
      // What comes live is told by events, each in its turn; only of a new one they began before.
      const told = known && { last_message: null, position: `${known.head}.0`, unread: known.unread, unread_mentions: known.mentions };
      this.takeListed({ ...found, ...told });
      this.takeArrived(id);
    } catch (error) {
      if (error.status === 403 || error.status === 404) this.drop(id);
      else if (error.status === 0 || error.status >= 500) setTimeout(() => this.client === client && this.refresh(id), 3_000);
      else this.arrived.delete(id); // the next message looks again
    }
    this.redraw();
  },

  /** Keep a message of a conversation that is not known yet, and look at that. */
  arrive(detail) {
    const { conversation_id: id } = detail.message;
    const waiting = this.arrived.get(id);
    if (waiting?.length < ARRIVED_MOST) waiting.push(detail);
    if (waiting) return;
    this.arrived.set(id, [detail]);
    this.refresh(id);
  },

  takeArrived(id) {
    const conversation = this.state.conversations.get(id);
    const waiting = this.arrived.get(id) ?? [];
    this.arrived.delete(id);
    for (const detail of waiting) {
      const { seq } = detail.message;
      if (seq > conversation.head) this.takeMessage(detail);
      else if (seq > conversation.readSeq) this.tellMessage(conversation, detail.message);
    }
    this.tellTitle();
  },

  drop(id) {
    this.arrived.delete(id);
    if (!this.state.conversations.delete(id)) return;
    if (this.state.open === id) {
      this.toast(t("left"));
      location.hash = "#/";
    }
    this.tellTitle();
    this.redraw();
  },

  sorted() {
    const activity = ({ last, created_at }) => last?.created_at ?? created_at;
    return [...this.state.conversations.values()].sort(
      (one, two) => two.rank - one.rank || (activity(one) < activity(two) ? 1 : -1));
  },

  /** Return the rank of what comes now; what a resume brings comes in no order, and shares one. */
  nextRank() {
    if (this.client.state === "connected") this.newest += 1;
    return this.newest;
  },

  conversation() {
    return this.state.conversations.get(this.state.open);
  },

  titleOf({ type, title, peer }) {
    return type === "private" ? this.nameOf(peer ?? "?") : title ?? t("start_group");
  },

  typingIn({ typing }) {
    const now = performance.now();
    return [...typing].filter(([, until]) => until > now).map(([name]) => name);
  },

  /** Return how far an own message has come. */
  stateOf(conversation, message) {
    if (message.sender_id !== this.state.me.username) return null;
    if (message.state === "failed") return "failed";
    if (message.state === "sending") return this.state.troubled ? "waiting" : "sending";
    if (message.seq == null) return "sent";
    if (message.status === "READ") return "read";
    const { read, delivered } = (conversation.least ??= this.leastOf(conversation));
    return read >= message.seq ? "read" : delivered >= message.seq ? "delivered" : "sent";
  },

  /** Return how far all the others have come, with one who is the last of them. */
  leastOf({ members, moreMembers, receipts }) {
    const others = members.filter(({ username }) => username !== this.state.me.username);
    // Of a large group only some members are known here.
    if (moreMembers || !others.length || !receipts) return NOTHING;
    const all = others.map(({ username }) => receipts.get(username) ?? NOTHING);
    return {
      read: Math.min(...all.map(({ read }) => read)),
      delivered: Math.min(...all.map(({ read, delivered }) => Math.max(read, delivered))),
    };
  },

  listen(client) {
    const on = (type, take) =>
      client.addEventListener(type, ({ detail }) => {
        if (this.client !== client) return;
        take.call(this, detail);
        this.redraw();
      });
    on("Connected", () => {
      this.setTroubled(false);
      this.watch(true);
      this.reloadStale();
      this.forgetBrokenLinks();
      for (const one of this.state.conversations.values()) {
        if (one.isReadUnsaid) this.sayRead(one);
        if (one.isDoubtful && one !== this.conversation()) this.loadReceipts(one);
      }
    });
    on("Disconnected", () => {
      this.newest += 1;
      this.setTroubled(true, TROUBLED_MS);
    });
    on("Ended", ({ error }) => (error.type === "/problems/signed-out" ? this.expelled() : this.setTroubled(true)));
    on("MessageCreated", this.takeMessage);
    on("MessageChanged", this.takeChange);
    on("MessagesReloaded", this.takeReload);
    on("ReadMoved", this.takeRead);
    on("DeliveredMoved", this.takeDelivered);
    on("Typing", this.takeTyping);
    on("PresenceChanged", ({ username, status, last_seen }) => this.state.presence.set(username, { status, last_seen }));
    on("ConversationChanged", this.takeConversation);
    on("OutboxChanged", this.takeOutbox);
  },

  takeMessage({ message, position }) {
    const conversation = this.state.conversations.get(message.conversation_id);
    if (!conversation) return this.arrive({ message, position });
    const mine = message.sender_id === this.state.me.username;
    message = { ...message, at: changeOf(position) };
    conversation.sent.delete(message.message_id);
    conversation.typing.delete(message.sender_id);
    if (message.seq <= conversation.head) return;
    conversation.head = message.seq;
    conversation.last = message;
    conversation.rank = this.nextRank();
    const isOpen = this.state.open === message.conversation_id;
    conversation.timeline.add(message, isOpen && this.state.following);
    if (isOpen && !conversation.timeline.loaded) this.load(conversation);
    this.takeSending(conversation, message);
    if (!mine) {
      if (isOpen && !this.isLooking() && !conversation.unreadFrom) conversation.unreadFrom = message.seq;
      if (message.mentions.includes(this.state.me.username)) conversation.mentions = [...conversation.mentions, message.seq];
      this.tellMessage(conversation, message);
    }
    this.countUnread(conversation);
  },

  /**
   * Who sends has read up to there, unless it is a program that says that it does not: what is sent
   * again or reloaded may be of such a one, and the receipts tell.
   */
  takeSending(conversation, { sender_id, seq }) {
    if (this.client.state !== "connected") {
      conversation.isDoubtful = Boolean(conversation.receipts);
      return; // how far one has read oneself comes with `Connected`
    }
    this.moveReceipt(conversation, sender_id, { read: seq });
    if (sender_id === this.state.me.username) conversation.readSeq = seq;
  },

  takeChange({ message, position }) {
    const conversation = this.state.conversations.get(message.conversation_id);
    if (!conversation) return;
    const at = changeOf(position);
    message = { ...message, at };
    if (conversation.last?.seq === message.seq && at > conversation.last.at) conversation.last = message;
    conversation.timeline.change(message);
  },

  /** What is missing cannot be told one by one: the newest page is read again. */
  takeReload({ conversation_id, messages, position }) {
    const conversation = this.state.conversations.get(conversation_id);
    if (!conversation) return this.refresh(conversation_id);
    const last = messages.at(-1);
    const me = this.state.me.username;
    const [seq, at] = numbers(position);
    if (seq < conversation.head) {
      // The server has lost what came after, or was put back: what it has counts.
      Object.assign(conversation, { head: seq, last: null, receipts: null, least: null, unreadFrom: null, readSeq: Math.min(conversation.readSeq, seq) });
      conversation.timeline.clear();
    }
    const head = Math.max(seq, last?.seq ?? 0);
    if (head > conversation.head) conversation.rank = this.nextRank();
    conversation.head = head;
    if (last && last.seq >= (conversation.last?.seq ?? 0)) conversation.last = { ...last, at };
    for (const { message_id } of messages) conversation.sent.delete(message_id);
    conversation.isDoubtful = Boolean(conversation.receipts) || messages.some(({ sender_id }) => sender_id === me);
    const isLive = this.client.state === "connected";
    if (isLive && conversation.isDoubtful && conversation !== this.conversation()) this.loadReceipts(conversation);
    const mentions = messages.filter(({ mentions }) => mentions.includes(me)).map(({ seq }) => seq);
    conversation.mentions = [...new Set([...conversation.mentions, ...mentions])].filter((one) => one <= conversation.head);
    conversation.timeline.loaded = false;
    conversation.reloads += 1;
    this.countUnread(conversation);
    this.reloadStale();
  },

  takeRead({ conversation_id, username, seq }) {
    const conversation = this.state.conversations.get(conversation_id);
    if (!conversation) return;
    this.moveReceipt(conversation, username, { read: seq });
    if (username === this.state.me.username) {
      conversation.readSeq = Math.max(conversation.readSeq, seq);
      this.countUnread(conversation);
    }
  },

  takeDelivered({ conversation_id, username, seq }) {
    const conversation = this.state.conversations.get(conversation_id);
    if (conversation) this.moveReceipt(conversation, username, { delivered: seq });
  },

  /** Move how far somebody has come: only ever on. */
  moveReceipt(conversation, username, { read = 0, delivered = 0 }) {
    const { receipts } = conversation;
    if (!receipts) return;
    conversation.least = null;
    const at = receipts.get(username) ?? NOTHING;
    receipts.set(username, { read: Math.max(at.read, read), delivered: Math.max(at.delivered, delivered) });
  },

  takeTyping({ conversation_id, username }) {
    const conversation = this.state.conversations.get(conversation_id);
    if (!conversation || username === this.state.me.username) return;
    conversation.typing.set(username, performance.now() + TYPING_MS);
    setTimeout(() => this.redraw(), TYPING_MS + 50);
  },

  takeConversation({ conversation_id, event }) {
    if (event === "removed") return this.drop(conversation_id);
    // Many changes at once, as of a group that is being filled, are looked at once.
    this.changed ??= new Set();
    if (!this.changed.size) setTimeout(() => this.refreshChanged(), CHANGED_MS);
    this.changed.add(conversation_id);
  },

  refreshChanged() {
    const { changed } = this;
    this.changed = new Set();
    if (this.client) for (const id of changed) this.refresh(id);
  },

  countUnread(conversation) {
    conversation.unread = Math.max(0, conversation.head - conversation.readSeq);
    conversation.mentions = conversation.mentions.filter((seq) => seq > conversation.readSeq);
    this.tellTitle();
  },

  setTroubled(is, after = 0) {
    clearTimeout(this.troubling);
    if (is && after) {
      this.troubling = setTimeout(() => this.setTroubled(true), after);
      return;
    }
    this.state.troubled = is;
    this.redraw();
  },

  connectNow() {
    const { client } = this;
    // One that has given up begins again; one that waits tries at this event.
    if (client.state === "closed") client.connect({ since: client.positions }).catch(() => {});
    else dispatchEvent(new Event("online"));
  },

  /** Be told who is online of those who can be seen. */
  watch(anew = false) {
    const names = new Set();
    const open = this.conversation();
    for (const { username } of open?.members ?? []) if (names.size < WATCHED / 2) names.add(username);
    for (const { peer } of this.sorted()) if (peer && names.size < WATCHED) names.add(peer);
    names.delete(this.state.me.username);
    const list = [...names].sort();
    if (!anew && list.join() === this.watched) return;
    this.watched = list.join();
    this.client.watch(list);
  },

  isOnline(username) {
    return this.state.presence.get(username)?.status === "online";
  },
};
