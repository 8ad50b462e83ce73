/**
 * What the page knows and does. Views draw `state` and call methods; the client tells what happens.
 *
 * The methods are in the modules beside this one, by what they are about.
 */
import { Client, indexedDBStorage, newId } from "../chat4all.js";
import { pageView } from "../views/app.js";
import { render } from "../views/parts.js";
import account from "./account.js";
import alerts from "./alerts.js";
import conversations from "./conversations.js";
import files from "./files.js";
import { focused, refocus } from "./focus.js";
import groups from "./groups.js";
import history from "./history.js";
import * as language from "./i18n.js";
import outcomes from "./outcomes.js";
import people, { noSearch } from "./people.js";
import { place, keepPlace } from "./place.js";
import * as vault from "./vault.js";
import writing from "./writing.js";

const FILES = new URL("../", import.meta.url).pathname;
const TOAST_MS = 5_000;

export class App {
  state = {
    phase: "starting",
    entrance: { mode: "in", busy: false, error: null, fields: {}, note: null },
    me: null,
    /** By id; `listed` once all of them were read. */
    conversations: new Map(),
    listed: false,
    open: null,
    /** Whether the end of the open history is in sight, so that it follows what is new. */
    following: true,
    troubled: false,
    people: new Map(),
    /** How often a name has become known or changed. */
    renamed: 0,
    presence: new Map(),
    search: noSearch(),
    finder: noSearch(),
    dialog: null,
    toast: null,
    ui: { menu: false, details: false, acting: null, picking: null, found: null, suggested: 0, noSuggestions: false },
  };

  offers = offered();
  /** Messages of conversations that are not known yet, by these. */
  arrived = new Map();
  /** The highest rank of a conversation. */
  newest = 0;
  /** Files on their way, and those of others by their addresses. */
  uploads = [];
  links = new Map();
  /** Files that an address is asked for, the next one last. */
  unlinked = [];
  client = null;
  #isDue = false;

  constructor(root) {
    this.root = root;
  }

  file(name) {
    return FILES + name;
  }

  get otherLanguage() {
    return language.other();
  }

  switchLanguage() {
    language.choose(language.other());
    // Texts that no part of the state is about: everything is drawn anew.
    render(null, this.root);
    this.draw();
    document.querySelector(".me, .foot button")?.focus();
  }

  makeClient() {
    return new Client(location.origin, { tokens: vault.tokens(), storage: indexedDBStorage() });
  }

  /** Draw soon; what happens until then is drawn with it. */
  redraw() {
    if (this.#isDue) return;
    this.#isDue = true;
    // Tabs in the background have no frames.
    const draw = () => this.#isDue && this.draw();
    if (document.visibilityState === "visible") requestAnimationFrame(draw);
    else setTimeout(draw, 200);
  }

  draw() {
    this.#isDue = false;
    const before = this.goal || this.state.following ? null : place(); // takes a layout
    const around = focused();
    render(pageView(this), this.root);
    const dialog = this.root.querySelector("dialog");
    if (dialog && !dialog.open) dialog.showModal();
    keepPlace(this, before);
    this.afterDrawing();
    refocus(around);
  }

  toast(text) {
    this.state.toast = text;
    clearTimeout(this.toasting);
    this.toasting = setTimeout(() => {
      this.state.toast = null;
      this.redraw();
    }, TOAST_MS);
    this.redraw();
  }

  newKey() {
    return newId();
  }

  isTouch() {
    return matchMedia("(hover: none)").matches;
  }
}

Object.assign(App.prototype, account, alerts, conversations, files, groups, history, outcomes, people, writing);

/** Return what the server says of itself in the page. */
function offered() {
  const { demonstration, signUp } = document.documentElement.dataset;
  const words = demonstration ? demonstration.split(" ") : [];
  return {
    signUp: signUp !== "closed",
    demonstration: words.length ? { usernames: words.slice(0, -1), password: words.at(-1) } : null,
  };
}
