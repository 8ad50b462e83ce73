/** The page's language: texts, plurals, dates and numbers. */
import en from "../texts/en.js";
import pt from "../texts/pt-BR.js";

const TEXTS = { en, "pt-BR": pt };
const KEPT = "chat4all.language";
const DAY = 86_400_000;

let language = "en";
// Making one takes far longer than using it.
let plural, number, bytes, clock, weekday, day, year, full, relative, list;

/** Return the language that was chosen, else the first of the browser's that the page has. */
export function preferred() {
  const kept = localStorage.getItem(KEPT);
  if (kept in TEXTS) return kept;
  for (const one of navigator.languages ?? [navigator.language]) {
    if (/^pt\b/i.test(one)) return "pt-BR";
    if (/^en\b/i.test(one)) return "en";
  }
  return "en";
}

export function use(chosen) {
  language = chosen;
  document.documentElement.lang = chosen;
  const region = (navigator.languages ?? []).find((one) => one.split("-")[0] === chosen.split("-")[0]) ?? chosen;
  plural = new Intl.PluralRules(chosen);
  number = new Intl.NumberFormat(region);
  bytes = ["byte", "kilobyte", "megabyte", "gigabyte"].map((unit) =>
    new Intl.NumberFormat(region, { style: "unit", unit, unitDisplay: "short", maximumSignificantDigits: 3 }));
  clock = new Intl.DateTimeFormat(region, { hour: "numeric", minute: "2-digit" });
  weekday = new Intl.DateTimeFormat(region, { weekday: "long" });
  day = new Intl.DateTimeFormat(region, { day: "numeric", month: "short" });
  year = new Intl.DateTimeFormat(region, { day: "numeric", month: "short", year: "numeric" });
  full = new Intl.DateTimeFormat(region, { dateStyle: "full", timeStyle: "short" });
  relative = new Intl.RelativeTimeFormat(region, { numeric: "auto" });
  list = new Intl.ListFormat(region, { type: "conjunction" });
}

export function other() {
  return language === "en" ? "pt-BR" : "en";
}

export function choose(chosen) {
  localStorage.setItem(KEPT, chosen);
  use(chosen);
}

/** Return a text; `count` chooses its plural form. */
export function t(key, values = {}) {
  let text = TEXTS[language][key] ?? key;
  if (typeof text !== "string") text = text[plural.select(values.count)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (_, name) =>
    typeof values[name] === "number" ? number.format(values[name]) : String(values[name] ?? ""));
}

export const digits = (value) => number.format(value);

/** Return how large something is. */
export function size(count) {
  const power = count < 1000 ? 0 : Math.min(3, Math.floor(Math.log10(count) / 3));
  return bytes[power].format(count / 1000 ** power);
}

export const listed = (values) => list.format(values);
export const time = (when) => clock.format(new Date(when));

/** Return in how many days of the calendar before today that was. */
function daysAgo(when) {
  const start = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate());
  return Math.round((start(new Date()) - start(new Date(when))) / DAY);
}

/** Return the day, as a heading between messages. */
export function dayName(when) {
  const ago = daysAgo(when);
  if (ago === 0) return t("today");
  if (ago === 1) return t("yesterday");
  if (ago > 1 && ago < 7) return weekday.format(new Date(when));
  return (new Date(when).getFullYear() === new Date().getFullYear() ? day : year).format(new Date(when));
}

/** Return when that was, as short as it stays clear: in a list. */
export function shortTime(when) {
  return daysAgo(when) === 0 ? time(when) : dayName(when);
}

/** Return how long ago that was, in words. */
export function ago(when) {
  const seconds = (new Date(when) - Date.now()) / 1000;
  for (const [unit, size] of [["day", 86_400], ["hour", 3600], ["minute", 60]])
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  return relative.format(0, "minute");
}

export const exact = (when) => full.format(new Date(when));

/** Return the key of the day that an instant is in. */
export function dayKey(when) {
  const date = new Date(when);
  return `${date.getFullYear()}-${date.getMonth()}-${date.getDate()}`;
}
