/** The chat page of Chat4All: a client of its public interface, like any other. */
import { App } from "./core/app.js";
import { preferred, use } from "./core/i18n.js";

use(preferred());
const app = new App(document.getElementById("page"));

addEventListener("hashchange", () => app.route());
addEventListener("offline", () => app.setTroubled(true));
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

app.draw();
app.begin();
