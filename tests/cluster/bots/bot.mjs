/** Writes each event about messages down: `node bot.mjs URL USERNAME PASSWORD POSITIONS JOURNAL`. */

import { appendFileSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { Client } from "../../../clients/js/chat4all.js";

const [, , url, username, password, positions, journal] = process.argv;
const since = existsSync(positions) ? JSON.parse(readFileSync(positions)) : undefined;
const chat = new Client(url, { username, password });

appendFileSync(journal, "null\n");
for await (const event of chat.events({ since })) {
  if (["MessageCreated", "MessageChanged", "MessagesReloaded"].includes(event.type)) {
    const { type, message, messages, conversation_id, position } = event;
    const line = { type, message, messages, conversation_id, position };
    appendFileSync(journal, JSON.stringify(line) + "\n");
  }
  writeFileSync(`${positions}.new`, JSON.stringify(chat.positions));
  renameSync(`${positions}.new`, positions);
}
