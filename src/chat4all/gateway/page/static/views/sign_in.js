/** Signing in and up. */
import { t } from "../core/i18n.js";
import { avatar, html, nothing } from "./parts.js";

const PASSWORD_LEAST = 8;

function field(name, label, { type = "text", hint, wrong, ...rest }) {
  const told = [hint && `${name}-hint`, wrong && `${name}-wrong`].filter(Boolean).join(" ");
  return html`
    <div class="field">
      <label for=${name}>${label}</label>
      <input class="input" id=${name} name=${name} type=${type} required autocapitalize="none" spellcheck="false"
        autocomplete=${rest.autocomplete} minlength=${rest.least ?? nothing} maxlength=${rest.most ?? nothing}
        pattern=${rest.pattern ?? nothing}
        aria-describedby=${told || nothing} aria-invalid=${wrong ? "true" : nothing}>
      ${hint ? html`<p class="hint" id="${name}-hint">${hint}</p>` : nothing}
      ${wrong ? html`<p class="wrong" id="${name}-wrong">${wrong}</p>` : nothing}
    </div>`;
}

export function signInView(app) {
  const { mode, busy, error, fields = {}, note } = app.state.entrance;
  const isNew = mode === "up";
  const submit = (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(event.target));
    if (isNew) app.signUp(given);
    else app.signIn(given.username.trim().toLowerCase(), given.password);
  };
  return html`
    <div class="welcome">
      <main>
        <div class="brand"><img src=${app.file("icon.svg")} alt=""><h1>Chat4All</h1></div>
        <p class="lead">${t("tagline")}</p>
        <div class="card">
          ${note ? html`<p class="note-box">${note}</p>` : nothing}
          <form @submit=${submit} class="section-form">
            ${field("username", t("username"), {
              autocomplete: "username", most: 64, wrong: fields.username,
              hint: isNew && t("username_hint"), pattern: isNew ? "[a-z0-9][a-z0-9._\\-]{1,31}" : undefined,
            })}
            ${isNew ? field("email", t("email"), { type: "email", autocomplete: "email", most: 320, wrong: fields.email }) : nothing}
            ${field("password", t("password"), {
              type: "password", autocomplete: isNew ? "new-password" : "current-password", wrong: fields.password,
              least: isNew ? PASSWORD_LEAST : undefined, hint: isNew && t("password_hint", { least: PASSWORD_LEAST }),
            })}
            <div role="alert">${error ? html`<p class="wrong-box">${error}</p>` : nothing}</div>
            <button class="button" ?disabled=${busy}>${isNew ? t("sign_up") : t("sign_in")}</button>
          </form>
          ${modeSwitch(app, isNew)}
          ${isNew ? nothing : demonstration(app)}
        </div>
        <div class="foot">
          <button lang=${app.otherLanguage} @click=${() => app.switchLanguage()}>${t("switch_language")}</button>
          <a href="/docs">${t("documentation")}</a>
        </div>
      </main>
    </div>`;
}

function modeSwitch(app, isNew) {
  if (isNew)
    return html`<p class="switch">${t("have_account")}
      <button class="link-button" @click=${() => app.enter("in")}>${t("to_sign_in")}</button></p>`;
  if (!app.offers.signUp) return html`<p class="switch">${t("closed_sign_up")}</p>`;
  return html`<p class="switch">${t("no_account")}
    <button class="link-button" @click=${() => app.enter("up")}>${t("sign_up")}</button></p>`;
}

function demonstration(app) {
  const { usernames, password } = app.offers.demonstration ?? {};
  if (!usernames) return nothing;
  return html`
    <div class="demonstration" role="group" aria-labelledby="demonstration">
      <h2 id="demonstration">${t("demonstration")}</h2>
      <p id="demonstration-hint">${t("demonstration_hint")}</p>
      <div class="choices">
        ${usernames.map((name) => html`
          <button @click=${() => app.signIn(name, password)} ?disabled=${app.state.entrance.busy}
            aria-describedby="demonstration-hint">${avatar(name, { size: "small" })} ${name}</button>`)}
      </div>
    </div>`;
}
