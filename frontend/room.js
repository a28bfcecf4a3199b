import { Refused } from "./requests.js";

/**
 * The messages of a conversation, kept up to date. Events: `messages` when some are new or have
 * changed, `gone` when the person does not take part any more.
 */
export class Room extends EventTarget {
  #client;
  #path;
  #all = new Map(); // also changed messages that are older than the loaded ones
  #oldest = ""; // `sent_at` of the oldest message that is loaded with all after it
  #older = null; // URL of the page before it
  #cursor = null; // the last `updated_at`
  #loading = null;
  #end = new AbortController();

  constructor(client, id) {
    super();
    this.id = id;
    this.#client = client;
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
        if (error.status === 404) this.dispatchEvent(new Event("gone"));
      });
  }

  /** The loaded messages, oldest first. */
  get messages() {
    const messages = [...this.#all.values()].filter(({ sent_at }) => sent_at >= this.#oldest);
    return messages.sort((one, other) => (one.sent_at < other.sent_at ? -1 : 1));
  }

  get isLoaded() {
    return this.#cursor !== null;
  }

  get hasOlder() {
    return this.#older !== null;
  }

  loadOlder() {
    const { signal } = this.#end;
    this.#loading ??= this.#client
      .request(this.#older, { signal })
      .then((page) => this.#addOlder(page))
      .finally(() => (this.#loading = null));
    return this.#loading;
  }

  async edit(message, message_body) {
    const options = { method: "PATCH", body: { message_body }, patience: 5 };
    this.#apply([await this.#client.request(`/messages/${message.message_id}/`, options)]);
  }

  async delete(message) {
    await this.#client.request(`/messages/${message.message_id}/`, {
      method: "DELETE",
      patience: 5,
    });
    this.#client.wake();
  }

  stop() {
    this.#end.abort();
  }

  /** The first page of messages, or a conversation with those that changed after the cursor. */
  async #take({ results, next, messages = results, ...row }) {
    const isMine = ({ sender }) => sender.user_id === this.#client.user?.user_id;
    const isNew = ({ message_id }) => !this.#all.has(message_id);
    if (messages.some((message) => isMine(message) && isNew(message))) await this.#settle();
    const isFirst = !this.#cursor;
    this.#cursor ??= "1970-01-01T00:00:00Z";
    for (const { updated_at } of messages) if (updated_at > this.#cursor) this.#cursor = updated_at;
    if (isFirst) return this.#addOlder({ results, next });
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

  #addOlder({ results, next }) {
    this.#older = next;
    this.#oldest = next ? results.at(-1).sent_at : "";
    this.#apply(results);
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
