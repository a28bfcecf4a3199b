import { parseJson, requestLock, storage } from "./platform.js";
import { backoff, fetchJson, Later, Refused } from "./requests.js";

const STORAGE_LAG_SECONDS = 1;

/** The session that all tabs share, and requests with its tokens. */
export class Session extends EventTarget {
  #api;
  #name;
  #sleepers = new Set();
  #outage = null;

  constructor({ api = "/api", name = "chat" } = {}) {
    super();
    this.#api = api;
    this.#name = name;
    addEventListener("online", () => this.wake());
    addEventListener("pageshow", () => this.wake());
    document.addEventListener("visibilitychange", () => document.hidden || this.wake());
    addEventListener("storage", ({ key, oldValue, newValue }) => {
      if (key !== null && key !== this.storageKey("session")) return;
      const [before, after] = [oldValue, newValue].map((text) => parseJson(text)?.user);
      // Nothing has changed for the person when the tokens were renewed.
      if (key === null || JSON.stringify(before) !== JSON.stringify(after)) this.#changed();
    });
  }

  /** {user, access, refresh}; after the API has ended the session {reason}; otherwise {}. */
  get #stored() {
    return storage.get(this.storageKey("session")) ?? {};
  }

  set #stored(value) {
    storage.set(this.storageKey("session"), value);
  }

  /** The profile of whoever is signed in, or null. */
  get user() {
    return this.#stored.user ?? null;
  }

  /** Why the API ended the session, or null. */
  get reason() {
    return this.#stored.reason ?? null;
  }

  async signIn(email, password) {
    const tokens = await this.post("/token/", { email, password });
    const profile = await this.#fetch("/users/me/", tokens);
    this.#save({ user: profile.data, ...tokens });
  }

  /** `profile` is {email, password, first_name, last_name, phone_number?}. Signs nobody in. */
  async register(profile) {
    await this.post("/users/", profile);
  }

  /** Sends a POST that needs no session, once. */
  async post(path, body) {
    return (await this.#fetch(path, { method: "POST", body })).data;
  }

  /** Another device may have changed the profile. */
  async loadProfile(signal) {
    this.#keep(await this.request("/users/me/", { patience: 5, signal }));
  }

  async updateProfile(fields, signal) {
    const options = { method: "PATCH", body: fields, patience: 5, signal };
    this.#keep(await this.request("/users/me/", options));
  }

  #keep(user) {
    if (this.user?.user_id === user.user_id) this.#save({ ...this.#stored, user });
  }

  /** Ends every other session of the person. */
  async setPassword(current_password, new_password, signal) {
    const options = { method: "POST", body: { current_password, new_password }, signal };
    await this.#last("/users/set_password/", options, async () => {
      await this.signIn(this.user.email, new_password);
    });
  }

  async deleteAccount(current_password, signal) {
    const options = { method: "DELETE", body: { current_password }, signal };
    await this.#last("/users/me/", options, () => this.#forget());
  }

  /** Forgets what is stored of the person, unsent messages too, and tells the API. */
  async signOut() {
    const { refresh } = this.#stored;
    this.#forget();
    await this.post("/token/blacklist/", { refresh });
  }

  /** Sends a request that ends the session. No tab refreshes it meanwhile. */
  async #last(path, options, callback) {
    const owner = this.user?.user_id;
    await this.loadProfile(options.signal); // so that the access token is valid
    await this.lock("session", async () => {
      await this.#fetch(path, { ...options, owner, access: this.#stored.access });
      await callback();
    });
  }

  #forget() {
    const prefix = this.storageKey(this.user?.user_id, "");
    storage
      .keys()
      .filter((key) => key.startsWith(prefix))
      .forEach((key) => storage.delete(key));
    this.#save({});
  }

  #save(value) {
    this.#stored = value;
    this.#changed();
  }

  #changed() {
    this.emit("session");
    this.wake();
  }

  /**
   * Sends a request as the signed-in person and returns the JSON of the response.
   *
   * Repeats it until there is a response, waiting `patience` seconds in all. A POST that is not
   * safe to repeat needs a `key` (its Idempotency-Key) or a `patience` of 0. Raises Refused, and
   * Later when the patience is over.
   */
  async request(path, { patience = Infinity, ...options } = {}) {
    const owner = this.user?.user_id;
    for (let tries = 0, waited = 0; ; tries++) {
      try {
        return (await this.call(path, { owner, ...options })).data;
      } catch (error) {
        const seconds = error.seconds ?? backoff(tries);
        waited += seconds;
        if (!(error instanceof Later) || waited > patience) throw error;
        await this.sleep(seconds, options.signal);
      }
    }
  }

  /** Sends a request of `owner`; after a 401, again with a new access token. */
  async call(path, options, renewals = 0) {
    this.#check(options.owner);
    const { access } = this.#stored;
    try {
      return await this.#fetch(path, { ...options, access });
    } catch (error) {
      if (error.status !== 401 || !(await this.#renew(access, error, renewals))) throw error;
      return this.call(path, options, renewals + 1);
    }
  }

  #check(owner) {
    const id = this.user?.user_id;
    if (id && id === owner) return;
    this.emit("session"); // no event of the browser says that storage was cleared in this tab
    throw new Refused(401, { detail: "You are signed out." });
  }

  /**
   * Gets another access token than the refused one. Returns false, and ends the session, if there is
   * none.
   */
  #renew(refused, error, renewals) {
    return this.lock("session", async () => {
      const { refresh, access } = this.#stored;
      if (access !== refused) return Boolean(access);
      let reason = error;
      if (error.code === "token_not_valid" && renewals < 2) {
        try {
          const tokens = await this.post("/token/refresh/", { refresh });
          // Otherwise another tab has stored a newer one meanwhile, or the person has signed out.
          if (this.#stored.refresh === refresh) this.#stored = { ...this.#stored, ...tokens };
          return Boolean(this.#stored.access);
        } catch (refusal) {
          if (!(refusal instanceof Refused)) throw refusal;
          reason = refusal;
        }
      }
      // Another tab may have stored new tokens under this lock that cannot be read here yet.
      if (this.#stored.access === refused) await this.sleep(STORAGE_LAG_SECONDS);
      if (this.#stored.access !== refused) return Boolean(this.#stored.access);
      this.#save({ reason: reason.message });
      return false;
    });
  }

  /** Raises Refused if the `owner` of the request is not signed in any more when the response comes. */
  async #fetch(path, options = {}) {
    let outage = null;
    try {
      const response = await fetchJson(this.#api, path, options);
      if ("owner" in options) this.#check(options.owner);
      return response;
    } catch (error) {
      if (error.isOutage) outage = error;
      if (options.signal?.aborted && options.method) this.emit("cancelled");
      throw error;
    } finally {
      // A proxy may refuse streams only.
      const isTold = !options.signal?.aborted && !options.isStream;
      if (isTold && outage?.message !== this.#outage?.message) {
        this.#outage = outage;
        this.emit("connection", { error: outage });
      }
    }
  }

  /** Ends all waiting. */
  wake() {
    this.#sleepers.forEach((end) => end());
  }

  sleep(seconds, signal) {
    return new Promise((resolve) => {
      const timer = seconds < Infinity ? setTimeout(() => end(), 1000 * seconds) : null;
      const end = () => {
        clearTimeout(timer);
        this.#sleepers.delete(end);
        signal?.removeEventListener("abort", end);
        resolve();
      };
      this.#sleepers.add(end);
      signal?.addEventListener("abort", end);
      if (signal?.aborted) end();
    });
  }

  storageKey(...words) {
    return [this.#name, ...words].join(".");
  }

  lock(name, callback, options = {}) {
    return requestLock(this.storageKey(name), callback, options);
  }

  emit(type, detail = {}) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
