/** What all views are made of: templates, icons, avatars. */
import { Directive, directive } from "../vendor/lit-html/directive.js";
import { html, noChange, nothing, render, svg } from "../vendor/lit-html/lit-html.js";
import { live } from "../vendor/lit-html/directives/live.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";

export { html, live, nothing, render, repeat, svg };

/** `kept([…], () => view)`: a view that is made again only when one of these values is another. */
export const kept = directive(class extends Directive {
  #values;

  render(values, make) {
    if (this.#values && values.every((value, index) => value === this.#values[index])) return noChange;
    this.#values = values;
    return make();
  }
});

const PATHS = {
  attach: svg`<path d="M19.5 11l-7.700 7.700a5 5 0 0 1-7-7L13 3.500a3.300 3.300 0 0 1 4.700 4.700l-8 8a1.700 1.700 0 0 1-2.400-2.400L14.500 6.700"/>`,
  back: svg`<path d="M15 5l-7 7 7 7"/>`,
  bell: svg`<path d="M6 10a6 6 0 0 1 12 0c0 5 2 6 2 7H4c0-1 2-2 2-7M10 20.5h4"/>`,
  book: svg`<path d="M5 5a2 2 0 0 1 2-2h12v15H7a2 2 0 0 0-2 2zm0 15a1.5 1.5 0 0 0 2 1h12v-3"/>`,
  close: svg`<path d="M6 6l12 12M18 6L6 18"/>`,
  clock: svg`<circle cx="12" cy="12" r="8"/><path d="M12 8v4l2.5 2"/>`,
  download: svg`<path d="M12 4v11m-5-5l5 5 5-5M5 20h14"/>`,
  down: svg`<path d="M12 5v14m-6-6l6 6 6-6"/>`,
  edit: svg`<path d="M4 20l1-4L16.5 4.5a2 2 0 0 1 3 3L8 19zM14.5 6.5l3 3"/>`,
  file: svg`<path d="M6 3h8l4 4v14H6zM14 3v4h4"/>`,
  globe: svg`<circle cx="12" cy="12" r="8.5"/><path d="M3.5 12h17M12 3.500c3 3 3 14 0 17M12 3.500c-3 3-3 14 0 17"/>`,
  info: svg`<rect x="3.5" y="4.5" width="17" height="15" rx="3"/><path d="M14.5 4.5v15"/>`,
  offline: svg`<path d="M4 4l16 16M8.5 12.600a5 5 0 0 1 2-1.100M5 9.300A10 10 0 0 1 8 7.400m4-.7a10 10 0 0 1 7 2.600M14.5 12a5 5 0 0 1 1.2.7"/><circle cx="12" cy="17" r="1"/>`,
  pause: svg`<path d="M9 6v12M15 6v12"/>`,
  play: svg`<path d="M8 5l11 7-11 7z"/>`,
  people: svg`<circle cx="9" cy="8.5" r="3.5"/><path d="M2.5 19.500c.6-3.6 3.2-5.5 6.5-5.500s5.9 1.9 6.5 5.500M16 5.300a3.5 3.5 0 0 1 0 6.400M18 14.500c1.9.8 3.1 2.5 3.5 5"/>`,
  person: svg`<circle cx="12" cy="8" r="3.8"/><path d="M4.5 20c.7-4 3.7-6 7.5-6s6.8 2 7.5 6"/>`,
  plus: svg`<path d="M12 5v14M5 12h14"/>`,
  react: svg`<circle cx="11" cy="13" r="7.5"/><path d="M8 15c1.5 2 4.5 2 6 0M8.7 11h0M13.3 11h0M19 2.500v5M16.5 5h5"/>`,
  reply: svg`<path d="M9 6L4 11l5 5M4 11h9a6 6 0 0 1 6 6v1"/>`,
  search: svg`<circle cx="11" cy="11" r="6.5"/><path d="M16 16l4.5 4.5"/>`,
  send: svg`<path d="M4.5 12L20 4.5 15 20l-3.5-6.500zM11.5 13.500L20 4.5"/>`,
  leave: svg`<path d="M14 4H7a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2h7M10 12h11m-4-4l4 4-4 4"/>`,
  tick: svg`<path d="M6 12.500l4 4L18.5 8"/>`,
  ticks: svg`<path d="M2 12.500l4 4L14.5 8M11 15.600l1 .9L20.5 8"/>`,
  trash: svg`<path d="M5 7h14M10 7V4.500h4V7M7 7l1 13h8l1-13M10.5 11v5.500M13.5 11v5.5"/>`,
  warn: svg`<path d="M12 4l9 16H3zM12 10v4.500M12 17.200v.1"/>`,
};

export const icon = (name) => html`<svg viewBox="0 0 24 24" aria-hidden="true">${PATHS[name]}</svg>`;

/** Return which of the eight hues a name has, always the same. */
export function hue(name) {
  let sum = 7;
  for (const letter of name) sum = (sum * 31 + letter.codePointAt(0)) >>> 0;
  return sum % 8;
}

function initials(name) {
  const words = name.split(/[\s._-]+/).filter((word) => /^[\p{L}\p{N}]/u.test(word));
  const letters = words.length > 1 ? [words[0], words.at(-1)] : words;
  return letters.map((word) => Array.from(word)[0]).join("") || Array.from(name)[0];
}

/** Return a picture made of a name; `of` decides the hue, which stays when the name changes. */
export const avatar = (name, { of = name, group = false, size = "", online = false } = {}) => html`
  <span class="avatar hue-${hue(of)} ${size} ${group ? "group" : ""} ${online ? "online" : ""}" aria-hidden="true">${initials(name)}</span>`;

export const onEnterOrSpace = (action) => (event) => {
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    action(event);
  }
};
