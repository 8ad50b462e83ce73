/**
 * Drives the JavaScript client through a scenario; see docs/clients/conformance.md.
 *
 * `--mutant NAME` makes it a client with a defect: one line of the module is replaced.
 */

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const MODULE = new URL("../../clients/js/chat4all.js", import.meta.url);

/** What is replaced by what. Each has to be in the module, once. */
const MUTANTS = {
  "new-id": [["message_id, chat_id:", "get message_id() { return newId(); }, chat_id:"]],
  "position-first": [
    ["if (item.event) yield item.event;", "await this.#take(item); if (item.event) yield item.event;"],
  ],
  "no-positions": [["[...this.#received]", "[]"]],
  "refresh-each": [
    ["this.#renewing ??= ", "this.#renewing = "],
    ["kept.access_token !== refused", "refused === undefined"],
  ],
  "waits-for-tokens": [["isGood && now < (has.ends_at ?? 0)", "false"]],
  unbounded: [["options.queue_max ?? 5_000", "Infinity"]],
  "shows-gaps": [["const GAPS = 3", "const GAPS = 0"]],
};

const load = async (mutant) => {
  if (!mutant) return import(MODULE);
  let text = readFileSync(MODULE, "utf8");
  for (const [right, wrong] of MUTANTS[mutant]) {
    const pieces = text.split(right);
    if (pieces.length !== 2) throw new Error(`${right} is not in the module once`);
    text = pieces.join(wrong);
  }
  return import(`data:text/javascript,${encodeURIComponent(text)}`);
};

const tell = (line) => process.stdout.write(JSON.stringify(line) + "\n");

const kindOf = ({ type, status }) => {
  if (type === "/problems/signed-out" || status === 401) return "NotSignedIn";
  if (type === "/problems/defect") return "Defect";
  return status >= 400 && status < 500 && status !== 429 ? "Refused" : "Unavailable";
};

const failed = (error) => {
  if (error.type === undefined) throw error;
  return { error: kindOf(error), status: error.status || undefined, code: error.code };
};

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const nextLine = async () => (await lines.next()).value;

const [, , option, mutant] = process.argv;
const { Client } = await load(option === "--mutant" && mutant);
const program = JSON.parse(await nextLine());
const { username, password, token, get_token: tokens } = program.auth;

const getToken = async () => {
  tell({ type: "TokenAsked" });
  return tokens.length > 1 ? tokens.shift() : tokens[0];
};

const client = new Client(program.url, {
  username,
  password,
  token,
  getToken: tokens && getToken,
  pace: program.pace,
  queue_max: program.queue,
});

const historyOf = async ({ conversation_id, direction, limit = Infinity }) => {
  const messages = [];
  const options = { direction, limit: Math.min(limit, 200) };
  for await (const page of client.history(conversation_id, options)) {
    messages.push(...(direction === "newer" ? page.messages : page.messages.toReversed()));
    if (messages.length >= limit) break;
  }
  return { messages: messages.slice(0, limit) };
};

const conversations = async () => {
  const found = [];
  for await (const one of client.conversations()) found.push(one);
  return { conversations: found };
};

const DOING = {
  send: async ({ do: _, after, name, conversation_id, ...message }) => ({
    message_id: await client.send(conversation_id, message),
  }),
  edit: (action) => client.edit(action, action.content),
  delete: (action) => client.remove(action),
  react: (action) => client.react(action, action.emoji),
  unreact: (action) => client.unreact(action, action.emoji),
  read: (action) => client.read(action.conversation_id, action.seq),
  typing: async (action) => client.typing(action.conversation_id),
  watch: async (action) => client.watch(action.usernames),
  history: historyOf,
  conversations,
};

const save = () => tell({ type: "Saved", ...client.positions });

const act = async (action) => {
  switch (action.do) {
    case "together":
      await Promise.all(action.actions.map(act));
      break;
    case "pause":
      tell({ type: "Paused" });
      await nextLine();
      break;
    case "save":
      save();
      break;
    case "die":
      save();
      process.exit(0);
      break;
    default: {
      const { name } = action;
      try {
        tell({ type: "Result", name, ...(await DOING[action.do](action)) });
      } catch (error) {
        tell({ type: "Failed", name, ...failed(error) });
      }
    }
  }
};

const actAfter = async (number) => {
  for (const action of program.actions) if (action.after === number) await act(action);
};

const listen = async () => {
  let number = 0;
  try {
    for await (const event of client.events({ since: program.since })) {
      if (event.type === "OutboxChanged") continue; // of this client alone
      tell(event.error ? { ...event, ...failed(event.error) } : event);
      if (event.username === "end") return;
      if (!["Connected", "Disconnected"].includes(event.type)) await actAfter(++number);
    }
  } catch (error) {
    tell({ type: "Ended", ...failed(error) });
  }
};

await actAfter(0);
if (program.listen) await listen();
save();
await client.close();
process.stdin.destroy();
