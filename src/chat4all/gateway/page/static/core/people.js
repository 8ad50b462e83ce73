/** People: their names, and finding them. */

const AT_ONCE = 3;
const KNOWN_MOST = 3_000;
const FOUND_MOST = 20;
const WAIT_MS = 200;

/** Return a search for people in which nothing was asked yet. */
export const noSearch = () => ({ text: "", people: [], busy: false });

export default {
  /** Return how somebody is called; who is not known yet is asked for. */
  nameOf(username) {
    const known = this.state.people.get(username);
    if (known === undefined && this.client && username !== "?") {
      this.state.people.set(username, null);
      this.askFor(username);
    }
    return known?.display_name || username;
  },

  askFor(username) {
    this.asking ??= { waiting: [], running: 0 };
    this.asking.waiting.push(username);
    while (this.asking.running < AT_ONCE && this.asking.waiting.length) this.askNext();
  },

  async askNext() {
    const { asking, client } = this;
    asking.running += 1;
    try {
      while (asking.waiting.length && this.client === client) {
        const username = asking.waiting.shift();
        const found = await client.user(username).catch(() => null); // gone, or not to be had now: the username will do
        if (found) this.know(found);
      }
    } finally {
      asking.running -= 1;
    }
  },

  know(profile) {
    const { people } = this.state;
    const before = people.get(profile.username);
    people.set(profile.username, profile);
    if (people.size > KNOWN_MOST) people.delete(people.keys().next().value);
    if (before?.display_name === profile.display_name) return;
    this.state.renamed += 1;
    this.redraw();
  },

  /** Search from the list: conversations by their title, and people. */
  search(text) {
    this.seek(this.state.search, text);
  },

  /** Search people for a dialog. */
  find(text) {
    this.seek(this.state.finder, text);
  },

  seek(search, text) {
    search.text = text;
    clearTimeout(search.timer);
    const query = text.trim().replace(/^@/, "");
    search.busy = Boolean(query);
    if (!query) search.people = [];
    else search.timer = setTimeout(() => this.seekNow(search, query, text), WAIT_MS);
    this.redraw();
  },

  async seekNow(search, query, text) {
    const found = [];
    try {
      for await (const person of this.client.searchUsers(query, { limit: FOUND_MOST })) {
        found.push(person);
        this.know(person);
        if (found.length === FOUND_MOST) break;
      }
    } catch (error) {
      this.toast(this.reason(error));
    }
    if (search.text !== text) return; // an answer to what was typed before
    Object.assign(search, { people: found, busy: false });
    this.redraw();
  },
};
