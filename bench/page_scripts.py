"""What runs in the browser: the floor, and what times and scrolls the product's page.

Both sides are timed in the same way, from the click until the frame that has the last message was
painted. The floor is a page with nothing in it but a list: at a click it puts as many plain nodes
into it as the product has for the same messages, from what it keeps or, if it is given an address,
from a page of the history that it reads.
"""

PAINTED = """
const painted = (isThere) => new Promise((done, fail) => {
  setTimeout(() => fail(new Error("it was not drawn within 30 s")), 30_000);
  const look = () => requestAnimationFrame(() => (isThere() ? setTimeout(done) : look()));
  look();
});
"""

FLOOR = (
    "async ([messages, nodes, url, token]) => {"
    + PAINTED
    + """
  document.body.innerHTML = "<button></button><ol></ol>";
  const [button, list] = document.body.children;
  Object.assign(list.style, { height: "700px", overflow: "auto" });
  await painted(() => true);
  button.onclick = async () => {
    const headers = { authorization: `Bearer ${token}` };
    const page = url ? await (await fetch(url, { headers })).json() : messages;
    const each = Math.max(1, Math.round(nodes / page.length));
    list.replaceChildren(...page.map(({ content }) => {
      const one = document.createElement("li");
      for (let n = 1; n < each; n += 1) one.append(document.createElement("span"));
      (one.lastChild ?? one).textContent = content;
      return one;
    }));
    list.scrollTop = list.scrollHeight;
  };
  const began = performance.now();
  button.click();
  await painted(() => list.lastChild);
  return performance.now() - began;
}"""
)

OPEN = (
    "async ([id, text]) => {"
    + PAINTED
    + """
  const last = () => [...document.querySelectorAll(".message .text")].at(-1)?.textContent;
  const began = performance.now();
  document.querySelector(`a[href="#/c/${id}"]`).click();
  await painted(() => location.hash === `#/c/${id}` && last() === text);
  return performance.now() - began;
}"""
)
"""Milliseconds from the click on a conversation until its last message, `text`, was painted."""

NODES = "document.querySelectorAll('#scroll *').length"

SCROLL = """([to]) => new Promise((done, fail) => {
  setTimeout(() => fail(new Error("the first message did not come within 300 s")), 300_000);
  const it = document.getElementById("scroll");
  const messages = () => [...it.querySelectorAll(".message")];
  const place = (one) => one.getBoundingClientRect().top;
  const found = { screens: 0, messages: 0, jump_px: 0 };
  const step = () => {
    const all = messages();
    found.messages = Math.max(found.messages, all.length);
    if (all[0].dataset.seq <= to) return done(found);
    it.scrollTop = Math.max(0, it.scrollTop - it.clientHeight);
    found.screens += 1;
    const shown = all.find((one) => place(one) > place(it));
    const [{ key }, at] = [shown.dataset, place(shown)];
    setTimeout(() => {
      const same = messages().find((one) => one.dataset.key === key);
      found.jump_px = Math.max(found.jump_px, same ? Math.abs(place(same) - at) : it.clientHeight);
      step();
    }, 30);
  };
  step();
})"""
"""Scroll up, a screen at a time, until message number `to` is in the page.

`jump_px` is by how much the first message in sight moved at most while older ones came above it.
"""
