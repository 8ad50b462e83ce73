/** Files: sending them, and the addresses that they are shown by. */
import { t } from "./i18n.js";

const SHOWN = ["image", "audio", "video"];
/** Uploads at a time. */
const AT_ONCE = 2;
/** Between two addresses of the same file. */
const AGAIN_MS = 30_000;
/** How often a picture that does not come is asked for again, and after how long, which grows. */
const TRIES = 3;
const LATER_MS = 2_000;

/** Let a player go on where it is once it has another address. */
function resume(player) {
  const { currentTime, paused } = player;
  const goOn = () => {
    player.currentTime = currentTime;
    if (!paused) player.play().catch(() => {}); // a browser may refuse; the person can press play
  };
  player.addEventListener("loadedmetadata", goOn, { once: true });
}

export default {
  /** Send each file in a message of its own. */
  attach(conversation, files) {
    for (const file of files) {
      const upload = {
        key: `upload ${crypto.getRandomValues(new Uint32Array(2)).join("")}`, conversation_id: conversation.id, file,
        done: 0, message_id: null, created_at: new Date().toISOString(), state: "queued", reason: "", stop: null,
      };
      this.uploads.push(upload);
    }
    this.nextUpload();
    if (files.length) this.toNewest();
  },

  /** Begin what waits, unless enough is on its way. */
  nextUpload() {
    const running = this.uploads.filter(({ state }) => state === "uploading").length;
    const queued = this.uploads.filter(({ state }) => state === "queued");
    for (const upload of queued.slice(0, Math.max(0, AT_ONCE - running))) this.resumeUpload(upload);
  },

  /** Begin an upload, or go on with it where the server is. */
  async resumeUpload(upload) {
    const { client } = this;
    const stop = new AbortController();
    Object.assign(upload, { state: "uploading", reason: "", stop });
    this.redraw();
    try {
      await client.sendFile(upload.conversation_id, upload.file, {
        name: upload.file.name,
        signal: stop.signal,
        onProgress: (done, _, message_id) => {
          Object.assign(upload, { done, message_id });
          this.redraw();
        },
      });
    } catch (error) {
      if (stop.signal.aborted || client !== this.client) return;
      // A message that was refused says so itself.
      if (!client.outbox.some(({ message_id }) => message_id === upload.message_id)) {
        Object.assign(upload, { state: "failed", reason: this.reason(error) });
        this.nextUpload();
        this.redraw();
        return;
      }
    }
    this.dropUpload(upload);
  },

  pauseUpload(upload) {
    upload.state = "paused";
    upload.stop?.abort();
    this.nextUpload();
    this.redraw();
  },

  async cancelUpload(upload) {
    upload.stop?.abort();
    this.dropUpload(upload);
    this.focusComposer();
    const { file, conversation_id } = upload;
    // What is not deleted now expires.
    await this.client.discardUpload(file, { conversation_id }).catch(() => {});
  },

  dropUpload(upload) {
    this.uploads = this.uploads.filter((one) => one !== upload);
    this.nextUpload();
    this.redraw();
  },

  /** End all uploads: another run of the page goes on with them, given the same files. */
  stopUploads() {
    for (const { stop } of this.uploads) stop?.abort();
    this.uploads = [];
    this.links = new Map();
    this.unlinked = [];
  },

  /** Return the files on their way, as messages. */
  uploadsIn({ id }) {
    return this.uploads.filter(({ conversation_id }) => conversation_id === id).map((upload) => ({
      message_id: upload.message_id ?? upload.key, conversation_id: id, created_at: upload.created_at, upload,
      kind: "file", content: "", state: upload.state === "failed" ? "" : "sending",
    }));
  },

  /** Return a file's address if there is one; else it is asked for, and all is drawn again. */
  linkOf({ kind, payload, deleted_at }) {
    // Of an unsent message only the browser has said that it is a picture.
    if (!SHOWN.includes(kind) || !payload?.type || deleted_at) return null;
    if (!this.links.has(payload.file_id)) this.makeLink(payload.file_id);
    return this.links.get(payload.file_id);
  },

  /** Make a file's address anew, which may have expired; not again at once where that does not help. */
  renewLink({ file_id }, player) {
    const link = this.links.get(file_id);
    if (link?.url && Math.abs(Date.now() - link.made) > AGAIN_MS) {
      if (player) resume(player);
      this.makeLink(file_id);
    }
    else if (link?.url && !player && (link.tried ?? 0) < TRIES) this.tryLater(file_id, link);
    else if (link?.url) this.setLink(file_id, { ...link, broken: true });
  },

  /** Draw a picture anew after a while: the server may have too many to make smaller just now. */
  tryLater(file_id, link) {
    const { client } = this, tried = (link.tried ?? 0) + 1;
    const waiting = { ...link, url: "" };
    this.setLink(file_id, waiting);
    setTimeout(() => {
      if (client === this.client && this.links.get(file_id) === waiting) this.setLink(file_id, { ...link, tried });
    }, LATER_MS * tried);
  },

  /** Ask again for what could not be had while the server did not answer. */
  forgetBrokenLinks() {
    for (const [file_id, { broken }] of this.links) if (broken) this.links.delete(file_id);
  },

  setLink(file_id, link) {
    this.links.set(file_id, link);
    this.redraw();
  },

  /** Ask for addresses one after another, first for what was drawn last. */
  async makeLink(file_id) {
    this.links.set(file_id, { url: "", made: 0 });
    this.unlinked.push(file_id);
    if (this.unlinked.length > 1) return;
    const { client } = this;
    while (this.unlinked.length && client === this.client) {
      const next = this.unlinked.at(-1);
      let link;
      try {
        link = { url: (await client.fileLink(next)).url, made: Date.now() };
      } catch {
        link = { url: "", made: Date.now(), broken: true };
      }
      if (client !== this.client) return;
      this.unlinked = this.unlinked.filter((one) => one !== next);
      this.setLink(next, link);
    }
  },

  /** Save a file where the browser saves files. */
  async download({ file_id, name }) {
    await this.attempt(async () => {
      const { url } = await this.client.fileLink(file_id);
      const link = Object.assign(document.createElement("a"), { href: url, download: name ?? "" });
      link.click();
    });
  },

  /** Return what a message says, in a line. */
  summaryOf({ content, kind }) {
    if (content || kind === "text") return content;
    return t({ location: "location", contact: "contact", image: "image", audio: "audio", video: "video", file: "file" }[kind] ?? "custom");
  },
};
