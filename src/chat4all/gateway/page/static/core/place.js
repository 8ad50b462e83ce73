/** The place in the history: what is in sight stays where it is, whatever is drawn around it. */

const NEAR = 16;

const scroller = () => document.getElementById("scroll");

/** Return whether the end of the history is in sight. */
export function isAtEnd() {
  const scroll = scroller();
  return !scroll || scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < NEAR;
}

/** Return the first message in sight and where it stands. */
export function place() {
  const scroll = scroller();
  if (!scroll) return null;
  const top = scroll.getBoundingClientRect().top;
  for (const item of scroll.querySelectorAll(".message")) {
    const box = item.getBoundingClientRect();
    if (box.bottom > top) return { key: item.dataset.key, at: box.top, of: scroll.dataset.of };
  }
  return { key: null, of: scroll.dataset.of };
}

/** Return the `seq` of the first message in sight, or 0. */
export function seqInSight() {
  const key = place()?.key;
  return Number((key && scroller().querySelector(`[data-key="${CSS.escape(key)}"]`).dataset.seq) ?? 0);
}

/** Put the history where it is to be after it was drawn. */
export function keepPlace(app, before) {
  const scroll = scroller();
  if (!scroll) return;
  const { goal } = app;
  if (goal) {
    const item = goal === "end" ? null : scroll.querySelector(goal);
    if (goal !== "end" && !item) return; // once it is drawn
    app.goal = null;
    if (item) item.scrollIntoView({ block: "center" });
    else scroll.scrollTop = scroll.scrollHeight;
    app.state.following = isAtEnd();
  } else if (app.state.following) {
    scroll.scrollTop = scroll.scrollHeight;
  } else if (before?.key && before.of === scroll.dataset.of) {
    const item = scroll.querySelector(`[data-key="${CSS.escape(before.key)}"]`);
    if (item) scroll.scrollTop += item.getBoundingClientRect().top - before.at;
  }
}

/** Return the `seq` of the last message that is in sight, or 0. */
export function lastSeen() {
  const scroll = scroller();
  if (!scroll) return 0;
  const bottom = scroll.getBoundingClientRect().bottom + 4;
  const items = [...scroll.querySelectorAll(".message[data-seq]")];
  return Number(items.findLast((item) => item.getBoundingClientRect().bottom <= bottom || item.getBoundingClientRect().top < bottom - 80)?.dataset.seq ?? 0);
}
