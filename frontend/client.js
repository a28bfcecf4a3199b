/**
 * A client of the messaging API for browsers. docs/frontend.md says how to use it.
 *
 *     const client = new Client({ api: "https://chat.example.com/api" });
 *     client.addEventListener("inbox", ({ detail }) => show(detail.results));
 *     await client.signIn("ann@example.com", "tide over the moor");
 *     client.followInbox();
 *
 * Events of a Client, with their `detail`:
 *   session                      `user` has changed, in any tab: somebody signed in or out, or the
 *                                API ended the session, and `reason` says why
 *   inbox       {results, next}  the first page of the inbox has changed
 *   outdated                     conversations behind the first page may have been left, or read elsewhere
 *   conversation  the row of the inbox whose conversation a room follows
 *   outbox                       messages wait, have been sent or were refused, in any tab
 *   sent        {message}        this tab has sent a message of the outbox
 *   connection  {error}          requests fail, or (`null`) succeed again
 *   cancelled                    the `signal` of a request that changes something was aborted. The API
 *                                may have received it before
 *
 * Timestamps stay the strings that the API sent: `Date` drops their microseconds.
 */

import { anySignal, randomUUID, storage } from "./platform.js";
import { backoff, Later, Refused } from "./requests.js";
import { Room } from "./room.js";
import { Session } from "./session.js";
import { Stream } from "./stream.js";

export { Later, Refused, Room };

export const INBOX = "/conversations/?page_size=50"; // the first page
const POLL_SECONDS = 3; // without the stream of events
const REST_SECONDS = 0.2; // of a poll, also when there is news all the time

export class Client extends Session {
  #deliveries = new Map(); // by conversation
  #failures = new Map(); // by conversation
  #inbox = new AbortController();
  #marked = new Map(); // the last `read_at` that this tab has sent, by conversation
  #polls = new Set(); // {conversation, news}
  #stream = new Stream(this, (event, data) => this.#ask(event, data));

  /** `api` is the API's address. Clients with the same `name` share a session and an outbox. */
  constructor(options) {
    super(options);
    addEventListener("storage", ({ key, newValue }) => {
      if (!key?.startsWith(this.storageKey(this.user?.user_id, "outbox", ""))) return;
      this.emit("outbox");
      if (newValue === null) this.wake();
    });
    this.#deliverAll();
  }

  /**
   * The messages that were not sent yet: [{id, conversation, message_body, error?, reason?}, …].
   * `reason` is why one is tried again. Each is an item of localStorage, so that tabs do not overwrite
   * each other.
   */
  outbox(user = this.user) {
    const prefix = this.storageKey(user?.user_id, "outbox", "");
    const ids = storage.keys().filter((id) => id.startsWith(prefix));
    const entries = ids.sort().map((id) => ({ id, ...storage.get(id) }));
    const getReason = ({ conversation }) => this.#failures.get(conversation)?.reason;
    return entries
      .filter(({ message_body }) => message_body)
      .map((entry) => ({ ...entry, reason: getReason(entry) }));
  }

  /** Raises an error if localStorage is full. */
  send(conversation, message_body) {
    const { user } = this;
    const places = this.outbox(user).map((entry) => 1 + entry.place);
    const place = Math.max(Date.now(), ...places);
    const key = randomUUID();
    const entry = { conversation, message_body, key, place };
    const id = this.storageKey(user.user_id, "outbox", String(place).padStart(15, "0"), key);
    if (!storage.set(id, entry)) {
      storage.delete(id);
      throw new Error("Storage is full.");
    }
    this.emit("outbox");
    this.deliver(conversation);
  }

  /** Sends a refused message again. The API knows by its key if it was sent after all. */
  retry({ id, error, reason: _, ...entry }) {
    if (error) storage.set(id, entry);
    this.emit("outbox");
    this.deliver(entry.conversation);
  }

  discard({ id }) {
    storage.delete(id);
    this.emit("outbox");
  }

  /** Sends the waiting messages of a conversation now. Ends when none is left or one has to wait. */
  deliver(conversation) {
    if (!this.#deliveries.has(conversation)) {
      const delivery = this.lock(`outbox.${conversation}`, () => this.#deliver(conversation));
      this.#deliveries.set(conversation, delivery);
    }
    return this.#deliveries.get(conversation);
  }

  async #deliver(conversation) {
    const path = `/conversations/${conversation}/messages/`;
    const isNext = (entry) => entry.conversation === conversation && !entry.error;
    for (let entry; (entry = this.outbox().find(isNext));) {
      const { id, message_body, key, place } = entry;
      const owner = this.user.user_id;
      try {
        const { data } = await this.call(path, {
          owner,
          method: "POST",
          body: { message_body },
          key,
        });
        this.#failures.delete(conversation);
        storage.delete(id);
        this.emit("sent", { message: data });
      } catch (error) {
        if (this.user?.user_id !== owner) continue; // messages of somebody else may wait
        if (error instanceof Refused) {
          const refused = { conversation, message_body, key, place, error: error.message };
          if (storage.get(id)) storage.set(id, refused);
        } else {
          if (error instanceof Later) this.#deliverLater(conversation, error);
          break;
        }
      }
      this.emit("outbox");
    }
    this.#deliveries.delete(conversation);
  }

