/**
 * Ana uploads a file and saves it: `node save.mjs URL FILE SAVED`. In the middle it prints the bytes that
 * it has and waits for a line. Prints the size of what it was given before that, and after.
 */

import { createWriteStream, openAsBlob } from "node:fs";
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";

import { Client } from "../../clients/js/chat4all.js";

const [, , url, file, saved] = process.argv;
const lines = createInterface({ input: process.stdin });
const chat = new Client(url, { username: "ana", password: "test", pace: 0.2, retry_for: 300_000 });
const file_id = await chat.upload(await openAsBlob(file));

const writer = Writable.toWeb(createWriteStream(saved)).getWriter();
let has = 0;
let hasWaited = false;
const to = new WritableStream({
  write: async (piece) => {
    await writer.write(piece);
    has += piece.length;
    if (hasWaited || has < 1_000_000) return;
    hasWaited = true;
    console.log(has);
    await new Promise((resolve) => lines.once("line", resolve));
  },
  close: () => writer.close(),
});
await chat.download(file_id, { to });
console.log(has);
lines.close();
await chat.close();
