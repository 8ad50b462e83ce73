/** One message: its bubble, what it answers, its reactions, and what can be done with it. */
import { digits, exact, listed, t, time } from "../core/i18n.js";
import { isEmojiOnly, parts } from "../core/text.js";
import { fileView, uploadView } from "./file.js";
import { avatar, html, hue, icon, kept, nothing } from "./parts.js";

export const EMOJIS = ["👍", "👎", "❤️", "😂", "😮", "😢", "😡", "🙏", "👏", "🎉", "🔥", "👀"];

/** Return a message's key, which it has from before it was sent. */
export const keyOf = (message) => `${message.sender_id}/${message.message_id}`;

/** Return a message's view, made again only when something that it shows has changed. */
export function keptMessage(app, conversation, message, { first, last, state }) {
  const { ui, renamed } = app.state;
  const key = keyOf(message);
  const isPicking = ui.picking === key;
  const values = [message, first, last, state, ui.acting === key, isPicking, isPicking && ui.below, ui.found === key, renamed, conversation.role, app.linkOf(message)];
  return kept(values, () => messageView(app, conversation, message, { first, last, state }));
}

function messageView(app, conversation, message, { first, last, state }) {
  const { me, ui } = app.state;
  const mine = message.sender_id === me.username;
  const key = keyOf(message);
  const deleted = message.deleted_at != null;
  const acting = ui.acting === key;
  const classes = [
    "message", mine && "mine", first && "first", last && "last", deleted && "deleted", acting && "acting",
    ui.picking === key && ui.below && "near-top", state === "failed" && "failed", ui.found === key && "found",
    !deleted && isEmojiOnly(message.content) && message.kind === "text" && "emoji-only",
    message.mentions?.includes(me.username) && "mentions-me",
  ].filter(Boolean).join(" ");
  const name = app.nameOf(message.sender_id);
  return html`
    <li class=${classes} data-key=${key} data-seq=${message.seq ?? nothing} tabindex="-1"
      @click=${(event) => event.target.closest("a, button, audio, video") || app.act(key, event)}
      @keydown=${(event) => onKey(app, conversation, message, event)}>
      ${!mine && first ? avatar(name, { of: message.sender_id, size: "small" }) : nothing}
      <div class="body">
        ${!mine && first && conversation.type === "group" ? html`<p class="sender name hue-${hue(message.sender_id)}">${name}</p>`
          : first ? html`<span class="unseen">${mine ? t("you") : name}</span>` : nothing}
        <div class="bubble-row">
          <div class="bubble">
            ${!deleted && message.reply_to ? quote(app, message.reply_to, () => app.jumpTo(message.reply_to.seq)) : nothing}
            ${content(app, message, deleted)}
            ${stamp(message, mine, state)}
          </div>
          ${message.seq && !deleted ? actions(app, conversation, message, { mine, key, acting }) : nothing}
        </div>
        ${!deleted && message.reactions?.length ? reactions(app, conversation, message) : nothing}
        ${state === "failed" ? failure(app, message) : nothing}
      </div>
    </li>`;
}

function content(app, message, deleted) {
  if (deleted) return html`<span class="text">${t("deleted")}</span>`;
  return html`${payload(app, message)}<span class="text" dir="auto">${parts(message.content, message.mentions).map((part) => {
    if (typeof part === "string") return part;
    if (part.link) return html`<a href=${part.link} target="_blank" rel="noopener noreferrer">${part.link}</a>`;
    return html`<span class="mention">@${app.nameOf(part.mention)}</span>`;
  })}</span>`;
}

function payload(app, message) {
  const { kind, payload: has, content: text, upload } = message;
  if (upload) return uploadView(app, upload);
  if (["image", "audio", "video", "file"].includes(kind)) return fileView(app, message, app.linkOf(message));
  if (kind === "location" && has) {
    const at = `${has.lat},${has.lon}`;
    return html`<div class="place"><strong>${has.name ?? t("location")}</strong><span>${has.address ?? at}</span>
      <a href="https://www.openstreetmap.org/?mlat=${has.lat}&mlon=${has.lon}#map=16/${has.lat}/${has.lon}" target="_blank" rel="noopener noreferrer">${t("open_map")}</a></div>`;
  }
  if (kind === "contact" && has)
    return html`<div class="place"><strong>${has.name ?? t("contact")}</strong>
      ${[...(has.phones ?? []), ...(has.emails ?? [])].map((one) => html`<span>${one}</span>`)}</div>`;
  return kind === "text" || text ? nothing : html`<em>${t("custom")}</em>`;
}