  async #deliverLater(conversation, { seconds, status, message }) {
    const { failures = 0, isWaiting } = this.#failures.get(conversation) ?? {};
    if (isWaiting) return;
    // Of a lost connection, the event `connection` tells.
    const reason = status === 429 ? "That was too often." : status && message;
    const failure = { failures: failures + 1, isWaiting: true, reason };
    this.#failures.set(conversation, failure);
    this.emit("outbox");
    await this.sleep(seconds ?? backoff(failures));
    failure.isWaiting = false;
    this.deliver(conversation);
  }

  #deliverAll() {
    new Set(this.outbox().map((entry) => entry.conversation)).forEach((id) => this.deliver(id));
  }

  /** Polls the inbox; see the event `inbox`. */
  followInbox() {
    this.#inbox.abort();
    this.#inbox = new AbortController();
    const take = (page) => this.emit("inbox", page);
    this.poll(() => INBOX, take, this.#inbox.signal).catch(() => {});
  }

  /** Returns {read_at, unread_count}. */
  async markAsRead(conversation, read_at) {
    this.#marked.set(conversation, read_at);
    const options = { method: "POST", body: { read_at }, patience: 60 };
    try {
      return await this.request(`/conversations/${conversation}/read/`, options);
    } catch (error) {
      this.#marked.delete(conversation);
      throw error;
    }
  }

  /** A Room, which has the messages of a conversation until `room.stop()`. */
  follow(conversation) {
    return new Room(this, conversation);
  }

  /**
   * Requests `getPath()` when the stream has news, or every POLL_SECONDS without the stream, and calls
   * `take(data)` with what has changed. It returns whether to request the rest at once. Ends when
   * aborted. Raises Refused.
   */
  async poll(getPath, take, signal, conversation) {
    const poll = { getPath, take, signal, conversation };
    this.#polls.add(poll);
    this.#stream.start();
    await this.#run(poll).finally(() => this.#polls.delete(poll));
  }

  async #run(poll) {
    const { getPath, take, signal } = poll;
    const owner = this.user?.user_id;
    let path, etag;
    for (let failures = 0; !signal.aborted;) {
      poll.news = new AbortController(); // now, so that news during the request is not lost
      let end = anySignal(signal, poll.news.signal);
      if (document.hidden && !this.#stream.isUp) {
        await this.sleep(Infinity, end);
        continue;
      }
      const begin = performance.now();
      let seconds = this.#stream.isUp ? Infinity : POLL_SECONDS;
      try {
        if (path !== getPath()) [path, etag] = [getPath(), undefined];
        const page = await this.call(path, { owner, etag, signal });
        [etag, failures] = [page.etag, 0];
        if (page.status !== 304 && (await take(page.data))) continue;
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof Later)) throw error;
        seconds = error.seconds ?? backoff(failures++);
        if (error.seconds) end = signal;
      }
      await this.sleep(seconds, end);
      const rest = REST_SECONDS - (performance.now() - begin) / 1000;
      if (rest > 0) await this.sleep(rest, signal);
    }
  }

  /** Ends the waiting of the polls that an event of the stream names. */
  #ask(event, { conversation_id: id, read_at } = {}) {
    const polls = [...this.#polls];
    const rooms = polls.filter(({ conversation }) => conversation === id);
    const inboxes = polls.filter(({ conversation }) => !conversation);
    // The response to a room holds the row of the inbox, too.
    const named = {
      ready: polls,
      left: [...rooms, ...inboxes],
      conversation: rooms.length ? rooms : inboxes,
      read: this.#marked.get(id) === read_at ? [] : inboxes,
    };
    const asked = named[event] ?? [];
    asked.forEach(({ news }) => news.abort());
    if (event !== "conversation" && asked.length) this.emit("outdated");
  }

  /** Ends all waiting: polls and sends now. */
  wake() {
    super.wake();
    this.#ask("ready");
    this.#stream.check();
    this.#deliverAll();
  }
}
