/** Signing in and out, the profile and its devices. */
import { t } from "./i18n.js";
import { noSearch } from "./people.js";
import * as vault from "./vault.js";

export default {
  async begin() {
    const as = /^#\/as\/(.+)$/.exec(location.hash)?.[1];
    if (as) {
      history.replaceState(null, "", "#/");
      vault.choose(as, { tab: true });
    }
    this.client = this.makeClient();
    // Where the browser keeps nothing, nobody is signed in.
    if (await this.client.signedIn().catch(() => false)) await this.enterWith(this.client);
    else if (as && this.offers.demonstration?.usernames.includes(as)) await this.signIn(as, this.offers.demonstration.password);
    else this.enter("in");
  },

  /** Show the form to sign in or up. */
  enter(mode, note = null) {
    this.state.phase = "signed-out";
    this.state.entrance = { mode, busy: false, error: null, fields: {}, note };
    this.redraw();
    if (!this.isTouch()) this.focusWhenDrawn("#username");
  },

  async signIn(username, password) {
    const client = await this.knock((client) => client.signIn(username, password));
    if (client) await this.enterWith(client);
  },

  async signUp({ username, email, password }) {
    const { entrance } = this.state;
    const done = await this.knock((client) => {
      entrance.once = this.keyed(entrance.once, username, email, password);
      return client.signUp({ username, email, password }, { key: entrance.once.key });
    }, "error_unknown");
    if (!done || this.state.entrance !== entrance) return;
    // There is an account now, whatever becomes of signing in with it.
    Object.assign(entrance, { mode: "in", busy: false, note: t("account_created"), once: null });
    await this.signIn(username, password);
  },

  /** Do something for the form that is shown, which says what went wrong. Returns the client that has done it. */
  async knock(act, unknown) {
    const { entrance } = this.state;
    if (entrance.busy) return null;
    Object.assign(entrance, { busy: true, error: null, fields: {} });
    this.redraw();
    const client = this.makeClient();
    try {
      await act(client);
      return client;
    } catch (error) {
      const fields = Object.fromEntries((error.errors ?? []).map(({ pointer, detail }) => [pointer.slice(1), detail]));
      const told = error.status === 401 ? t("wrong_password") : Object.keys(fields).length ? null : this.reason(error, unknown);
      Object.assign(entrance, { busy: false, error: told, fields });
      this.state.phase = "signed-out";
      this.redraw();
      return null;
    }
  },

  /** Begin with what is this user's. */
  async enterWith(client) {
    this.client = client;
    this.listen(client);
    this.state.phase = "starting";
    this.redraw();
    while (this.client === client) {
      try {
        this.state.me = await client.me();
        break;
      } catch (error) {
        if (error.status === 401) return this.expelled();
        this.setTroubled(true);
        await new Promise((resolve) => setTimeout(resolve, 1_000));
      }
    }
    if (this.client !== client) return;
    this.state.phase = "signed-in";
    this.state.entrance.busy = false;
    this.state.people.set(this.state.me.username, this.state.me);
    await this.list(client);
  },

  /** Forget everything of the user who was here. */
  reset() {
    const { client } = this;
    this.client = null;
    client?.close();
    this.stopUploads();
    this.tellNothing();
    this.asking = null;
    for (const { timer } of [this.state.search, this.state.finder]) clearTimeout(timer);
    Object.assign(this.state, {
      me: null, conversations: new Map(), listed: false, open: null, people: new Map(), presence: new Map(), dialog: null,
      troubled: false, search: noSearch(), finder: noSearch(),
    });
    Object.assign(this.state.ui, { menu: false, details: false, acting: null, picking: null });
    this.watched = "";
    this.arrived.clear();
    this.tellTitle();
    if (location.hash.length > 2) history.replaceState(null, "", "#/");
  },

  /** The server signed this device out. */
  expelled() {
    this.reset();
    this.enter("in", t("session_ended"));
  },

  async signOut() {
    const { client } = this;
    const count = client.outbox.length + this.uploads.length;
    if (count && !(await this.ask(t("sign_out"), t("confirm_sign_out", { count })))) return;
    const username = this.state.me.username;
    this.state.phase = "starting";
    this.redraw();
    // Without the server the tokens are forgotten here all the same.
    await Promise.race([client.logout().catch(() => {}), new Promise((resolve) => setTimeout(resolve, 4_000))]);
    await vault.forget(username);
    this.forgetDrafts(username); // last: another tab may have written until then
    // A reload does not show another account that is signed in in this browser.
    if (vault.account()) vault.choose("", { tab: true });
    this.reset();
    this.enter("in");
  },

  /** Another tab has signed this account out. */
  signedOutElsewhere() {
    this.forgetDrafts(this.state.me.username);
    this.expelled();
  },

  /** Let somebody else sign in on this tab; the account that is here stays signed in elsewhere. */
  otherAccount() {
    vault.choose("", { tab: true });
    this.reset();
    this.enter("in");
  },

  /** Return the demonstration account that a second window is offered for. */
  secondAccount() {
    const { usernames } = this.offers.demonstration ?? {};
    const own = this.state.me.username;
    if (!usernames?.includes(own) || localStorage.getItem("chat4all.second")) return null;
    return usernames.find((name) => name !== own);
  },

  openSecond(username) {
    const width = Math.max(420, Math.round(screen.availWidth / 2));
    window.open(`/#/as/${username}`, "_blank", `noopener,width=${width},height=${screen.availHeight},left=${screen.availWidth - width}`);
    this.dismissSecond();
  },

  dismissSecond() {
    localStorage.setItem("chat4all.second", "seen");
    this.redraw();
  },

  toggleMenu(open = !this.state.ui.menu, refocus = false) {
    this.state.ui.menu = open;
    this.draw();
    if (open) document.querySelector(".menu button")?.focus();
    else if (refocus) document.querySelector(".me")?.focus();
  },

  async showProfile() {
    this.show({ kind: "profile" });
    await this.attempt(async () => this.amend({ devices: await this.client.sessions() }));
  },

  saveProfile({ display_name, email }) {
    return this.inDialog(async () => {
      const me = await this.client.changeProfile({ display_name: display_name.trim(), email });
      this.state.me = me;
      this.know(me);
      return t("profile_saved");
    });
  },

  async changePassword({ current_password, password }) {
    if (this.state.dialog.busy) return false;
    const done = await this.inDialog(async () => {
      await this.client.changeProfile({ current_password, password });
      return t("password_changed");
    }, "password_unknown");
    if (done) this.keepDevices(({ current }) => current);
    return done;
  },

  async endDevice({ session_id }) {
    const done = await this.attempt(async () => {
      try {
        await this.client.endSession(session_id);
      } catch (error) {
        if (error.status !== 404) throw error; // by an earlier try, or elsewhere
      }
    }, "error_unknown");
    if (done) this.keepDevices((device) => device.session_id !== session_id);
  },

  /** Show the devices that are left; then those that the server knows, if it says so: what was done stays done. */
  async keepDevices(isLeft) {
    this.amend({ devices: this.state.dialog?.devices?.filter(isLeft) });
    const devices = await this.client?.sessions().catch(() => null);
    if (devices) this.amend({ devices });
  },

  show(dialog) {
    this.opener = document.activeElement;
    this.state.dialog = dialog;
    this.state.finder = noSearch();
    this.redraw();
  },

  amend(changes) {
    if (!this.state.dialog) return;
    this.state.dialog = { ...this.state.dialog, ...changes };
    this.redraw();
  },

  /** End the open dialog, whose question it answers. */
  answer(yes) {
    const { dialog } = this.state;
    if (!dialog) return;
    this.state.dialog = null;
    this.draw();
    this.opener?.focus?.();
    dialog.resolve?.(yes);
  },

  /** Ask before something that cannot be undone. */
  ask(title, text) {
    return new Promise((resolve) => this.show({ kind: "confirm", title, text, resolve }));
  },
};