function stamp(message, mine, state) {
  const deleted = message.deleted_at != null;
  return html`<span class="stamp">
    ${message.edited_at && !deleted ? html`<span>${t("edited")}</span>` : nothing}
    <time datetime=${message.created_at} title=${exact(message.created_at)}>${time(message.created_at)}</time>
    ${mine && !deleted ? tick(state) : nothing}</span>`;
}

export function tick(state) {
  const drawn = { sending: "clock", waiting: "clock", sent: "tick", delivered: "ticks", read: "ticks", failed: "warn" }[state];
  if (!drawn) return nothing;
  return html`<span class=${state === "read" ? "seen" : ""} role="img" aria-label=${t(state)} title=${t(state)}>${icon(drawn)}</span>`;
}

/** Return what a message answers, in short. */
export function quote(app, reply, go) {
  const text = reply.deleted ? t("deleted") : app.summaryOf(reply);
  const inside = html`<strong>${app.nameOf(reply.sender_id)}</strong><span dir="auto">${text}</span>`;
  return go ? html`<button class="quote" @click=${go}>${inside}</button>` : html`<div class="quote">${inside}</div>`;
}

function reactions(app, conversation, message) {
  return html`<div class="reactions">${message.reactions.map(({ emoji, count, names }) => {
    const own = names.includes(app.state.me.username);
    const who = listed(names.map((name) => (name === app.state.me.username ? t("you") : app.nameOf(name))));
    return html`<button aria-pressed=${own} title=${who} aria-label=${t("reaction", { emoji, count, names: who })}
      @click=${() => app.react(conversation, message, emoji)}>${emoji} <span>${digits(count)}</span></button>`;
  })}</div>`;
}

function failure(app, message) {
  return html`<div class="failure"><span>${t("failed")}</span>
    <button @click=${() => app.retry(message)}>${t("retry")}</button>
    <button @click=${() => app.discard(message)}>${t("discard")}</button></div>`;
}

function actions(app, conversation, message, { mine, key }) {
  const picking = app.state.ui.picking === key;
  const mayDelete = mine || (conversation.type === "group" && conversation.role !== "member");
  const button = (name, act, extra = nothing) => html`
    <button title=${t(name)} aria-label=${t(name)} aria-expanded=${extra} @click=${act}>${icon(name === "delete" ? "trash" : name)}</button>`;
  return html`
    <div class="actions" role="group" aria-label=${t("actions")}>
      ${button("react", () => app.pick(picking ? null : key), String(picking))}
      ${button("reply", () => app.reply(conversation, message))}
      ${mine ? button("edit", () => app.beginEdit(conversation, message)) : nothing}
      ${mayDelete ? button("delete", () => app.remove(conversation, message)) : nothing}
      ${picking ? picker(app, conversation, message) : nothing}
    </div>`;
}

function picker(app, conversation, message) {
  const own = new Set((message.reactions ?? []).filter(({ names }) => names.includes(app.state.me.username)).map(({ emoji }) => emoji));
  return html`<div class="picker" role="group" aria-label=${t("react")}>${EMOJIS.map((emoji) => html`
    <button aria-pressed=${own.has(emoji)} aria-label=${emoji}
      @click=${() => app.react(conversation, message, emoji)}>${emoji}</button>`)}</div>`;
}

/** The arrow keys go from message to message; letters do what the buttons do. */
function onKey(app, conversation, message, event) {
  if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
  const item = event.currentTarget;
  const beside = { ArrowUp: "previousElementSibling", ArrowDown: "nextElementSibling" }[event.key];
  if (beside) {
    let next = item[beside];
    while (next && !next.matches(".message")) next = next[beside];
    if (next) next.focus();
    else if (event.key === "ArrowDown") app.focusComposer();
    event.preventDefault();
  } else if (message.seq && message.deleted_at == null) {
    const mine = message.sender_id === app.state.me.username;
    const act = {
      r: () => app.reply(conversation, message),
      e: () => mine && app.beginEdit(conversation, message),
      Enter: () => item.querySelector(".actions button")?.focus(),
    }[event.key];
    if (act) {
      act();
      event.preventDefault();
    }
  }
}
