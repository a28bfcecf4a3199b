import { announce, fullName } from "./dom.js";

const MAX_COUNT = 99; // the API counts no further
const PAUSE_MS = 2_000; // between two requests that mark messages as read: writes are limited
const MAX_READ_OUT = 3; // new messages that are read out at a time

/** What the person has read of the room's messages, and what screen readers have announced. */
export class Reading {
  /**
   * Where the unread begins: {since, first, text}, where `since` is what was read, and `first` the
   * `sent_at` of the first message behind it. It stays while the person sees new messages come in.
   */
  line = null;
  #client;
  #inbox;
  #room;
  // `sent_at` of the newest message of others, or of anybody if what is unread is above the loaded ones.
  #newest = "";
  #marked = ""; // the last `sent_at` that the person has seen
  #isSending = false;
  #announced = null; // `sent_at` of the newest message when the room was last looked at

  constructor(client, inbox, room) {
    this.#client = client;
    this.#inbox = inbox;
    this.#room = room;
  }

  get #row() {
    return this.#inbox.get(this.#room.id);
  }

  get #readAt() {
    return this.#inbox.readAt(this.#row);
  }

  get hasUnread() {
    return Boolean(this.#row) && this.#newest > this.#readAt;
  }

  /**
   * Looks at the room's messages. `isLooking` is whether new ones come in where the person looks, and
   * `isOpening` whether the place where the unread begins is yet to be shown.
   */
  update({ isLooking, isOpening }) {
    const { messages, isLoaded, hasNewer } = this.#room;
    if (!isLoaded || hasNewer) return;
    const { user_id } = this.#client.user;
    const others = messages.filter(
      ({ sender, message_body }) => sender.user_id !== user_id && message_body !== null,
    );
    const isUnreadAbove =
      !others.length && this.#row?.unread_count > 0 && !this.#isWhole(this.#readAt);
    this.#newest = (isUnreadAbove ? messages : others).at(-1)?.sent_at ?? "";
    if (this.hasUnread && (isOpening || !isLooking)) this.#moveLine(others, isOpening);
    this.#announce(others);
  }

  /** Whether all messages since then are loaded. */
  #isWhole(since) {
    const { messages, hasOlder } = this.#room;
    return !hasOlder || messages[0].sent_at <= since;
  }

  #moveLine(others, isOpening) {
    const since = this.#readAt;
    const unread = others.filter(({ sent_at }) => sent_at > since);
    const isWhole = this.#isWhole(since);
    const count = isWhole ? unread.length : this.#row.unread_count;
    const number = count > MAX_COUNT ? `${MAX_COUNT}+` : count;
    // If it begins too far back, the line stays where the room was opened until that is loaded.
    const isMoved = isOpening || isWhole || this.line?.since !== since;
    const first = isMoved ? (unread[0] ?? this.#room.messages[0]).sent_at : this.line.first;
    this.line = { since, first, text: `${number} new message${count === 1 ? "" : "s"}` };
  }

  /** Each message once. What comes in while the tab is hidden is announced when it is shown. */
  #announce(others) {
    if (document.hidden && this.#announced !== null) return;
    const isNew = ({ sent_at }) => sent_at > this.#announced;
    const news = this.#announced === null ? [] : others.filter(isNew);
    this.#announced = this.#room.messages.at(-1)?.sent_at ?? "";
    if (!news.length) return;
    const texts = news.map(({ sender, message_body }) => `${fullName(sender)}: ${message_body}`);
    announce(news.length > MAX_READ_OUT ? `${news.length} new messages` : texts.join("\n"));
  }

  /** The API is told at once, and after a pause about what has come in meanwhile. */
  markAsRead() {
    if (!this.hasUnread) return;
    this.#marked = this.#newest;
    this.#inbox.see(this.#room.id, this.#marked);
    if (!this.#isSending) this.#send();
  }

  async #send() {
    const { id } = this.#room;
    const { user_id } = this.#client.user;
    this.#isSending = true;
    for (let sent = ""; sent < this.#marked && this.#client.user?.user_id === user_id;) {
      sent = this.#marked;
      try {
        const state = await this.#client.markAsRead(id, sent);
        const now = this.#inbox.get(id);
        if (now) this.#inbox.set({ ...now, ...state });
      } catch {
        sent = this.#marked = ""; // for the next time
        this.#inbox.see(id, "");
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    this.#isSending = false;
  }
}
