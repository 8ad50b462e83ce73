/** Files in messages: pictures, players, cards, and what is on its way. */
import { digits, size, t } from "../core/i18n.js";
import { html, icon, nothing, svg } from "./parts.js";

/** CSS pixels that a picture may take, and of the picture that is asked for. */
const WIDEST = 320;
const HIGHEST = 360;
const ASKED = 800;
/** Bytes of a picture that is shown as it is, which may move; a larger one is shown made smaller. */
const WHOLE = 20_000_000;
const SMALLER = 2_048;
const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~";

export function fileView(app, { kind, payload }, link) {
  if (!payload?.file_id) return nothing;
  if (!link || link.broken) return card(app, payload);
  if (kind === "image") return picture(app, payload, link);
  if (kind === "audio")
    return html`<div class="player">${caption(payload)}<audio controls preload="metadata" aria-label=${named(payload)} src=${link.url || nothing} @error=${({ target }) => app.renewLink(payload, target)}></audio></div>`;
  if (kind === "video")
    return html`<video class="film" controls preload="metadata" aria-label=${named(payload)} width=${payload.width ? box(payload)[0] : WIDEST} height=${payload.width ? box(payload)[1] : WIDEST * 9 / 16}
      src=${link.url || nothing} @error=${({ target }) => app.renewLink(payload, target)}></video>`;
  return card(app, payload);
}

const named = ({ alt, name }) => alt || name || t("file");

const caption = ({ name, size: bytes }) => html`<strong>${name || t("file")}</strong>${bytes === undefined ? nothing : html`<span>${size(bytes)}</span>`}`;

/** Return the width and height that a picture takes, known before it is there. */
function box({ width, height }) {
  if (!width || !height) return [WIDEST, WIDEST * 3 / 4];
  const scale = Math.min(1, WIDEST / width, HIGHEST / height);
  return [Math.max(48, Math.round(width * scale)), Math.max(48, Math.round(height * scale))];
}

function picture(app, payload, link) {
  const [width, height] = box(payload);
  return html`<button class="picture" aria-label=${t("open_picture", { name: named(payload) })} @click=${() => app.show({ kind: "viewer", payload })}>
    <canvas width=${width} height=${height} aria-hidden="true"></canvas>
    <svg aria-hidden="true">${svg`<rect width="100%" height="100%" fill=${colour(payload.blurhash)}/>`}</svg>
    ${link.url ? html`<img loading="lazy" src=${thumbnail(link.url, ASKED)} width=${width} height=${height} alt=${named(payload)} @error=${() => app.renewLink(payload)}>` : nothing}</button>`;
}

const thumbnail = (url, pixels) => `${url.replace("?", "/thumbnail?")}&size=${pixels}`;

/** Return the mean colour of a picture, which its blurhash begins with. */
function colour(blurhash) {
  const value = [...(blurhash?.slice(2, 6) ?? "")].reduce((sum, one) => sum * 83 + DIGITS.indexOf(one), 0);
  return blurhash ? `#${value.toString(16).padStart(6, "0")}` : "#8886";
}

function card(app, payload) {
  return html`<div class="file-card">${icon("file")}<div>${caption(payload)}</div>
    <button class="icon-button" aria-label=${t("download_named", { name: payload.name || t("file") })} title=${t("download")} @click=${() => app.download(payload)}>${icon("download")}</button></div>`;
}

/** Return the inside of the dialog that shows one picture. */
export function pictureDialog(app, { payload }) {
  const link = app.linkOf({ kind: "image", payload });
  const isWhole = payload.size <= WHOLE;
  return [payload.name || t("image"), html`
    ${link?.url && !link.broken ? html`<img class="whole" src=${isWhole ? link.url : thumbnail(link.url, SMALLER)} alt=${named(payload)} @error=${() => app.renewLink(payload)}>`
      : html`<p role="status">${t(link?.broken ? "no_picture" : "loading")}</p>`}
    <div class="row"><button class="button" @click=${() => app.download(payload)}>${t("download")}</button></div>`];
}

export function uploadView(app, upload) {
  const { file, done, state, reason } = upload;
  const name = file.name || t("file");
  const button = (text, act, drawn) => html`<button class="icon-button" aria-label=${t(text, { name })} title=${t(text, { name })} @click=${() => act.call(app, upload)}>${icon(drawn)}</button>`;
  return html`<div class="file-card upload">${icon("file")}
    <div><strong>${name}</strong>
      <progress max=${Math.max(1, file.size)} value=${file.size ? done : 1} aria-label=${t("upload_of", { name })}></progress>
      <span>${state === "failed" ? html`<span role="alert">${t("upload_failed")} ${reason}</span>`
        : state === "paused" ? t("paused") : app.state.troubled ? t("waiting") : html`${digits(Math.floor(100 * (file.size ? done / file.size : 1)))} %`} · ${size(file.size)}</span></div>
    ${["uploading", "queued"].includes(state) ? button("pause_upload", app.pauseUpload, "pause") : button(state === "failed" ? "retry_upload" : "resume_upload", app.resumeUpload, "play")}
    ${button("cancel_upload", app.cancelUpload, "close")}</div>`;
}
