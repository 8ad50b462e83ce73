/** The open conversation: what of it is on the screen, and how far it was read. */
import { changeOf } from "./conversations.js";
import { noSearch } from "./people.js";
import { isAtEnd, lastSeen, seqInSight } from "./place.js";
import { PAGE } from "./timeline.js";

const NEAR = 600;
const READ_EVERY_MS = 400;
const FOUND_MS = 2_000;
/** Until a page that could not be read is asked for again. */
const AGAIN_MS = 3_000;
/** Unread messages that still fit on the newest page with what was before them. */
const FEW = 40;

export default {
  /** Show what the address says. */
  route() {
    const id = /^#\/c\/([\w-]+)$/.exec(location.hash)?.[1] ?? null;
    if (id !== this.state.open) this.openConversation(id);
  },

  openConversation(id) {
    const { state } = this;
    if (this.state.phase !== "signed-in" || !state.listed) return;
    const before = this.conversation();
    if (before) Object.assign(before, { unreadFrom: null }).timeline.shrink();
    if (id && !state.conversations.has(id)) {
      location.hash = "#/";
      return;
    }
    state.open = id;
    Object.assign(state.ui, { acting: null, picking: null, found: null, menu: false });
    if (matchMedia("(max-width: 1150px)").matches) state.ui.details = false;
    state.following = true;
    const conversation = this.conversation();
    if (!conversation) {
      this.redraw();
      if (before) this.focusWhenDrawn(`a[href="#/c/${before.id}"]`);
      return;
    }
    conversation.unreadFrom = conversation.unread ? conversation.readSeq + 1 : null;
    this.goal = conversation.unreadFrom ? ".unread-line" : "end";
    this.watch();
    this.load(conversation);
    this.loadReceipts(conversation);
    if (!this.isTouch()) this.focusWhenDrawn("#composer");
    this.draw();
  },

  focusWhenDrawn(selector) {
    this.focusing = selector;
    this.redraw();
  },

  focusComposer() {
    document.getElementById("composer")?.focus();
  },

  /** Read the page that a conversation is opened with, unless it is kept. */
  async load(conversation) {
    const { timeline, unread, readSeq } = conversation;
    if (timeline.loaded || conversation.loading) return;
    const isRead = conversation === this.conversation() && !this.state.following && timeline.messages.length;
    // One who reads further up stays there, whatever was missed below.
    const around = isRead ? seqInSight() : unread > FEW ? readSeq + 1 : 0;
    const from = around ? { around } : {};
    await this.pageInstead(conversation, from);
  },

  /** Read histories anew that are on the screen and not whole. */
  reloadStale() {
    const conversation = this.conversation();
    if (conversation && !conversation.timeline.loaded) this.load(conversation);
    if (conversation) this.loadReceipts(conversation);
  },

  /** Read a page of the history; one at a time, so that what is asked for meanwhile is passed over. */
  page(conversation, query, take) {
    conversation.loading ??= this.readPage(conversation, query, take).finally(() => {
      conversation.loading = null;
      this.redraw();
    });
    return conversation.loading;
  },

  /** Read a page in the place of what is shown. */
  pageInstead(conversation, query) {
    return this.page(conversation, query, (messages, { has_older, has_newer }) =>
      conversation.timeline.replace(messages, { atStart: !has_older, atEnd: !has_newer }));
  },

  async readPage(conversation, query, take) {
    const { reloads } = conversation;
    try {
      const { value: page } = await this.client.history(conversation.id, { limit: PAGE, ...query }).next();
      const at = changeOf(page.position);
      take(page.messages.map((message) => ({ ...message, at })), page);
      for (const { message_id } of page.messages) conversation.sent.delete(message_id);
      if (reloads === conversation.reloads) return;
      // What was read may be older than what it was to be read anew for.
      conversation.timeline.loaded = false;
      setTimeout(() => this.reloadStale());
    } catch (error) {
      if (error.status === 403 || error.status === 404) this.drop(conversation.id);
      else if (error.type !== "/problems/closed") {
        conversation.pausedUntil = performance.now() + AGAIN_MS;
        setTimeout(() => this.reloadStale(), AGAIN_MS);
      }
    }
  },

  async loadReceipts(conversation) {
    try {
      const found = await this.client.receipts(conversation.id);
      conversation.receipts ??= new Map();
      conversation.isDoubtful = false;
      for (const { username, read_seq: read, delivered_seq: delivered } of found) {
        this.moveReceipt(conversation, username, { read, delivered });
        if (username === this.state.me.username) conversation.readSeq = Math.max(conversation.readSeq, read);
      }
      this.countUnread(conversation);
    } catch {
      // Ticks stay as they are, until it is connected again.
    }
    this.redraw();
  },

  scrolled() {
    const conversation = this.conversation();
    const scroll = document.getElementById("scroll");
    if (!conversation || !scroll) return;
    const following = isAtEnd() && conversation.timeline.atEnd;
    if (following !== this.state.following) {
      this.state.following = following;
      this.redraw();
    }
    this.fill(conversation, scroll);
    this.noteRead();
  },

  /** Read on where the edge of what is there comes near. */
  fill(conversation, scroll) {
    const { timeline } = conversation;
    if (!timeline.loaded || conversation.loading || performance.now() < (conversation.pausedUntil ?? 0)) return;
    const below = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight;
    const { first, last } = timeline;
    if (scroll.scrollTop < NEAR && !timeline.atStart)
      this.page(conversation, { before: first }, (messages, { has_older }) => timeline.prepend(messages, !has_older, first));
    else if (below < NEAR && !timeline.atEnd)
      this.page(conversation, { after: last }, (messages, { has_newer }) => timeline.append(messages, !has_newer, last));
  },

  async toNewest() {
    const conversation = this.conversation();
    if (!conversation.timeline.atEnd) {
      await conversation.loading;
      await this.pageInstead(conversation, {});
    }
    this.goal = "end";
    this.redraw();
    if (!this.isTouch()) this.focusComposer();
  },

  /** Go to a message, wherever in the history it is. */
  async jumpTo(seq) {
    const conversation = this.conversation();
    const { timeline } = conversation;
    await conversation.loading;
    if (!timeline.messages.some((one) => one.seq === seq)) await this.pageInstead(conversation, { around: seq });
    const found = timeline.messages.find((one) => one.seq === seq);
    if (!found) return;
    this.goal = `[data-seq="${seq}"]`;
    const key = `${found.sender_id}/${found.message_id}`;
    this.state.ui.found = key;
    this.state.following = false;
    this.focusWhenDrawn(this.goal);
    setTimeout(() => {
      if (this.state.ui.found === key) this.state.ui.found = null;
      this.redraw();
    }, FOUND_MS);
  },

  isLooking() {
    return document.visibilityState === "visible";
  },

  /** Say how far the open conversation was read, soon. */
  noteRead() {
    this.reading ??= setTimeout(() => {
      this.reading = null;
      const conversation = this.conversation();
      if (!conversation?.timeline.loaded || !this.isLooking()) return;
      const seq = Math.min(lastSeen(), conversation.head);
      if (seq <= conversation.readSeq) return;
      conversation.readSeq = seq;
      this.sayRead(conversation);
      this.countUnread(conversation);
      this.redraw();
    }, READ_EVERY_MS);
  },

  /** Tell the server; what it was not told is told once there is a connection again. */
  sayRead(conversation) {
    conversation.isReadUnsaid = false;
    this.client?.read(conversation.id, conversation.readSeq).catch(() => (conversation.isReadUnsaid = true));
  },

  afterDrawing() {
    const scroll = document.getElementById("scroll");
    if (this.focusing) {
      const item = document.querySelector(this.focusing);
      if (item) {
        item.focus({ preventScroll: true });
        this.focusing = null;
      }
    }
    if (!scroll) return;
    if (scroll !== this.observed) {
      // A field that grows, a keyboard that comes: the end stays in sight.
      this.observer?.disconnect();
      this.observer = new ResizeObserver(() => this.state.following && (scroll.scrollTop = scroll.scrollHeight));
      this.observer.observe(scroll);
      this.observed = scroll;
    }
    const conversation = this.conversation();
    if (conversation) this.fill(conversation, scroll);
    this.noteRead();
  },

  toggleDetails(open = !this.state.ui.details) {
    this.state.ui.details = open;
    this.state.finder = noSearch();
    this.redraw();
    if (open) {
      this.focusWhenDrawn(".details header button");
      if (this.conversation()?.type === "group") this.refresh(this.state.open);
    } else document.querySelector(".details-button")?.focus();
  },
};
