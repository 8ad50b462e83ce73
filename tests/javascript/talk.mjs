/**
 * Bruno writes, ana hears: `node talk.mjs URL CONVERSATION COUNT [injected]`. Prints what each of them
 * has, a line of JSON each. `injected`: there is no global `WebSocket`, it is given to the clients.
 */

import { Client } from "../../clients/js/chat4all.js";

const [, , url, conversation, count, injected] = process.argv;
const { WebSocket } = injected ? globalThis : {};
if (injected) delete globalThis.WebSocket;
const tell = (line) => process.stdout.write(JSON.stringify(line) + "\n");

const clientOf = (username) =>
  new Client(url, { username, password: "test", retry_for: Infinity, pace: 0.2, WebSocket });
const bruno = clientOf("bruno");
const ana = clientOf("ana");

const hear = async () => {
  const edited = new Set();
  let hasEnded = false;
  for await (const event of ana.events()) {
    if (event.type === "MessageCreated" || event.type === "MessageChanged") {
      const { seq, message_id, content } = event.message;
      tell({ type: event.type, seq, message_id, content, position: event.position });
      if (event.type === "MessageCreated" && seq % 5 === 0) await ana.react(event.message, "👍");
      if (content.startsWith("edited")) edited.add(seq);
      hasEnded ||= content === "end";
    }
    // Messages come before their changes, so the last change may come after the end.
    if (hasEnded && edited.size === Math.floor(count / 7)) return;
  }
};

const write = async () => {
  for (let number = 1; number <= count; number++) {
    const message_id = await bruno.send(conversation, `message ${number}`);
    tell({ type: "Sent", message_id });
    // A change of what is accepted and not stored yet is 404.
    while (number % 7 === 0) {
      try {
        await bruno.edit({ conversation_id: conversation, message_id }, `edited ${number}`);
        break;
      } catch (error) {
        if (error.status !== 404) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }
  tell({ type: "Sent", message_id: await bruno.send(conversation, "end") });
};

await ana.connect();
await Promise.all([hear(), write()]);
await Promise.all([ana.close(), bruno.close()]);
