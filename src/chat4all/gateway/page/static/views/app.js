/** The whole page: signing in, or the two panes. */
import { t } from "../core/i18n.js";
import { conversationView } from "./conversation.js";
import { detailsView } from "./details.js";
import { dialogView } from "./dialogs.js";
import { sideView } from "./list.js";
import { html, nothing } from "./parts.js";
import { signInView } from "./sign_in.js";

export function pageView(app) {
  const { phase, ui, toast, troubled } = app.state;
  if (phase === "starting") return html`<p class="starting" role="status">${t(troubled ? "error_network" : "starting")}</p>`;
  if (phase === "signed-out") return signInView(app);
  const conversation = app.conversation();
  return html`
    <div class="shell ${app.state.open ? "inside" : ""} ${conversation && ui.details ? "with-details" : ""}">
      ${sideView(app)}
      ${conversation ? html`<main class="beside conversation-pane">${conversationView(app, conversation)}</main>` : html`
        <main class="beside nothing-open"><img src=${app.file("icon.svg")} alt=""><h2>${t("nothing_open")}</h2><p>${t("nothing_open_hint")}</p></main>`}
      ${conversation && ui.details ? detailsView(app, conversation) : nothing}
    </div>
    ${dialogView(app)}
    <div role="status">${toast ? html`<p class="toast">${toast}</p>` : nothing}</div>`;
}
