/** The side: account, search, conversations. */
import { digits, shortTime, t } from "../core/i18n.js";
import { banner } from "./conversation.js";
import { tick } from "./message.js";
import { avatar, html, icon, kept, live, nothing, repeat } from "./parts.js";

export function sideView(app) {
  const { me, ui, search } = app.state;
  const own = me.display_name || me.username;
  return html`
    <section class="side" aria-label=${t("conversations")}>
      <header>
        <div class="brand"><img src=${app.file("icon.svg")} alt=""><h1>Chat4All</h1></div>
        <button class="icon-button" title=${t("new_conversation")} aria-label=${t("new_conversation")}
          @click=${() => app.show({ kind: "new" })}>${icon("plus")}</button>
        <button class="me" aria-label=${t("menu", { name: own })} title=${own} aria-haspopup="true" aria-expanded=${String(Boolean(ui.menu))}
          @click=${() => app.toggleMenu()}>${avatar(own, { of: me.username })}</button>
      </header>
      ${ui.menu ? menu(app, own) : nothing}
      ${app.state.open ? nothing : banner(app)}
      <div class="search" role="search">
        ${icon("search")}
        <input type="search" aria-label=${t("search")} placeholder=${t("search")} .value=${live(search.text)} autocomplete="off"
          @input=${(event) => app.search(event.target.value)}
          @keydown=${(event) => event.key === "Escape" && app.search("")}>
      </div>
      <nav aria-label=${t("conversations")}>${search.text.trim() ? results(app) : all(app)}</nav>
      ${secondWindow(app)}
    </section>`;
}

function all(app) {
  const sorted = app.sorted();
  if (!sorted.length) return html`<p class="empty">${app.state.listed ? t("no_conversations") : t("loading")}</p>`;
  return entries(app, sorted);
}

const entries = (app, conversations) => html`
  <div>${repeat(conversations, ({ id }) => id, (conversation) => keptEntry(app, conversation))}</div>`;

function results(app) {
  const { text, people } = app.state.search;
  const wanted = text.trim().normalize().toLocaleLowerCase();
  const found = app.sorted().filter((one) => app.titleOf(one).toLocaleLowerCase().includes(wanted));
  const others = people.filter(({ username }) => username !== app.state.me.username);
  if (!found.length && !others.length) return html`<p class="empty">${app.state.search.busy ? t("loading") : t("no_result")}</p>`;
  return html`
    ${found.length ? html`<h2>${t("conversations")}</h2>${entries(app, found)}` : nothing}
    ${others.length ? html`<h2>${t("people")}</h2>
      <ul>${repeat(others, ({ username }) => username, (person) => html`
        <li class="entry"><button @click=${() => app.startPrivate(person.username)}>
          ${avatar(person.display_name || person.username, { of: person.username })}
          <span class="lines"><span class="title">${person.display_name || person.username}</span><span class="preview">@${person.username}</span></span>
        </button></li>`)}</ul>` : nothing}`;
}

/** Return an entry that is made again only when something that it shows has changed. */
function keptEntry(app, conversation) {
  const { id, last, draft, unread, mentions, title, peer } = conversation;
  const { open, renamed } = app.state;
  const when = shortTime(last?.created_at ?? conversation.created_at);
  const shown = open === id && app.isLooking() ? 0 : unread;
  const values = [
    last, draft, shown, mentions.length, title, peer, open === id, renamed, when, app.isOnline(peer), app.typingIn(conversation).join(),
    last && app.stateOf(conversation, last),
  ];
  return kept(values, () => entry(app, conversation, shown));
}

function entry(app, conversation, shown) {
  const { id, last } = conversation;
  const title = app.titleOf(conversation);
  const group = conversation.type === "group";
  const when = last?.created_at ?? conversation.created_at;
  return html`
    <div class="entry ${shown ? "unread" : ""}">
      <a href="#/c/${id}" aria-labelledby="title-${id}" aria-describedby="about-${id} when-${id}" aria-current=${app.state.open === id ? "page" : nothing}>
        ${avatar(title, { of: group ? id : conversation.peer ?? id, group, online: !group && app.isOnline(conversation.peer) })}
        <span class="lines">
          <span class="line"><span class="title" id="title-${id}">${title}</span><time class="when" id="when-${id}" datetime=${when}>${shortTime(when)}</time></span>
          <span class="line" id="about-${id}">
            ${preview(app, conversation)}
            ${shown ? html`<span class="badge">${conversation.mentions.length ? "@ " : ""}<span aria-hidden="true">${shown > 99 ? "99+" : digits(shown)}</span><span class="unseen">${t("unread_count", { count: shown })}${conversation.mentions.length ? `, ${t("mentioned")}` : ""}</span></span>` : nothing}
          </span>
        </span>
      </a>
    </div>`;
}

function preview(app, conversation) {
  const { last, draft } = conversation;
  const typing = app.typingIn(conversation);
  if (typing.length) return html`<span class="preview typing">${conversation.type === "group" ? t("typing_one", { name: app.nameOf(typing[0]) }) : t("typing")}</span>`;
  if (draft && app.state.open !== conversation.id) return html`<span class="preview"><span class="draft">${t("draft")}</span> ${draft}</span>`;
  if (!last) return html`<span class="preview"></span>`;
  const mine = last.sender_id === app.state.me.username;
  const text = last.deleted_at ? t("deleted") : app.summaryOf(last);
  const said = mine ? text : conversation.type === "group" ? t("from_prefix", { name: app.nameOf(last.sender_id), text }) : text;
  return html`<span class="preview" dir="auto">${mine ? html`${tick(app.stateOf(conversation, last))} <span class="unseen">${t("you")}:</span>` : nothing}${said}</span>`;
}

function menu(app, own) {
  const { me } = app.state;
  const item = (name, text, act, end = nothing) => html`
    <button @click=${() => { app.toggleMenu(false, true); act(); }}>${icon(name)} <span>${text}</span><span class="end">${end}</span></button>`;
  return html`
    <div class="menu" role="group" aria-label=${t("account")} @keydown=${(event) => event.key === "Escape" && app.toggleMenu(false, true)}>
      <div class="who">${avatar(own, { of: me.username })}<div><strong>${own}</strong><span>@${me.username}</span></div></div>
      ${item("person", t("profile"), () => app.showProfile())}
      ${"Notification" in window ? item("bell", t("notifications"), () => app.toggleNotifications(), t(`notifications_${app.notifications()}`)) : nothing}
      ${item("globe", t("switch_language"), () => app.switchLanguage())}
      <a href="/docs">${icon("book")} ${t("documentation")}</a>
      ${item("people", t("other_account"), () => app.otherAccount())}
      ${item("leave", t("sign_out"), () => app.signOut())}
    </div>`;
}

function secondWindow(app) {
  const other = app.secondAccount();
  if (!other) return nothing;
  return html`<div class="hint-card"><p>${t("second_window", { name: other })}</p>
    <div class="row"><button class="button small" @click=${() => app.openSecond(other)}>${t("open_window", { name: other })}</button>
    <button class="link-button" @click=${() => app.dismissSecond()}>${t("dismiss")}</button></div></div>`;
}
