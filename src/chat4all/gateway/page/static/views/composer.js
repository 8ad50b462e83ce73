/** Where one writes. */
import { mentionBeing } from "../core/text.js";
import { digits, t } from "../core/i18n.js";
import { avatar, html, icon, live, nothing } from "./parts.js";
import { quote } from "./message.js";

const MOST = 10_000;
const NEAR = 500;
const SUGGESTED = 6;

export function composerView(app, conversation) {
  const { ui } = app.state;
  const { editing, replying } = conversation;
  const left = MOST - Array.from(conversation.draft).length;
  const suggested = suggestions(app, conversation);
  const ready = conversation.draft.trim() && left >= 0;
  return html`
    <div class="composer">
      ${app.state.following && conversation.timeline.atEnd ? nothing : html`
        <button class="to-newest" @click=${() => app.toNewest()}>${icon("down")}
          ${conversation.unread ? t("to_newest_count", { count: conversation.unread }) : t("to_newest")}</button>`}
      ${suggested.length ? html`
        <ul class="suggestions" id="suggestions" role="listbox" aria-label=${t("suggestions")}>${suggested.map(({ username }, index) => html`
          <li id="suggestion-${index}" role="option" aria-selected=${String(index === ui.suggested)}
            @pointerdown=${(event) => { event.preventDefault(); take(app, conversation, username); }}>
            ${avatar(app.nameOf(username), { of: username, size: "small" })} ${app.nameOf(username)} <span>@${username}</span></li>`)}</ul>` : nothing}
      ${editing || replying ? html`
        <div class="above">
          ${editing ? quote(app, { ...editing, sender_id: editing.sender_id }) : quote(app, replying)}
          <button class="icon-button" aria-label=${t("cancel")} title=${t("cancel")} @click=${() => app.cancelAbove(conversation)}>${icon("close")}</button>
        </div>` : nothing}
      <form @submit=${(event) => { event.preventDefault(); app.submit(conversation); }}>
        <button type="button" class="icon-button attach" aria-label=${t("attach")} title=${t("attach")} @click=${(event) => event.currentTarget.nextElementSibling.click()}>${icon("attach")}</button>
        <input type="file" multiple hidden @change=${({ target }) => { app.attach(conversation, [...target.files]); target.value = ""; }}>
        <textarea id="composer" rows="1" aria-label=${t("message")} placeholder=${editing ? t("editing") : replying ? t("replying", { name: app.nameOf(replying.sender_id) }) : t("write")}
          .value=${live(conversation.draft)} dir="auto" enterkeyhint="send"
          aria-controls=${suggested.length ? "suggestions" : nothing} aria-activedescendant=${suggested.length ? `suggestion-${ui.suggested}` : nothing}
          @paste=${(event) => {
            const { types, files: [...files] } = event.clipboardData;
            // Spreadsheets and word processors put a picture of the text beside it.
            const isText = types.includes("text/plain") && types.includes("text/html");
            if (!files.length || isText) return;
            event.preventDefault();
            app.attach(conversation, files);
          }}
          @input=${(event) => { grow(event.target); app.write(conversation, event.target.value); }}
          @keydown=${(event) => onKey(app, conversation, suggested, event)}></textarea>
        ${left < NEAR ? html`<span class="count ${left < 0 ? "over" : ""}">${left < 0 ? t("too_long", { count: -left }) : digits(left)}</span>` : nothing}
        <button class="send" aria-label=${t(editing ? "save" : "send")} title=${t(editing ? "save" : "send")} ?disabled=${!ready}>${icon(editing ? "tick" : "send")}</button>
      </form>
    </div>`;
}

/** Make the field as high as its text, where the browser does not by itself. */
function grow(field) {
  if (CSS.supports("field-sizing", "content")) return;
  field.rows = Math.min(8, field.value.split("\n").length);
}

function suggestions(app, conversation) {
  const field = document.getElementById("composer");
  if (conversation.type !== "group" || app.state.ui.noSuggestions || document.activeElement !== field) return [];
  const being = mentionBeing(conversation.draft, field.selectionStart);
  if (!being) return [];
  return conversation.members
    .filter(({ username }) => username !== app.state.me.username)
    .filter(({ username }) => username.startsWith(being.prefix) || app.nameOf(username).toLocaleLowerCase().startsWith(being.prefix))
    .slice(0, SUGGESTED);
}

function take(app, conversation, username) {
  const field = document.getElementById("composer");
  const { start } = mentionBeing(conversation.draft, field.selectionStart);
  field.setRangeText(`@${username} `, start, field.selectionStart, "end");
  app.write(conversation, field.value);
}

function onKey(app, conversation, suggested, event) {
  const { ui } = app.state;
  if (event.isComposing) return;
  const among = (step) => {
    ui.suggested = (ui.suggested + step + suggested.length) % suggested.length;
    app.redraw();
  };
  if (suggested.length) {
    const act = {
      ArrowDown: () => among(1),
      ArrowUp: () => among(-1),
      Enter: () => take(app, conversation, suggested[ui.suggested].username),
      Tab: () => take(app, conversation, suggested[ui.suggested].username),
      Escape: () => { ui.noSuggestions = true; app.redraw(); },
    }[event.key];
    if (act) {
      event.preventDefault();
      act();
      return;
    }
  }
  if (event.key === "Enter" && !event.shiftKey && !app.isTouch()) {
    event.preventDefault();
    app.submit(conversation);
  } else if (event.key === "Escape" && (conversation.editing || conversation.replying)) {
    app.cancelAbove(conversation);
  } else if (event.key === "ArrowUp" && !conversation.draft) {
    const last = [...document.querySelectorAll("#scroll .message")].at(-1);
    last?.focus();
    event.preventDefault();
  }
}
