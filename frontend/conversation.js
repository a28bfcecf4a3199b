import { Composer } from "./composer.js";
import { deleteMessage, reportMessage } from "./dialogs.js";
import { dayOf, find, isTouch, make, setChildren } from "./dom.js";
import { Header } from "./header.js";
import { announceMessages, showMessage, showUnsent } from "./messages.js";
import { scroller } from "./scroller.js";

const NEAR_PX = 300; // how near to an end of the list more messages are loaded

/** The open conversation. */
export class ConversationView {
  #client;
  #inbox;
  #room = null;
  #items = new Map(); // {element, state} by the id of a message, an unsent message or a day
  #composer;
  #header;
  #announced = null; // `sent_at` of the newest message when it was last looked at
  #marked = "";
  #found = null; // {id, words, isAhead}: the message that was searched for, until it is in sight `isAhead`

  constructor(client, inbox) {
    this.#client = client;
    this.#inbox = inbox;
    this.#composer = new Composer(client);
    this.#header = new Header(client, inbox);
    inbox.addEventListener("change", () => this.#showMessages());
    client.addEventListener("outbox", () => this.#showMessages());
    document.addEventListener("visibilitychange", () => this.#markAsRead());
    find("#scroller").onscroll = () => this.#onScroll();
    find("#newest").onclick = () => this.#scrollToEnd();
    this.#composer.addEventListener("sent", () => this.#scrollToEnd());
  }

  /** Shows the newest messages, or this one, in which `words` were found. */
  open(id, messageId, words = "") {
    const isOpen = this.#room?.id === id;
    if (!isOpen) this.close();
    const hasLeft = this.#found && !messageId;
    this.#found = messageId ? { id: messageId, words, isAhead: true } : null;
    if (!isOpen) this.#follow(id);
    if (messageId) this.#jump(this.#found);
    if (hasLeft) this.#scrollToEnd();
  }

  #follow(id) {
    const room = (this.#room = this.#client.follow(id));
    room.addEventListener("messages", () => this.#showMessages());
    room.addEventListener("gone", () => this.#showGone());
    this.#show(true);
    this.#composer.open(room);
    this.#header.open(id);
    this.#showMessages();
    find(isTouch() || this.#found ? "#title" : "#text").focus();
  }

  close() {
    if (!this.#room) return;
    this.#composer.close();
    this.#header.close();
    this.#room.stop();
    this.#room = this.#announced = this.#found = null;
    this.#marked = "";
    this.#items.clear();
    find("#messages").replaceChildren();
    find("#gone").hidden = find("#newest").hidden = true;
    this.#show(false);
  }

  #show(isOpen) {
    find("#nothing-open").hidden = isOpen;
    for (const part of ["#conversation header", "#scroller", "#composer"])
      find(part).hidden = !isOpen;
  }

  get #row() {
    return this.#inbox.get(this.#room?.id);
  }

  #showGone() {
    find("#gone").hidden = false;
    find("#composer").hidden = true;
    this.#header.showGone();
    find("#beginning").textContent = "";
    this.#client.wake();
  }

  #showMessages() {
    if (!this.#room || !this.#client.user) return;
    const { isLoaded, hasOlder, hasNewer } = this.#room;
    // Until it is loaded, nothing else is shown, which would then count as read.
    if (this.#found?.isAhead && !this.#room.has(this.#found.id)) return;
    const isAtEnd = this.#isAtEnd;
    scroller.keep(() => setChildren(find("#messages"), [...this.#elements()]));
    if (isLoaded)
      find("#beginning").textContent = hasOlder
        ? "Loading older messages…"
        : "The conversation begins here.";
    else if (find("#gone").hidden) find("#beginning").textContent = "Loading…";
    find("#newest").textContent = hasNewer ? "Newest messages ↓" : "New messages ↓";
    if (hasNewer) find("#newest").hidden = false;
    if (this.#found?.isAhead) this.#goToFound();
    else if (isAtEnd) scroller.scrollToEnd();
    this.#announceNew(isAtEnd);
    this.#onScroll();
  }

  *#elements() {
    let day, sender;
    const { messages } = this.#room;
    for (const message of messages) {
      if (dayOf(message.sent_at) !== day) {
        day = dayOf(message.sent_at);
        sender = null;
        yield this.#item(day, day, () => [make("h2", {}, day)], "day");
      }
      const isFirst = sender !== message.sender.user_id;
      sender = message.sender.user_id;
      yield this.#messageItem(message, isFirst);
    }
    const unsent = this.#client.outbox().filter((entry) => entry.conversation === this.#room.id);
    for (const entry of unsent) yield this.#unsentItem(entry);
  }

  /** The element that shows this state; it is made again when the state changes. */
  #item(id, state, makeChildren, className) {
    const item = this.#items.get(id);
    const element = item?.element ?? make("li");
    if (element.className !== className) element.className = className;
    if (item?.state === state) return element;
    element.replaceChildren(...makeChildren());
    this.#items.set(id, { element, state });
    return element;
  }

  #messageItem(message, isFirst) {
    const isOwn = message.sender.user_id === this.#client.user.user_id;
    const isNamed = isFirst && !isOwn && (this.#row?.participants.length ?? 0) > 2;
    const actions = isOwn
      ? {
          Edit: () => this.#composer.edit(message),
          Delete: () => deleteMessage(this.#room, message),
        }
      : { Report: () => reportMessage(this.#client, message) };
    const words = this.#found?.id === message.message_id ? this.#found.words : null;
    const state = JSON.stringify([message, isNamed, words]);
    const makeChildren = () => showMessage(message, { isOwn, isNamed, actions, words });
    const className = `message ${isOwn ? "own" : ""} ${isFirst ? "first" : ""} ${words === null ? "" : "found"}`;
    return this.#item(message.message_id, state, makeChildren, className);
  }

  #unsentItem(entry) {
    const actions = {
      "Try again": () => this.#client.retry(entry),
      Edit: () => {
        this.#client.discard(entry);
        this.#composer.takeBack(entry);
      },
      Discard: () => this.#client.discard(entry),
    };
    const className = `message own first ${entry.error ? "refused" : "unsent"}`;
    const makeChildren = () => showUnsent(entry, actions);
    return this.#item(entry.id, JSON.stringify(entry), makeChildren, className);
  }

  #announceNew(isAtEnd) {
    const { messages, isLoaded, hasNewer } = this.#room;
    if (!isLoaded || hasNewer) return;
    const { user_id } = this.#client.user;
    const isNew = ({ sent_at, sender }) => sent_at > this.#announced && sender.user_id !== user_id;
    const news = this.#announced === null ? [] : messages.filter(isNew);
    this.#announced = messages.at(-1)?.sent_at ?? "";
    if (!news.length) return;
    announceMessages(news);
    if (!isAtEnd) find("#newest").hidden = false;
  }

  async #markAsRead() {
    if (!this.#room || !this.#row || document.hidden || !this.#isAtEnd) return;
    const { user_id } = this.#client.user;
    const newest = this.#room.messages.findLast(({ sender }) => sender.user_id !== user_id);
    const row = this.#row;
    if (!newest || newest.sent_at <= row.read_at || newest.sent_at <= this.#marked) return;
    this.#marked = newest.sent_at;
    try {
      const state = await this.#client.markAsRead(row.conversation_id, newest.sent_at);
      const now = this.#inbox.get(row.conversation_id);
      if (now) this.#inbox.set({ ...now, ...state });
    } catch {
      this.#marked = ""; // for the next time
    }
  }

  get #isAtEnd() {
    return !this.#room?.hasNewer && scroller.isAtEnd;
  }

  #scrollToEnd() {
    this.#room.showNewest();
    scroller.scrollToEnd();
  }

  #onScroll() {
    if (!this.#room) return;
    const { hasOlder, hasNewer } = this.#room;
    if (hasOlder && scroller.abovePx < NEAR_PX) this.#room.loadOlder().catch(() => {});
    if (hasNewer && scroller.belowPx < NEAR_PX) this.#room.loadNewer().catch(() => {});
    if (this.#isAtEnd) find("#newest").hidden = true;
    this.#markAsRead();
  }

  async #jump(found) {
    this.#showMessages();
    // Without a connection, or if there is no such message, the conversation is shown as it was.
    if (found.isAhead) await this.#room.loadAround(found.id).catch(() => {});
    if (found !== this.#found || !found.isAhead) return;
    this.#found = null;
    this.#showMessages();
  }

  #goToFound() {
    this.#found.isAhead = false;
    scroller.goTo(this.#items.get(this.#found.id).element);
  }
}
