/**
 * The stretch of a conversation's history that is on the screen: consecutive messages, at most
 * `WINDOW` of them, however long the history is.
 */
export const WINDOW = 200;
export const PAGE = 50;

export class Timeline {
  /** Messages by ascending `seq`, without holes. */
  messages = [];
  /** Whether the first and the last message of the conversation are among them. */
  atStart = false;
  atEnd = true;
  /** Whether it shows what the server has: else it is to be read anew. */
  loaded = false;

  get first() {
    return this.messages[0]?.seq ?? 0;
  }

  get last() {
    return this.messages.at(-1)?.seq ?? 0;
  }

  /** Put a page in the place of all. */
  replace(messages, { atStart, atEnd }) {
    // What came live meanwhile and goes on after the page stays.
    const end = messages.at(-1)?.seq ?? 0;
    const live = this.loaded || !atEnd ? [] : this.messages.filter(({ seq }) => seq > end);
    this.messages = live[0]?.seq === end + 1 || end === 0 ? [...messages, ...live] : messages;
    Object.assign(this, { atStart, atEnd, loaded: true });
  }

  /** Put those before `first` before it, if it is still the first; what is then too much goes at the end. */
  prepend(messages, atStart, first) {
    if (this.first !== first) return;
    this.messages = [...messages, ...this.messages];
    this.atStart = atStart;
    if (this.messages.length > WINDOW) {
      this.messages.length = WINDOW;
      this.atEnd = false;
    }
  }

  /** Put those after `last` after it, if it is still the last; what is then too much goes at the beginning. */
  append(messages, atEnd, last) {
    if (this.last !== last) return;
    this.messages = [...this.messages, ...messages];
    this.atEnd = atEnd;
    this.#trimStart();
  }

  /** Take a new message: `following` says that its reader is at the end and sees it. */
  add(message, following) {
    if (!this.loaded) {
      this.messages = [...this.messages.filter(({ seq }) => seq < message.seq), message].slice(-PAGE);
      return;
    }
    if (!this.atEnd || message.seq <= this.last) return;
    if (this.messages.length && message.seq !== this.last + 1) {
      this.loaded = false; // never so, unless something was lost: read it anew
      return;
    }
    if (!following && this.messages.length >= WINDOW) {
      this.atEnd = false;
      return;
    }
    this.messages = [...this.messages, message];
    if (message.seq === 1) this.atStart = true;
    this.#trimStart();
  }

  /** Take a message as it is now; previews of it in replies follow. */
  change(message) {
    this.messages = this.messages.map((one) => {
      if (one.seq === message.seq) return message;
      if (one.reply_to?.seq !== message.seq) return one;
      const content = Array.from(message.content).slice(0, 200).join("");
      return { ...one, reply_to: { ...one.reply_to, content, deleted: message.deleted_at !== null } };
    });
  }

  /** Keep only what is shown when the conversation is opened again. */
  shrink() {
    if (!this.atEnd) this.clear();
    else if (this.messages.length > PAGE) {
      this.messages = this.messages.slice(-PAGE);
      this.atStart = false;
    }
  }

  /** Forget all. */
  clear() {
    Object.assign(this, { messages: [], loaded: false, atStart: false, atEnd: true });
  }

  #trimStart() {
    if (this.messages.length > WINDOW) {
      this.messages = this.messages.slice(-WINDOW);
      this.atStart = false;
    }
  }
}
