/**
 * Where refresh tokens are kept, one for each account of this browser.
 *
 * In IndexedDB, under a key of the browser's that cannot be exported: a copy of the page's storage is
 * of no use elsewhere. Where the browser has no such keys (http:// to another machine) a token
 * is kept in the tab's own session storage, and goes with the tab. Access tokens are never kept.
 */
const DATABASE = "chat4all.accounts";
const ACCOUNTS = "accounts";
export const LAST = "chat4all.account";
const TAB = "chat4all.tab";
const TOKEN = "chat4all.token.";
const NONE = { access_token: "", renew_at: 0 };

const isSecure = () => globalThis.isSecureContext && Boolean(crypto.subtle) && Boolean(globalThis.indexedDB);

let opened;

function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(ACCOUNTS, { keyPath: "username" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  // One that failed, or that the browser has closed, is opened anew.
  const forget = () => (opened = undefined);
  opened.then((it) => (it.onclose = forget), forget);
  return opened;
}

async function within(mode, use) {
  const transaction = (await database()).transaction(ACCOUNTS, mode);
  const request = use(transaction.objectStore(ACCOUNTS));
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(request.result);
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
}

/** Return the account of this tab: the one it had, else the one that was last used. */
export function account() {
  return sessionStorage.getItem(TAB) ?? localStorage.getItem(LAST);
}

/** Let this tab have this account from now on, "" for none; others that are opened too, unless `tab`. */
export function choose(username, { tab = false } = {}) {
  sessionStorage.setItem(TAB, username);
  if (!tab) localStorage.setItem(LAST, username);
}

async function keep(username, token) {
  if (!isSecure()) {
    sessionStorage.setItem(TOKEN + username, token);
    return;
  }
  const found = await within("readonly", (store) => store.get(username));
  const key = found?.key ?? (await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]));
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, new TextEncoder().encode(token));
  await within("readwrite", (store) => store.put({ username, key, iv, sealed }));
}

async function kept(username) {
  if (!isSecure()) return sessionStorage.getItem(TOKEN + username);
  const found = await within("readonly", (store) => store.get(username));
  if (!found) return null;
  const { key, iv, sealed } = found;
  try {
    return new TextDecoder().decode(await crypto.subtle.decrypt({ name: "AES-GCM", iv }, key, sealed));
  } catch {
    return null; // made under another key: of no use
  }
}

export async function forget(username) {
  if (sessionStorage.getItem(TAB) === username) sessionStorage.removeItem(TAB);
  sessionStorage.removeItem(TOKEN + username);
  if (localStorage.getItem(LAST) === username) localStorage.removeItem(LAST);
  if (isSecure()) await within("readwrite", (store) => store.delete(username));
}

/** Return the tokens of one client: of this tab's account, or of the one that signs in with it. */
export function tokens() {
  // Another account may be the last one meanwhile, and is none of its business.
  let username = null;
  /** Of this tab: the access token that it was given last, and until when that is good. */
  let own = NONE;
  return {
    async load() {
      username ??= account();
      const refresh_token = username ? await kept(username) : null;
      return refresh_token && { username, refresh_token, ...own };
    },
    async save(got) {
      if (got === null) {
        own = NONE;
        if (username) await forget(username);
        return;
      }
      username = got.username;
      await keep(username, got.refresh_token);
      const { access_token, renew_at, ends_at } = got;
      own = { access_token, renew_at, ends_at };
      choose(username);
    },
  };
}
