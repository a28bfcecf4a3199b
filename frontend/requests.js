import { anySignal } from "./platform.js";

const TIMEOUT_MS = 30_000; // also for requests that were open when the computer went to sleep

/**
 * There was no response, or one with a temporary `status`: try again, after `seconds` if the API named
 * them.
 */
export class Later extends Error {
  constructor(message, { seconds, status, isOutage }) {
    super(message);
    Object.assign(this, { seconds, status, isOutage });
  }
}

/** What a status code or `code` means to the person. */
const WORDS = {
  404: "You do not have access to this any more.",
  no_active_account: "The e-mail address or the password is wrong.",
  email_not_verified: "Your e-mail address is not confirmed yet.",
  password_changed: "The password of your account was changed.",
  user_inactive: "Your account is not active any more.",
  user_not_found: "Your account does not exist any more.",
  token_not_valid: "Your session has ended.",
};

/** The API refused the request: `status`, `code` (on a 401), and `fields` ({name: [text, …]}). */
export class Refused extends Error {
  constructor(status, { code, detail, ...fields }) {
    const texts = Object.values(fields).map((texts) => texts.join(" "));
    super([WORDS[code ?? status] ?? detail, ...texts].filter(Boolean).join("\n"));
    Object.assign(this, { status, code, fields });
  }
}

/** Seconds to wait after a failed try; not the same for everybody. */
export const backoff = (tries) => Math.min(2 ** tries, 30) * (0.5 + Math.random() / 2);

const duration = (seconds) => {
  const [number, unit] = seconds < 90 ? [seconds, "second"] : [Math.ceil(seconds / 60), "minute"];
  return `${number} ${unit}${number === 1 ? "" : "s"}`;
};

/** Also raised when a proxy or a captive portal responds instead of the API, whatever it says. */
const noConnection = () => new Later("There is no connection to the server.", { isOutage: true });

/** Whether this looks like an error body of the API: {detail, code?} or {name: [text, …]}. */
const isError = (data) =>
  data?.constructor === Object &&
  Object.entries(data).every(([name, value]) =>
    ["detail", "code"].includes(name) ? typeof value === "string" : Array.isArray(value),
  );

/**
 * One request: {status, data, etag}. `data` is null for a 204 and a 304, and with `isStream` a
 * ReadableStream, for which only `signal` sets a limit of time.
 */
export async function fetchJson(api, path, options = {}) {
  const { method, body, key, etag, access, signal, isStream } = options;
  const headers = {
    ...(body && { "Content-Type": "application/json" }),
    ...(access && { Authorization: `Bearer ${access}` }),
    ...(key && { "Idempotency-Key": key }),
    ...(etag && { "If-None-Match": etag }),
  };
  const timeout = isStream ? null : AbortSignal.timeout(TIMEOUT_MS);
  let response, data;
  try {
    response = await fetch(api + path, {
      method,
      headers,
      body: body && JSON.stringify(body),
      cache: "no-store",
      signal: anySignal(timeout, signal),
    });
    if (response.ok && !response.headers.has("X-Request-ID")) throw noConnection();
    if (isStream && response.ok) data = response.body;
    else if (response.status === 413)
      data = { detail: "The server takes nothing as large as this." };
    else data = [204, 304].includes(response.status) ? null : await response.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw noConnection();
  }
  const { ok, status } = response;
  // Behind a proxy that does not pass `Host`, the host and the path in a link are wrong.
  if (data?.next) data.next = path.split("?")[0] + new URL(data.next).search;
  if (ok || status === 304) return { status, data, etag: response.headers.get("ETag") };
  if (!isError(data)) throw noConnection();
  if (status !== 429 && status < 500) throw new Refused(status, data);
  const seconds = Number(response.headers.get("Retry-After")) || undefined;
  const isTooOften = status === 429 && seconds;
  const text = isTooOften ? `That was too often. Try again in ${duration(seconds)}.` : data.detail;
  throw new Later(text, { seconds, status, isOutage: status >= 500 });
}
