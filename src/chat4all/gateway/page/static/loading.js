/**
 * Loads the page anew when one of its files is missing.
 *
 * While gateways are updated, the page may come from one of them, and its files be asked of another.
 * A gateway has the files of its own version only: those of two are never mixed. Here each file is
 * asked for until a gateway of its version has answered, and has gone into the browser's cache; then
 * the page is loaded again. Where none answers any more, that gives the page of the new version.
 *
 * This script is of no version: it works for the pages of all.
 */
"use strict";
{
  const TRIES = 10;
  const LOADS = 5;
  const COUNT = "chat4all.loads";
  const UPDATING = "Chat4All is being updated… · O Chat4All está sendo atualizado…";
  const FAILED = "Chat4All could not be loaded. · O Chat4All não pôde ser carregado.";

  const named = () =>
    [...document.querySelectorAll("link[href^='/page/'], script[src^='/page/']")].map(
      (element) => element.href ?? element.src,
    );

  const wait = (tried) =>
    new Promise((resolve) => setTimeout(resolve, Math.random() * Math.min(2_000, 100 * 2 ** tried)));

  async function got(url) {
    for (let tried = 0; tried < TRIES; tried++) {
      try {
        const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
        await response.arrayBuffer(); // to its end: only then it is kept
        if (response.ok) return;
      } catch {
        // The gateway that had it may be stopping, or not answer.
      }
      await wait(tried);
    }
  }

  async function parsed() {
    if (document.readyState !== "loading") return;
    await new Promise((resolve) => addEventListener("DOMContentLoaded", resolve));
  }

  let isMissing = false;

  async function loadAgain() {
    if (isMissing) return;
    isMissing = true;
    await parsed();
    const note = document.createElement("p");
    note.className = "no-script";
    note.role = "status";
    document.body.prepend(note);
    const loads = Number(sessionStorage.getItem(COUNT)) + 1;
    if (loads > LOADS) {
      note.textContent = FAILED;
      const again = document.createElement("button");
      again.textContent = "Try again · Tentar de novo";
      again.onclick = () => {
        sessionStorage.removeItem(COUNT);
        location.reload();
      };
      note.append(" ", again);
      return;
    }
    sessionStorage.setItem(COUNT, loads);
    note.textContent = UPDATING;
    await Promise.all(named().map(got));
    location.reload();
  }

  // An element's error does not bubble. A missing picture is no reason to load again.
  addEventListener("error", ({ target }) => target.matches?.("link, script") && loadAgain(), true);
  addEventListener("load", () => isMissing || sessionStorage.removeItem(COUNT));
}
