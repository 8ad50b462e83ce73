/** Reading what people write: links, mentions, emoji. Returns parts, never markup. */

// Not with what turns the direction: it would be read as another address than it is.
const LINK = /\bhttps?:\/\/[^\s<>"'\p{Bidi_Control}]+/giu;
const MENTION = /(^|[^\w@.])@([a-z0-9][a-z0-9._-]{1,31})/gu;
const EMOJI_ONLY = /^(?:\p{RGI_Emoji}\s*){1,3}$/v;

/** Return the parts of a text: strings, `{link}` and `{mention}` of those who are named. */
export function parts(text, mentioned = []) {
  const found = [];
  for (const match of text.matchAll(LINK)) {
    // A sentence's full stop or closing bracket after a link is not part of it.
    let link = match[0].replace(/[.,;:!?]+$/u, "");
    while (/[)\]]$/u.test(link) && !isClosing(link)) link = link.slice(0, -1).replace(/[.,;:!?]+$/u, "");
    found.push({ at: match.index, length: link.length, part: { link } });
  }
  for (const match of text.matchAll(MENTION)) {
    const name = match[2].replace(/[.-]+$/u, "");
    const at = match.index + match[1].length;
    if (mentioned.includes(name) && !found.some((one) => at >= one.at && at < one.at + one.length))
      found.push({ at, length: name.length + 1, part: { mention: name } });
  }
  found.sort((one, two) => one.at - two.at);
  const all = [];
  let end = 0;
  for (const { at, length, part } of found) {
    if (at > end) all.push(text.slice(end, at));
    all.push(part);
    end = at + length;
  }
  if (end < text.length) all.push(text.slice(end));
  return all;
}

/** Say whether the bracket at the end has been opened in the text. */
function isClosing(text) {
  const [opening, closing] = text.endsWith(")") ? ["(", ")"] : ["[", "]"];
  return text.split(opening).length >= text.split(closing).length;
}

export const isEmojiOnly = (text) => EMOJI_ONLY.test(text.trim());

/** Return those of `usernames` whom a text mentions with an @. */
export function mentionsIn(text, usernames) {
  const known = new Set(usernames);
  const named = [...text.matchAll(MENTION)].map((match) => match[2].replace(/[.-]+$/u, ""));
  return [...new Set(named)].filter((name) => known.has(name)).slice(0, 50);
}

/** Return the beginning of an @name that is being written before the cursor, or null: of a username or another name. */
export function mentionBeing(text, cursor) {
  const match = /(^|[^\w@.])@([\p{L}\p{M}\p{N}._-]{0,32})$/u.exec(text.slice(0, cursor));
  return match && { start: cursor - match[2].length - 1, prefix: match[2].normalize().toLocaleLowerCase() };
}
