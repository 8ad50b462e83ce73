/** Beside a conversation: who is in it, and what can be changed about it. */
import { ago, t } from "../core/i18n.js";
import { avatar, html, icon, live, nothing, repeat } from "./parts.js";

export function detailsView(app, conversation) {
  const group = conversation.type === "group";
  const title = app.titleOf(conversation);
  return html`
    <aside class="details" aria-label=${t("details")} @keydown=${(event) => event.key === "Escape" && app.toggleDetails(false)}>
      <header><h2>${t("details")}</h2>
        <button class="icon-button" aria-label=${t("close")} title=${t("close")} @click=${() => app.toggleDetails(false)}>${icon("close")}</button></header>
      <div class="summary">
        ${avatar(title, { of: group ? conversation.id : conversation.peer ?? "", group, size: "large" })}
        <h3>${title}</h3>
        <p>${group ? t("members", { count: conversation.memberCount }) : `@${conversation.peer}`}</p>
      </div>
      ${group ? groupParts(app, conversation) : nothing}
    </aside>`;
}

function groupParts(app, conversation) {
  const { role } = conversation;
  const manages = role !== "member";
  return html`
    ${manages ? html`
      <section><h3>${t("title")}</h3>
        <form class="inline" @submit=${(event) => { event.preventDefault(); app.rename(conversation, new FormData(event.target).get("title").trim()); }}>
          <input class="input" name="title" required maxlength="200" aria-label=${t("title")} .value=${live(conversation.title ?? "")}>
          <button class="button quiet">${t("rename")}</button>
        </form></section>
      <section><h3 id="add-title">${t("add_member")}</h3>${personFinder(app, t("find_person"), (person) => app.addMember(conversation, person.username),
        new Set(conversation.members.map(({ username }) => username)))}</section>` : nothing}
    <section><h3>${t("members", { count: conversation.memberCount })}</h3>
      <ul class="people">${repeat(conversation.members, ({ username }) => username, (member) => memberRow(app, conversation, member))}</ul>
      ${conversation.moreMembers ? html`<button class="button quiet small" @click=${() => app.refresh(conversation.id)}>${t("more")}</button>` : nothing}
    </section>
    <section>
      <button class="button danger" @click=${() => app.leave(conversation)}>${icon("leave")} ${t("leave")}</button>
      ${role === "owner" ? html`<button class="button danger" @click=${() => app.deleteGroup(conversation)}>${icon("trash")} ${t("delete_group")}</button>` : nothing}
    </section>`;
}

function memberRow(app, conversation, { username, role }) {
  const name = app.nameOf(username);
  const self = username === app.state.me.username;
  const presence = app.state.presence.get(username);
  const seen = presence?.status === "online" ? t("online") : presence?.last_seen ? ago(presence.last_seen) : "";
  const mayRemove = !self && (conversation.role === "owner" || (conversation.role === "admin" && role === "member"));
  return html`
    <li class="person">
      ${avatar(name, { of: username, online: app.isOnline(username) })}
      <div class="who"><strong>${name}${self ? ` (${t("you").toLocaleLowerCase()})` : ""}</strong>
        <span class="of"><span>@${username}${seen && !self ? ` · ${seen}` : ""}</span>
          ${conversation.role === "owner" ? html`
            <select aria-label=${t("role", { name })} .value=${live(role)} @change=${(event) => app.changeRole(conversation, username, event.target)}>
              ${["owner", "admin", "member"].map((one) => html`<option value=${one} ?selected=${one === role}>${t(`role_${one}`)}</option>`)}
            </select>` : role === "member" ? nothing : html`<span>· ${t(`role_${role}`)}</span>`}</span></div>
      ${mayRemove ? html`<button class="icon-button" aria-label=${t("remove_member", { name })} title=${t("remove_member", { name })}
        @click=${() => app.removeMember(conversation, username)}>${icon("close")}</button>` : nothing}
    </li>`;
}

/** Return a field that finds people; `choose` gets the one that is taken. */
export function personFinder(app, label, choose, without = new Set()) {
  const { finder } = app.state;
  const found = finder.people.filter(({ username }) => !without.has(username) && username !== app.state.me.username);
  return html`
    <div class="field">
      <input class="input" type="search" aria-label=${label} placeholder=${label} autocomplete="off" .value=${live(finder.text)}
        @input=${(event) => app.find(event.target.value)}>
      ${finder.text.trim() ? html`
        <ul class="found-people">${repeat(found, ({ username }) => username, (person) => html`
          <li><button type="button" @click=${() => { choose(person); app.find(""); }}>${avatar(person.display_name || person.username, { of: person.username, size: "small" })}
            <span class="name-lines"><strong>${person.display_name || person.username}</strong><span>@${person.username}</span></span></button></li>`)}
        </ul>
        ${found.length ? nothing : html`<p class="hint" role="status">${finder.busy ? t("loading") : t("no_result")}</p>`}` : nothing}
    </div>`;
}
