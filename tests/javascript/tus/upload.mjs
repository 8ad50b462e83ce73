// Uploads a file with tus-js-client, and says how far it is, a line each:
// node upload.mjs FOLDER-OF-PACKAGES ENDPOINT TOKEN FILE KEPT
import fs from "node:fs";
import { createRequire } from "node:module";

const [packages, endpoint, token, path, kept] = process.argv.slice(2);
const tus = createRequire(`${packages}/`)("tus-js-client");
const say = (what) => fs.writeSync(1, `${JSON.stringify(what)}\n`);

const upload = new tus.Upload(fs.createReadStream(path), {
  endpoint,
  headers: { Authorization: `Bearer ${token}` },
  metadata: { filename: "film.bin", filetype: "video/mp4" },
  chunkSize: 3 * 1024 * 1024 + 1,
  retryDelays: Array(200).fill(200),
  urlStorage: new tus.FileUrlStorage(kept),
  onUploadUrlAvailable: () => say({ url: upload.url }),
  onChunkComplete: (_, accepted) => say({ accepted }),
  onProgress: (sent) => say({ sent }),
  onError: (error) => {
    say({ error: String(error) });
    process.exit(1);
  },
  onSuccess: () => {
    say({ done: true });
    process.exit(0);
  },
});

const [before] = await upload.findPreviousUploads();
if (before !== undefined) upload.resumeFromPreviousUpload(before);
upload.start();
