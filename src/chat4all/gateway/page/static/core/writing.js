/** Writing: drafts, sending, and what can be done with a message. */
import { t } from "./i18n.js";
import { mentionsIn } from "./text.js";

const DRAFT = "chat4all.draft";
const TYPING_EVERY_MS = 3_000;
const MOST = 10_000;
/** Pixels that the reactions to choose from need above a message. */
const PICKER = 130;

export default {
  draftKey(id) {
    return `${DRAFT}.${this.state.me.username}.${id}`;
  },

  keptDraft(id) {
    return localStorage.getItem(this.draftKey(id)) ?? "";
  },

  keepDraft({ id, draft, editing }) {
    if (editing) return; // the draft from before is kept
    if (draft) localStorage.setItem(this.draftKey(id), draft);
    else localStorage.removeItem(this.draftKey(id));
  },

  forgetDrafts(username) {
    const own = `${DRAFT}.${username}.`;
    for (const key of Object.keys(localStorage)) if (key.startsWith(own)) localStorage.removeItem(key);
  },

  write(conversation, text) {
    conversation.draft = text;
    this.keepDraft(conversation);
    Object.assign(this.state.ui, { suggested: 0, noSuggestions: false });
    const now = performance.now();
    if (text.trim() && !conversation.editing && now - (conversation.saidTyping ?? -Infinity) > TYPING_EVERY_MS) {
      conversation.saidTyping = now;
      this.client.typing(conversation.id);
    }
    this.redraw();
  },

  submit(conversation) {
    const text = conversation.draft.trim();
    const { editing, replying } = conversation;
    if (!text || Array.from(text).length > MOST) return;
    if (editing) {
      this.cancelAbove(conversation);
      if (text !== editing.content) this.saveEdit(conversation, editing, text);
      return;
    }
    conversation.draft = "";
    conversation.replying = null;
    conversation.saidTyping = null;
    conversation.unreadFrom = null;
    this.keepDraft(conversation);
    const mentions = conversation.type === "group" ? mentionsIn(text, conversation.members.map(({ username }) => username)) : [];
    const options = { ...(mentions.length && { mentions }), ...(replying && { reply_to: replying.message_id }) };
    // What becomes of it is told by events, and shown with the message.
    this.client.send(conversation.id, text, options).catch(() => {});
    this.toNewest();
  },

  /** Change a message; a text that was not taken comes back into the field, unless that is in use. */
  async saveEdit(conversation, editing, text) {
    if (await this.attempt(() => this.client.edit(editing, text))) return;
    if (conversation.editing || conversation.draft) return;
    Object.assign(conversation, { editing, replying: null, draft: text });
    this.redraw();
  },

  /** Take what the client says of a message that is on its way. */
  takeOutbox({ unsent }) {
    const conversation = this.state.conversations.get(unsent.conversation_id);
    if (!conversation) return;
    if (unsent.state === "sent") {
      const isThere = conversation.timeline.messages.some((one) => one.message_id === unsent.message_id && one.sender_id === this.state.me.username);
      if (!isThere) conversation.sent.set(unsent.message_id, unsent);
    }
  },

  /** Return one's own messages that are not in the history yet, as messages. */
  unsentIn(conversation) {
    const { timeline, id, sent } = conversation;
    const outbox = this.client.outbox.filter(({ conversation_id }) => conversation_id === id);
    const there = new Set(timeline.messages.map((one) => one.message_id));
    const all = [...sent.values(), ...outbox].filter(({ message_id }) => !there.has(message_id));
    const known = new Set([...there, ...all.map(({ message_id }) => message_id)]);
    const uploads = this.uploadsIn(conversation).filter(({ message_id }) => !known.has(message_id));
    return [...all, ...uploads].map((unsent) => ({
      ...unsent, sender_id: this.state.me.username, seq: null, kind: unsent.kind ?? "text", content: unsent.content ?? "",
      edited_at: null, deleted_at: null, reactions: [], mentions: unsent.mentions ?? [], payload: unsent.payload ?? null,
      reply_to: unsent.reply_to ? timeline.messages.find(({ message_id }) => message_id === unsent.reply_to) ?? null : null,
    }));
  },

  retry({ message_id }) {
    this.client.retry(message_id).catch(() => {}); // shown with the message
  },

  async discard({ message_id }) {
    await this.attempt(() => this.client.discard(message_id));
    this.redraw();
  },

  beginEdit(conversation, message) {
    Object.assign(conversation, { editing: message, replying: null, draft: message.content });
    this.quiet();
    this.focusWhenDrawn("#composer");
  },

  reply(conversation, message) {
    if (conversation.editing) this.cancelAbove(conversation);
    conversation.replying = message;
    this.quiet();
    this.focusWhenDrawn("#composer");
  },

  /** Leave editing or replying; the draft from before comes back. */
  cancelAbove(conversation) {
    if (conversation.editing) conversation.draft = this.keptDraft(conversation.id);
    Object.assign(conversation, { editing: null, replying: null });
    this.redraw();
  },

  /** Show what can be done with a message, at a tap on it. */
  act(key, event) {
    if (!this.isTouch()) {
      if (this.state.ui.picking) this.quiet();
      return;
    }
    const { ui } = this.state;
    ui.acting = ui.acting === key ? null : key;
    ui.picking = null;
    if (ui.acting === null) event.currentTarget.blur();
    this.redraw();
  },

  pick(key) {
    const { ui } = this.state;
    ui.picking = key;
    // Above the message, unless that is out of sight.
    const item = key && document.querySelector(`[data-key="${CSS.escape(key)}"]`);
    const scroll = document.getElementById("scroll");
    ui.below = Boolean(item) && item.getBoundingClientRect().top - scroll.getBoundingClientRect().top < PICKER;
    this.redraw();
  },

  quiet() {
    Object.assign(this.state.ui, { acting: null, picking: null });
    this.redraw();
  },

  async react(conversation, message, emoji) {
    const own = message.reactions.find((one) => one.emoji === emoji)?.names.includes(this.state.me.username);
    this.quiet();
    await this.attempt(() => (own ? this.client.unreact(message, emoji) : this.client.react(message, emoji)));
  },

  async remove(conversation, message) {
    this.quiet();
    if (!(await this.ask(t("delete"), t("confirm_delete")))) return;
    await this.attempt(() => this.client.remove(message));
    this.focusComposer();
  },
};
