/** The chat page of Chat4All: a client of its public interface, like any other. */
import { App } from "./core/app.js";
import { preferred, use } from "./core/i18n.js";
import { LAST } from "./core/vault.js";

use(preferred());
const app = new App(document.getElementById("page"));

addEventListener("hashchange", () => app.route());
addEventListener("offline", () => app.setTroubled(true));
// A connection that outlived it says nothing; one that did not is noticed by the client.
addEventListener("online", () => app.client?.state === "connected" && app.setTroubled(false));
// Another tab has signed out: so is this one, if it has the same account.
addEventListener("storage", ({ key, oldValue, newValue }) => {
  if (key === LAST && newValue === null && app.state.me?.username === oldValue) app.signedOutElsewhere();
});
document.addEventListener("visibilitychange", () => {
  app.redraw();
  app.noteRead();
});
document.addEventListener("click", (event) => {
  if (app.state.ui.menu && !event.target.closest(".menu, .me")) app.toggleMenu(false);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && (app.state.ui.picking || app.state.ui.acting)) app.quiet();
});

// What is said of times ("today", "5 minutes ago") goes on.
setInterval(() => app.redraw(), 60_000);

app.draw();
app.begin();
