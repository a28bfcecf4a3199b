import { anySignal } from "./platform.js";
import { Refused } from "./requests.js";

const BEGINNING = "";
const PRESENT = "9999";

/** Messages without a gap: the `sent_at` of the first and the last, and URLs of the next pages. */
class Run {
  older = null;
  newer = null;
  loading = {};

  constructor(oldest = BEGINNING, newest = PRESENT) {
    Object.assign(this, { oldest, newest });
  }

  has(sent_at) {
    return sent_at >= this.oldest && sent_at <= this.newest;
  }

  extend(side, { results, next }) {
    this[side] = next;
    const last = results.at(-1)?.sent_at;
    if (side === "older") this.oldest = next ? last : BEGINNING;
    else this.newest = next ? last : PRESENT;
  }
}

/**
 * The messages of a conversation, kept up to date. Events: `messages` when some are new or have
 * changed, `gone` when the person does not take part any more.
 */
export class Room extends EventTarget {
  #client;
  #path;
  #all = new Map(); // also changed messages that are not among the loaded ones
  #latest = new Run(); // up to the present
  #shown = this.#latest;
  #cursor = null; // the last `updated_at`
  #me;
  #end = new AbortController();
  #jump = new AbortController();
  isGone = false; // the person does not take part any more

  constructor(client, id) {
    super();
    this.id = id;
    this.#client = client;
    this.#me = client.user?.user_id;
    this.#path = `/conversations/${id}/`;
    const { signal } = this.#end;
    client.addEventListener("sent", ({ detail }) => this.#apply([detail.message]), { signal });
    const getPath = () => {
      if (!this.#cursor) return `${this.#path}messages/?page_size=50`;
      return `${this.#path}?updated_at_after=${this.#cursor}`;
    };
    client
      .poll(getPath, (data) => this.#take(data), signal, id)
      .catch((error) => {
        if (!(error instanceof Refused)) throw error;
        if (error.status !== 404) return;
        this.isGone = true;
        this.dispatchEvent(new Event("gone"));
      });
  }

  /** The loaded messages, oldest first. Newer ones may not be among them: see `hasNewer`. */
  get messages() {
    const messages = [...this.#all.values()].filter(({ sent_at }) => this.#shown.has(sent_at));
    return messages.sort((one, other) => (one.sent_at < other.sent_at ? -1 : 1));
  }

  has(message_id) {
    return this.#shown.has(this.#all.get(message_id)?.sent_at);
  }

  get isLoaded() {
    return this.#cursor !== null;
  }

  get hasOlder() {
    return this.#shown.older !== null;
  }

  /** After `loadAround()`: between the loaded messages and the newest ones are others. */
  get hasNewer() {
    return this.#shown !== this.#latest;
  }

  loadOlder() {
    return this.#load(this.#shown, "older");
  }

  loadNewer() {
    return this.#load(this.#shown, "newer");
  }

  /**
   * Loads this message, and a page before and after it, however old it is. `messages` are these, until
   * `loadNewer()` reaches the newest, or `showNewest()`. Raises what `request()` raises.
   */
  async loadAround(message_id) {
    this.#jump.abort();
    this.#jump = new AbortController();
    const options = { signal: anySignal(this.#jump.signal, this.#end.signal), patience: 10 };
    const get = (path) => this.#client.request(`${this.#path}messages/${path}`, options);
    while (!this.isLoaded)
      await new Promise((resolve) => this.addEventListener("messages", resolve, { once: true }));
    options.signal.throwIfAborted();
    if (!this.has(message_id)) {
      const message = await get(`${message_id}/`);
      const { sent_at } = message;
      const [older, newer] = await Promise.all([
        get(`?page_size=25&sent_at_before=${sent_at}`),
        get(`?page_size=25&sent_at_after=${sent_at}&ordering=sent_at`),
      ]);
      this.#shown = new Run(sent_at, sent_at);
      this.#shown.extend("older", older);
      this.#shown.extend("newer", newer);
      this.#join();
      this.#apply([message, ...older.results, ...newer.results]);
    }
  }

  showNewest() {
    if (!this.hasNewer) return;
    this.#shown = this.#latest;
    this.dispatchEvent(new Event("messages"));
  }

  /** Returns the message as it is now. */
  async edit({ message_id }, message_body, signal) {
    const options = { method: "PATCH", body: { message_body }, patience: 5, signal };
    const message = await this.#client.request(`/messages/${message_id}/`, options);
    this.#apply([message]);
    return message;
  }

  async delete(message, signal) {
    const options = { method: "DELETE", patience: 5, signal };
    await this.#client.request(`/messages/${message.message_id}/`, options);
    this.#client.wake();
  }

  stop() {
    this.#end.abort();
  }

  /** The first page of messages, or a conversation with those that changed after the cursor. */
  async #take({ results, next, messages = results, ...row }) {
    const isMine = ({ sender }) => sender.user_id === this.#me;
    const isNew = ({ message_id }) => !this.#all.has(message_id);
    if (messages.some((message) => isMine(message) && isNew(message))) await this.#settle();
    if (this.#client.user?.user_id !== this.#me) return;
    const isFirst = !this.#cursor;
    this.#cursor ??= "1970-01-01T00:00:00Z";
    for (const { updated_at } of messages) if (updated_at > this.#cursor) this.#cursor = updated_at;
    if (isFirst) {
      this.#latest.extend("older", { results, next });
      return this.#apply(results);
    }
    this.#apply(messages);
    this.#client.emit("conversation", row);
    return messages.length > 0 && this.#cursor < row.updated_at;
  }

  /**
   * A new message may be one that is still in the outbox. Wait for its delivery, so that it is not
   * shown twice.
   */
  async #settle() {
    const isWaiting = ({ conversation, error }) => conversation === this.id && !error;
    // A second time if the first one was under way, and its response was lost.
    for (let tries = 0; tries < 2 && this.#client.outbox().some(isWaiting); tries++)
      await this.#client.deliver(this.id);
  }

  #load(run, side) {
    const { signal } = this.#end;
    run.loading[side] ??= this.#client
      .request(run[side], { signal })
      .then((page) => {
        run.extend(side, page);
        this.#join();
        this.#apply(page.results);
      })
      .finally(() => (run.loading[side] = null));
    return run.loading[side];
  }

  /** When nothing is missing between the shown messages and the latest ones. */
  #join() {
    const { oldest, older, newest, newer } = this.#shown;
    if (newer && newest < this.#latest.oldest) return;
    if (oldest < this.#latest.oldest) Object.assign(this.#latest, { oldest, older });
    this.#shown = this.#latest;
  }

  #apply(messages) {
    for (const message of messages) {
      const known = this.#all.get(message.message_id);
      if (message.conversation === this.id && !(known?.updated_at > message.updated_at))
        this.#all.set(message.message_id, message);
    }
    this.dispatchEvent(new Event("messages"));
  }
}
