/** Beginning conversations, and what can be changed about a group. */
import { t } from "./i18n.js";

export default {
  async startPrivate(username) {
    await this.attempt(async () => this.goTo(await this.client.createPrivate(username), username));
  },

  async createGroup(title, members) {
    const { dialog } = this.state;
    if (dialog.busy) return;
    dialog.once = this.keyed(dialog.once, title, members);
    const { key } = dialog.once;
    await this.inDialog(async () => this.goTo(await this.client.createGroup(title, members, { key })));
  },

  goTo(conversation, peer = null) {
    const { conversation_id: id, members } = conversation;
    if (!this.state.conversations.has(id)) {
      this.takeListed({
        ...conversation, peer, member_count: members.length, last_message: null, unread: 0, unread_mentions: [], position: "0.0",
        role: members.find(({ username }) => username === this.state.me.username)?.role ?? "member",
      });
    }
    this.state.dialog = null;
    this.search("");
    location.hash = `#/c/${id}`;
    this.redraw();
  },

  async rename(conversation, title) {
    if (title && title !== conversation.title)
      await this.change(conversation, () => this.client.changeConversation(conversation.id, { title }));
  },

  async addMember(conversation, username) {
    const adding = (conversation.adding ??= new Map());
    if (!adding.has(username)) adding.set(username, this.newKey());
    await this.change(conversation, async () => {
      await this.client.addMember(conversation.id, username, undefined, { key: adding.get(username) });
      adding.delete(username); // the next time it is another request
      this.toast(t("member_added", { name: this.nameOf(username) }));
    });
  },

  async removeMember(conversation, username) {
    const name = this.nameOf(username);
    if (!(await this.ask(t("remove_member", { name }), t("confirm_remove", { name })))) return;
    conversation.adding?.delete(username);
    await this.change(conversation, () => this.client.removeMember(conversation.id, username));
  },

  async changeRole(conversation, username, select) {
    await this.change(conversation, () => this.client.changeRole(conversation.id, username, select.value));
  },

  async leave(conversation) {
    const title = this.titleOf(conversation);
    if (!(await this.ask(t("leave"), t("confirm_leave", { title })))) return;
    if (await this.attempt(() => this.client.leave(conversation.id))) this.drop(conversation.id);
  },

  async deleteGroup(conversation) {
    const title = this.titleOf(conversation);
    if (!(await this.ask(t("delete_group"), t("confirm_delete_group", { title })))) return;
    if (await this.attempt(() => this.client.deleteConversation(conversation.id))) this.drop(conversation.id);
  },

  async change({ id }, act) {
    await this.attempt(act, "error_unknown");
    await this.refresh(id);
  },
};
