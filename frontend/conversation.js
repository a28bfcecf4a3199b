import { Composer } from "./composer.js";
import { deleteMessage, reportMessage } from "./dialogs.js";
import { announce, dayOf, find, fullName, isTouch, make, setChildren } from "./dom.js";
import { Header } from "./header.js";
import { showMessage, showUnsent } from "./messages.js";

const NEAR_PX = 300; // how near to the top older messages are loaded

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
  #found = null; // the id of the message that was searched for

  constructor(client, inbox) {
    this.#client = client;
    this.#inbox = inbox;
    this.#composer = new Composer(client);
    this.#header = new Header(client, inbox);
    inbox.addEventListener("change", () => this.#showMessages());
    client.addEventListener("outbox", () => this.#showMessages());
    document.addEventListener("visibilitychange", () => this.#markAsRead());
    find("#scroller").onscroll = () => this.#onScroll();
    find("#newest").onclick = () => this.#scrollDown();
    this.#composer.addEventListener("sent", () => this.#scrollDown());
  }

  /** Shows the newest messages, or the message that was sent at `sentAt`. */
  async open(id, sentAt) {
    if (this.#room?.id !== id) {
      this.close();
      this.#show(true);
      const room = (this.#room = this.#client.follow(id));
      room.addEventListener("messages", () => this.#showMessages());
      room.addEventListener("gone", () => this.#showGone());
      this.#composer.open(room);
      this.#header.open(id);
      this.#showMessages();
      find(isTouch() ? "#title" : "#text").focus();
    }
    if (sentAt) await this.#scrollTo(sentAt);
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
    const scroller = find("#scroller");
    const isAtBottom = this.#isAtBottom;
    // What is in sight stays where it is when messages come in above it.
    const anchor = [...document.querySelectorAll("#messages .message")].find(
      (element) => element.offsetTop + element.offsetHeight > scroller.scrollTop,
    );
    const distance = anchor?.offsetTop - scroller.scrollTop;
    setChildren(find("#messages"), [...this.#elements()]);
    if (this.#room.isLoaded)
      find("#beginning").textContent = this.#room.hasOlder
        ? "Loading older messages…"
        : "The conversation begins here.";
    else if (find("#gone").hidden) find("#beginning").textContent = "Loading…";
    if (isAtBottom) this.#scrollDown();
    else if (anchor?.isConnected) scroller.scrollTop = anchor.offsetTop - distance;
    this.#announceNew(isAtBottom);
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
    const state = JSON.stringify([message, isNamed]);
    const makeChildren = () => showMessage(message, { isOwn, isNamed, actions });
    const className = `message ${isOwn ? "own" : ""} ${isFirst ? "first" : ""} ${this.#found === message.message_id ? "found" : ""}`;
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

  #announceNew(isAtBottom) {
    const { messages, isLoaded } = this.#room;
    if (!isLoaded) return;
    const { user_id } = this.#client.user;
    const isNew = ({ sent_at, sender }) => sent_at > this.#announced && sender.user_id !== user_id;
    const news = this.#announced === null ? [] : messages.filter(isNew);
    this.#announced = messages.at(-1)?.sent_at ?? "";
    if (!news.length) return;
    announce(
      news.map(({ sender, message_body }) => `${fullName(sender)}: ${message_body}`).join("\n"),
    );
    if (!isAtBottom) find("#newest").hidden = false;
  }

  async #markAsRead() {
    if (!this.#room || !this.#row || document.hidden || !this.#isAtBottom) return;
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

  get #isAtBottom() {
    const { scrollHeight, scrollTop, clientHeight } = find("#scroller");
    return scrollHeight - scrollTop - clientHeight < 40;
  }

  #scrollDown() {
    find("#scroller").scrollTop = find("#scroller").scrollHeight;
  }

  #onScroll() {
    if (!this.#room) return;
    const { hasOlder } = this.#room;
    if (hasOlder && find("#scroller").scrollTop < NEAR_PX) this.#room.loadOlder().catch(() => {});
    if (this.#isAtBottom) find("#newest").hidden = true;
    this.#markAsRead();
  }

  async #scrollTo(sentAt) {
    const room = this.#room;
    while (room === this.#room && room.hasOlder && !(room.messages[0].sent_at <= sentAt))
      await room.loadOlder();
    const message = room.messages.find(({ sent_at }) => sent_at === sentAt);
    const element = this.#items.get(message?.message_id)?.element;
    if (room !== this.#room || !element) return;
    element.scrollIntoView({ block: "center" });
    this.#found = message.message_id;
    this.#showMessages();
  }
}
