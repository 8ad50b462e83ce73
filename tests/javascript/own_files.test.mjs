/** One's own files: listed page by page, and deleted. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { ChatError, Client } from "../../clients/js/chat4all.js";

const ID = "01980f4e-9b2a-7c31-8d44-5a1f2e3d4c5b";

/** A client of a server that gives these answers: status, body, headers; null is none. */
const talking = (...answers) => {
  const asked = [];
  const fetch = async (url, { method, headers }) => {
    asked.push({ method, path: url.replace("http://server", ""), tus: headers["Tus-Resumable"] });
    const answer = answers.shift();
    if (!answer) throw new TypeError("fetch failed");
    const [status, body, more] = answer;
    return new Response(body && JSON.stringify(body), { status, headers: more });
  };
  const options = { token: "t", pace: 0.001, random: () => 0.5, locks: null, fetch };
  return { chat: new Client("http://server", options), asked };
};

test("files are listed page by page", async () => {
  const next = { Link: '</v1/files?order=largest&limit=2&cursor=x>; rel="next"' };
  const files = [{ file_id: "a" }, { file_id: "b" }, { file_id: "c" }];
  const { chat, asked } = talking([200, files.slice(0, 2), next], [200, files.slice(2)]);
  const found = [];
  for await (const file of chat.files({ order: "largest", limit: 2 })) found.push(file);
  assert.deepEqual(found, files);
  assert.deepEqual(asked.map(({ path }) => path), [
    "/v1/files?order=largest&limit=2", "/v1/files?order=largest&limit=2&cursor=x",
  ]);
});

test("without a word the newest come first", async () => {
  for (const options of [undefined, {}, { order: undefined, limit: undefined }]) {
    const { chat, asked } = talking([200, []]);
    assert.equal((await chat.files(options).next()).done, true);
    assert.equal(asked[0].path, "/v1/files?order=newest&limit=50");
  }
});

test("a file is deleted, also where the first answer was lost", async () => {
  const { chat, asked } = talking([204], null, [404, { detail: "no such file" }]);
  assert.equal(await chat.deleteFile(ID), undefined);
  assert.deepEqual(asked, [{ method: "DELETE", path: `/v1/files/${ID}`, tus: "1.0.0" }]);
  assert.equal(await chat.deleteFile(ID), undefined);
  assert.equal(asked.length, 3);
});

test("a file that is in use, or not there, is not deleted", async () => {
  const inUse = { type: "/problems/conflict", detail: "a message has this file" };
  const { chat, asked } = talking([409, inUse], [404, { detail: "no such file" }]);
  await assert.rejects(chat.deleteFile(ID), (error) => {
    assert.ok(error instanceof ChatError);
    return error.status === 409 && error.detail === "a message has this file";
  });
  await assert.rejects(chat.deleteFile("../me"), ({ status }) => status === 404);
  assert.equal(asked[1].path, "/v1/files/..%2Fme");
});
