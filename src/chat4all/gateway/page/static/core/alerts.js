/** What is said of new messages: to screen readers, in the title, and by the system if it is wanted. */
import { t } from "./i18n.js";

const NOTIFY = "chat4all.notify";
const TOGETHER_MS = 700;
const EACH_MOST = 2;
const LETTERS = 200;

export default {
  tellMessage(conversation, message) {
    this.telling ??= { messages: [], timer: null };
    this.telling.messages.push({ conversation, message });
    // Several at once are said together.
    this.telling.timer ??= setTimeout(() => this.tell(), TOGETHER_MS);
  },

  tell() {
    const { messages } = this.telling;
    this.telling = null;
    const said = new Map();
    for (const { conversation, message } of messages) {
      const of = said.get(conversation) ?? [];
      said.set(conversation, [...of, message]);
    }
    const lines = [];
    for (const [conversation, news] of said) {
      const title = this.titleOf(conversation);
      if (news.length > EACH_MOST) lines.push(t("announce_many", { count: news.length, title }));
      else for (const message of news) lines.push(this.line(conversation, message, title));
      this.notify(conversation, news, title);
    }
    document.getElementById("announcer").textContent = lines.join("\n");
  },

  /** Say nothing more of those who were here, nor leave what was said. */
  tellNothing() {
    clearTimeout(this.telling?.timer);
    this.telling = null;
    document.getElementById("announcer").textContent = "";
  },

  line(conversation, message, title) {
    const name = this.nameOf(message.sender_id);
    const text = Array.from(this.summaryOf(message)).slice(0, LETTERS).join("");
    const named = conversation.type === "group" && this.state.open !== conversation.id;
    return t(named ? "announce_in" : "announce", { name, title, text });
  },

  tellTitle() {
    const unread = [...this.state.conversations.values()].reduce((sum, one) => sum + one.unread, 0);
    document.title = unread ? `(${unread > 99 ? "99+" : unread}) Chat4All` : "Chat4All";
  },

  /** Return "on", "off" or "blocked". */
  notifications() {
    if (Notification.permission === "denied") return "blocked";
    return Notification.permission === "granted" && localStorage.getItem(NOTIFY) ? "on" : "off";
  },

  async toggleNotifications() {
    if (this.notifications() === "on") localStorage.removeItem(NOTIFY);
    else if ((await Notification.requestPermission()) === "granted") localStorage.setItem(NOTIFY, "on");
    this.toast(`${t("notifications")}: ${t(`notifications_${this.notifications()}`)}`);
  },

  notify(conversation, news, title) {
    if (!("Notification" in window) || this.notifications() !== "on" || this.isLooking()) return;
    const body = news.length > 1 ? t("notification_many", { count: news.length }) : this.line(conversation, news[0], title);
    try {
      // One for a conversation: of two tabs, too.
      const shown = new Notification(title, { body, tag: conversation.id, icon: this.file("icon.svg") });
      shown.onclick = () => {
        focus();
        location.hash = `#/c/${conversation.id}`;
        shown.close();
      };
    } catch {
      // Phones show them only for pages that are installed.
    }
  },
};
