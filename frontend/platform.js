/** What some browsers lack: on plain http, with storage that is blocked, or because they are old. */

const memory = new Map();
const isBlocked = (() => {
  try {
    return !localStorage;
  } catch {
    return true;
  }
})();

/** Null if the text is no JSON. */
export function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// Another tab has stored a newer value.
addEventListener("storage", ({ key }) => (key === null ? memory.clear() : memory.delete(key)));

/**
 * JSON values in localStorage. Those for which it has no room, and all of them if it is blocked, are in
 * memory until the page is closed.
 */
export const storage = {
  keys: () => [...new Set([...memory.keys(), ...(isBlocked ? [] : Object.keys(localStorage))])],
  /** Null if there is none. */
  get: (key) => parseJson(memory.get(key) ?? (isBlocked ? null : localStorage.getItem(key))),
  /** Returns false if localStorage is full. */
  set(key, value) {
    const text = JSON.stringify(value);
    memory.set(key, text);
    if (isBlocked) return true;
    try {
      localStorage.setItem(key, text);
    } catch {
      return false;
    }
    memory.delete(key);
    return true;
  },
  delete(key) {
    memory.delete(key);
    if (!isBlocked) localStorage.removeItem(key);
  },
};

/** `AbortSignal.any()`. */
export function anySignal(...signals) {
  const given = signals.filter(Boolean);
  if (AbortSignal.any) return AbortSignal.any(given);
  const controller = new AbortController();
  const { signal } = controller;
  for (const one of given) {
    const abort = () => controller.abort(one.reason);
    if (one.aborted) abort();
    else one.addEventListener("abort", abort, { signal });
  }
  return signal;
}

/** `crypto.randomUUID()`. */
export function randomUUID() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const digits = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

const queues = new Map();

/**
 * `navigator.locks.request()`. Without it, only the callbacks of this tab wait for each other: the
 * API gives two tabs that refresh a session the same tokens, and stores a message once.
 */
export function requestLock(name, callback, options) {
  if (navigator.locks) return navigator.locks.request(name, options, callback);
  const result = (queues.get(name) ?? Promise.resolve()).then(() => {
    options.signal?.throwIfAborted();
    return callback();
  });
  queues.set(
    name,
    result.catch(() => {}),
  );
  return result;
}
