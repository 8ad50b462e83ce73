/** The focus: what is drawn away under it leaves it near by, not at the beginning of the page. */

const FOCUSABLE = "a[href], button:not(:disabled), input, select, textarea, [tabindex]";

/** Return the element that has the focus, and those around it from the inside out. */
export function focused() {
  const all = [];
  for (let one = document.activeElement; one && one !== document.body; one = one.parentElement) all.push(one);
  return all;
}

/** Give the focus, if what had it is gone, to the nearest that is still there. */
export function refocus([held, ...around]) {
  if (!held || held.isConnected || document.activeElement !== document.body) return;
  const left = around.filter((one) => one.isConnected);
  const next = left.find((one) => one.matches("[tabindex]")) ?? left.map(firstIn).find(Boolean);
  next?.focus({ preventScroll: true });
}

const firstIn = (one) => [...one.querySelectorAll(FOCUSABLE)].find((it) => it.checkVisibility());
