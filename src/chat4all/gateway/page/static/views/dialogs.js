/** What lies over the page: a new conversation, the profile, and questions. */
import { ago, t } from "../core/i18n.js";
import { personFinder } from "./details.js";
import { pictureDialog } from "./file.js";
import { html, icon, live, nothing } from "./parts.js";

export function dialogView(app) {
  const { dialog } = app.state;
  if (!dialog) return nothing;
  const [title, inside] = { new: newConversation, profile, confirm, viewer: pictureDialog }[dialog.kind](app, dialog);
  return html`
    <dialog class=${dialog.kind} aria-labelledby="dialog-title" @cancel=${(event) => { event.preventDefault(); app.answer(false); }}
      @click=${(event) => event.target === event.currentTarget && app.answer(false)}>
      <header><h2 id="dialog-title">${title}</h2>
        <button class="icon-button" aria-label=${t("close")} title=${t("close")} @click=${() => app.answer(false)}>${icon("close")}</button></header>
      <div class="inside">${inside}</div>
    </dialog>`;
}

function newConversation(app, dialog) {
  const group = dialog.group ?? false;
  const chosen = dialog.chosen ?? [];
  const tab = (is, text) => html`<button type="button" aria-pressed=${String(group === is)} @click=${() => app.amend({ group: is })}>${text}</button>`;
  const choose = (person) => (group ? app.amend({ chosen: [...chosen, person] }) : app.startPrivate(person.username));
  return [t("new_conversation"), html`
    <div class="tabs" role="group">${tab(false, t("start_private"))}${tab(true, t("start_group"))}</div>
    ${group ? html`
      <form id="group" class="field" @submit=${(event) => { event.preventDefault(); app.createGroup(new FormData(event.target).get("title").trim(), chosen.map(({ username }) => username)); }}>
        <label for="group-title">${t("group_title")}</label>
        <input class="input" id="group-title" name="title" required maxlength="200" autocomplete="off">
      </form>
      ${chosen.length ? html`<div class="chosen">${chosen.map((person) => html`
        <button type="button" aria-label=${t("remove_named", { name: person.display_name || person.username })}
          @click=${() => app.amend({ chosen: chosen.filter((one) => one !== person) })}>${person.display_name || person.username} ${icon("close")}</button>`)}</div>` : nothing}` : nothing}
    ${personFinder(app, t("find_person"), choose, new Set(chosen.map(({ username }) => username)))}
    ${group ? html`<div class="row"><button class="button" form="group" ?disabled=${dialog.busy}>${t("create")}</button></div>` : nothing}
    <div role="alert">${dialog.error ? html`<p class="wrong-box">${dialog.error}</p>` : nothing}</div>`];
}

function profile(app, dialog) {
  const { me } = app.state;
  const send = (act) => (event) => {
    event.preventDefault();
    act(Object.fromEntries(new FormData(event.target)), event.target);
  };
  return [t("profile"), html`
    <div role="status">${dialog.done ? html`<p class="note-box">${dialog.done}</p>` : nothing}</div>
    <div role="alert">${dialog.error ? html`<p class="wrong-box">${dialog.error}</p>` : nothing}</div>
    <form class="section-form" @submit=${send((given) => app.saveProfile(given))}>
      <div class="field"><label for="display-name">${t("display_name")}</label>
        <input class="input" id="display-name" name="display_name" maxlength="80" autocomplete="name" .value=${live(dialog.display_name ?? me.display_name ?? "")}
          @input=${(event) => app.amend({ display_name: event.target.value })}></div>
      <div class="field"><label for="own-email">${t("email")}</label>
        <input class="input" id="own-email" name="email" type="email" required maxlength="320" autocomplete="email" .value=${live(dialog.email ?? me.email ?? "")}
          @input=${(event) => app.amend({ email: event.target.value })}></div>
      <div class="row"><button class="button">${t("save_profile")}</button></div>
    </form>
    <div class="section"><h3>${t("password_section")}</h3>
      <form class="section-form" @submit=${send((given, form) => app.changePassword(given).then((done) => done && form.reset()))}>
        <input class="unseen" type="text" autocomplete="username" .value=${me.username} tabindex="-1" aria-hidden="true" readonly>
        <div class="field"><label for="current-password">${t("current_password")}</label>
          <input class="input" id="current-password" name="current_password" type="password" required autocomplete="current-password"></div>
        <div class="field"><label for="new-password">${t("new_password")}</label>
          <input class="input" id="new-password" name="password" type="password" required minlength="8" autocomplete="new-password"></div>
        <div class="row"><button class="button quiet">${t("change_password")}</button></div>
      </form></div>
    <div class="section"><h3>${t("devices")}</h3>
      <ul class="people">${(dialog.devices ?? []).map((device) => {
        const name = deviceName(device.device);
        return html`<li class="person"><div class="who"><strong>${name}</strong>
          <span>${device.current ? t("this_device") : t("last_used", { when: ago(device.last_used_at) })}</span></div>
          ${device.current ? nothing : html`<button class="button quiet small" aria-label=${t("sign_out_device", { device: name })}
            @click=${() => app.endDevice(device)}>${t("sign_out")}</button>`}</li>`;
      })}</ul></div>`];
}

/** Return what a `User-Agent` says in two words. */
function deviceName(agent) {
  const browser = [["Edg/", "Edge"], ["OPR/", "Opera"], ["Firefox/", "Firefox"], ["Chrome/", "Chrome"], ["Safari/", "Safari"]].find(([mark]) => agent.includes(mark))?.[1];
  const system = [["Android", "Android"], ["iPhone", "iPhone"], ["iPad", "iPad"], ["Windows", "Windows"], ["Mac OS", "macOS"], ["Linux", "Linux"]].find(([mark]) => agent.includes(mark))?.[1];
  return [browser, system].filter(Boolean).join(" · ") || agent || t("device_unknown");
}

function confirm(app, dialog) {
  return [dialog.title, html`
    <p>${dialog.text}</p>
    <div class="row"><button class="button quiet" @click=${() => app.answer(false)}>${t("cancel")}</button>
      <button class="button danger" @click=${() => app.answer(true)}>${dialog.title}</button></div>`];
}
