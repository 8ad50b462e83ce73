/** The open conversation: head, history, composer. */
import { ago, dayKey, dayName, t } from "../core/i18n.js";
import { composerView } from "./composer.js";
import { keptMessage, keyOf } from "./message.js";
import { avatar, html, icon, nothing, repeat } from "./parts.js";

const SAME_TURN_MS = 5 * 60_000;

export function conversationView(app, conversation) {
  const { ui } = app.state;
  const title = app.titleOf(conversation);
  const group = conversation.type === "group";
  return html`
    <section class="conversation" aria-label=${title}
      @dragover=${(event) => event.dataTransfer.types.includes("Files") && event.preventDefault()} @drop=${(event) => drop(app, conversation, event)}>
      <header>
        <a class="icon-button back" href="#/" aria-label=${t("back")} title=${t("back")}>${icon("back")}</a>
        <div class="about">
          ${avatar(title, { of: group ? conversation.id : conversation.peer ?? "", group, online: !group && app.isOnline(conversation.peer) })}
          <div><h2>${title}</h2>${subtitle(app, conversation)}</div>
        </div>
        <button class="icon-button details-button" aria-label=${t("details")} title=${t("details")} aria-expanded=${String(ui.details)}
          @click=${() => app.toggleDetails()}>${icon("info")}</button>
      </header>
      ${banner(app)}
      <div class="scroll" id="scroll" data-of=${conversation.id} tabindex="0" role="region" aria-label=${t("history")} @scroll=${() => app.scrolled()} @keydown=${(event) => intoMessages(event)}>
        ${history(app, conversation, title)}
      </div>
      ${composerView(app, conversation)}
    </section>`;
}

function drop(app, conversation, event) {
  const { files } = event.dataTransfer;
  if (!files.length) return;
  event.preventDefault();
  app.attach(conversation, [...files]);
}

function subtitle(app, conversation) {
  const typing = app.typingIn(conversation).map((name) => app.nameOf(name));
  if (typing.length) {
    const text = conversation.type === "private" ? t("typing")
      : typing.length === 1 ? t("typing_one", { name: typing[0] })
        : typing.length === 2 ? t("typing_two", { name: typing[0], other: typing[1] }) : t("typing_many");
    return html`<p class="typing">${text}</p>`;
  }
  if (conversation.type === "private") {
    const presence = app.state.presence.get(conversation.peer);
    if (presence?.status === "online") return html`<p>${t("online")}</p>`;
    if (presence?.last_seen) return html`<p>${t("offline_since", { when: ago(presence.last_seen) })}</p>`;
    return html`<p>${presence ? t("offline") : `@${conversation.peer ?? ""}`}</p>`;
  }
  const online = conversation.members.filter(({ username }) => username !== app.state.me.username && app.isOnline(username)).length;
  return html`<p>${t("members", { count: conversation.memberCount })}${online ? ` · ${t("members_online", { count: online })}` : ""}</p>`;
}

export function banner(app) {
  if (!app.state.troubled) return nothing;
  return html`<div class="banner" role="status">${icon("offline")}<span>${t("offline_banner")}</span>
    <button @click=${() => app.connectNow()}>${t("connect_now")}</button></div>`;
}

function history(app, conversation, title) {
  const { timeline } = conversation;
  const shown = [...timeline.messages, ...(timeline.atEnd ? app.unsentIn(conversation) : [])];
  const rows = [];
  let before = null;
  shown.forEach((message, index) => {
    const next = shown[index + 1];
    const newDay = !before || dayKey(before.created_at) !== dayKey(message.created_at);
    if (newDay) rows.push({ key: `day ${dayKey(message.created_at)}`, view: html`<li class="day">${dayName(message.created_at)}</li>` });
    const unread = conversation.unreadFrom && message.seq === conversation.unreadFrom;
    if (unread) rows.push({ key: "unread", view: html`<li class="unread-line">${t("new_messages")}</li>` });
    rows.push({ key: keyOf(message), view: keptMessage(app, conversation, message, {
      first: newDay || unread || !sameTurn(before, message),
      last: !next || !sameTurn(message, next),
      state: app.stateOf(conversation, message),
    }) });
    before = message;
  });
  const beginning = timeline.loaded && timeline.atStart;
  return html`
    ${beginning ? html`<div class="beginning">
      ${avatar(title, { of: conversation.type === "group" ? conversation.id : conversation.peer ?? "", group: conversation.type === "group", size: "large" })}
      <h3>${title}</h3><p>${conversation.type === "group" ? t("beginning_group", { title }) : t("beginning_private", { name: title })}</p></div>`
      : html`<p class="loading-more">${t("loading")}</p>`}
    <ol role="list">${repeat(rows, ({ key }) => key, ({ view }) => view)}</ol>`;
}

function sameTurn(one, two) {
  return Boolean(one) && one.sender_id === two.sender_id && new Date(two.created_at) - new Date(one.created_at) < SAME_TURN_MS;
}

/** From the region of the history the arrow keys lead to its last message. */
function intoMessages(event) {
  if (event.target !== event.currentTarget || event.key !== "ArrowUp") return;
  const last = [...event.currentTarget.querySelectorAll(".message")].at(-1);
  last?.focus();
  if (last) event.preventDefault();
}
