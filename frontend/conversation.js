import { addPerson, deleteMessage, leave, rename } from "./dialogs.js";
import { announce, dayOf, find, fullName, make, openMenu, setChildren, timeOf, titleOf } from "./dom.js";

const NEAR_PX = 300; // how near to the top older messages are loaded

/** The open conversation. */
export class ConversationView {
  #client;
  #inbox;
  #room = null;
  #items = new Map(); // {element, state} by the id of a message, an unsent message or a day
  #drafts = new Map(); // by conversation
  #edited = null;
  #announced = null; // `sent_at` of the newest message when it was last looked at
  #marked = "";

  constructor(client, inbox) {
    this.#client = client;
    this.#inbox = inbox;
    inbox.addEventListener("change", () => this.#showHeader());
    client.addEventListener("outbox", () => this.#showMessages());
    document.addEventListener("visibilitychange", () => this.#markAsRead());
    find("#scroller").onscroll = () => this.#onScroll();
    find("#newest").onclick = () => this.#scrollDown();
    find("#options").onclick = ({ currentTarget }) => this.#openOptions(currentTarget);
    find("#editing button").onclick = () => this.#stopEditing();
    find("#composer").onsubmit = (event) => {
      event.preventDefault();
      this.#submit();
    };
    find("#text").onkeydown = (event) => {
      if (event.key === "Escape" && this.#edited) this.#stopEditing();
      const isSend = event.key === "Enter" && !event.shiftKey && !event.isComposing;
      if (!isSend || matchMedia("(pointer: coarse)").matches) return;
      event.preventDefault();
      this.#submit();
    };
  }

  /** Shows the newest messages, or the message that was sent at `sentAt`. */
  async open(id, sentAt) {
    if (this.#room?.id !== id) {
      this.close();
      this.#show(true);
      const room = (this.#room = this.#client.follow(id));
      room.addEventListener("messages", () => this.#showMessages());
      room.addEventListener("gone", () => this.#showGone());
      find("#text").value = this.#drafts.get(id) ?? "";
      this.#inbox.load(id).then(() => this.#showHeader(), () => {});
      this.#showHeader();
      this.#showMessages();
      find("#title").focus();
    }
    if (sentAt) await this.#scrollTo(sentAt);
  }

  close() {
    if (!this.#room) return;
    this.#stopEditing();
    this.#drafts.set(this.#room.id, find("#text").value);
    this.#room.stop();
    this.#room = this.#announced = null;
    this.#marked = "";
    this.#items.clear();
    find("#messages").replaceChildren();
    find("#gone").hidden = find("#newest").hidden = true;
    this.#show(false);
  }

  #show(isOpen) {
    find("#nothing-open").hidden = isOpen;
    for (const part of ["#conversation header", "#scroller", "#composer"]) find(part).hidden = !isOpen;
  }

  get #row() {
    return this.#inbox.get(this.#room?.id);
  }

  #showHeader() {
    if (!this.#room || !this.#client.user) return;
    const row = this.#row;
    find("#title").textContent = row ? titleOf(row, this.#client.user) : "…";
    find("#people").textContent = row?.participants.map(fullName).join(", ") ?? "";
    find("#options").hidden = !row;
    if (row) this.#showMessages();
  }

  #showGone() {
    find("#gone").hidden = false;
    find("#composer").hidden = true;
    find("#options").hidden = true;
    if (!this.#row) find("#title").textContent = "Conversation";
    find("#beginning").textContent = "";
    this.#client.wake();
  }

  #openOptions(button) {
    openMenu(button, {
      "Change the title": () => rename(this.#client, this.#row),
      "Add a person": () => addPerson(this.#client, this.#row),
      "Leave the conversation": () => leave(this.#client, this.#row),
    });
  }

  // --- Messages

  #showMessages() {
    if (!this.#room || !this.#client.user) return;
    const scroller = find("#scroller");
    const isAtBottom = this.#isAtBottom;
    // What is in sight stays where it is when messages come in above it.
    const anchor = [...find("#messages").children].find(
      (element) => element.offsetTop + element.offsetHeight > scroller.scrollTop,
    );
    const distance = anchor?.offsetTop - scroller.scrollTop;
    setChildren(find("#messages"), [...this.#elements()]);
    if (this.#room.isLoaded)
      find("#beginning").textContent = this.#room.hasOlder ? "Loading older messages…" : "The conversation begins here.";
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
        yield this.#item(day, day, () => [make("h3", {}, day)], "day");
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
    if (item?.state === state) return item.element;
    const element = item?.element ?? make("li");
    element.className = className;
    element.replaceChildren(...makeChildren());
    this.#items.set(id, { element, state });
    return element;
  }

  #messageItem(message, isFirst) {
    const isOwn = message.sender.user_id === this.#client.user.user_id;
    const isGroup = (this.#row?.participants.length ?? 0) > 2;
    const state = JSON.stringify([message, isFirst, isGroup]);
    const makeChildren = () => {
      const { message_body, sent_at, updated_at } = message;
      const isDeleted = message_body === null;
      const isNamed = isFirst && isGroup && !isOwn;
      const name = isOwn ? "You" : fullName(message.sender);
      const text = isDeleted ? "Message deleted" : message_body;
      const time = make("time", { dateTime: sent_at }, timeOf(sent_at));
      const meta = make("p", { className: "meta" }, time);
      if (!isDeleted && updated_at !== sent_at) meta.append(" · edited");
      if (isOwn && !isDeleted) meta.append(this.#optionsButton(message));
      return [
        make("p", { className: isNamed ? "sender" : "visually-hidden" }, `${name}:`),
        make("p", { className: isDeleted ? "text deleted" : "text", dir: "auto" }, text),
        meta,
      ];
    };
    const className = `message ${isOwn ? "own" : ""} ${isFirst ? "first" : ""}`;
    return this.#item(message.message_id, state, makeChildren, className);
  }

  #optionsButton(message) {
    const onclick = ({ currentTarget }) =>
      openMenu(currentTarget, {
        Edit: () => this.#edit(message),
        Delete: () => deleteMessage(this.#room, message),
      });
    const label = "Options of this message";
    return make("button", { type: "button", className: "icon", ariaLabel: label, ariaHasPopup: "true", onclick }, "⋯");
  }

  #unsentItem(entry) {
    const makeChildren = () => {
      const button = (label, onclick) => make("button", { type: "button", className: "link", onclick }, label);
      const meta = entry.error
        ? [
            `Not sent. ${entry.error} `,
            button("Try again", () => this.#client.retry(entry)),
            button("Discard", () => this.#client.discard(entry)),
          ]
        : ["Sending…"];
      return [
        make("p", { className: "visually-hidden" }, "You:"),
        make("p", { className: "text", dir: "auto" }, entry.message_body),
        make("p", { className: "meta" }, ...meta),
      ];
    };
    const className = `message own first ${entry.error ? "refused" : "unsent"}`;
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
    announce(news.map(({ sender, message_body }) => `${fullName(sender)}: ${message_body}`).join("\n"));
    if (!isAtBottom) find("#newest").hidden = false;
  }

  async #markAsRead() {
    if (!this.#room || !this.#row || document.hidden || !this.#isAtBottom) return;
    const { user_id } = this.#client.user;
    const newest = this.#room.messages.findLast(({ sender }) => sender.user_id !== user_id);
    const row = this.#row;
    if (!newest || newest.sent_at <= row.read_at || newest.sent_at <= this.#marked) return;
    this.#marked = newest.sent_at;
    const options = { method: "POST", body: { read_at: newest.sent_at }, patience: 60 };
    try {
      const state = await this.#client.request(`/conversations/${row.conversation_id}/read/`, options);
      const now = this.#inbox.get(row.conversation_id);
      if (now) this.#inbox.set({ ...now, ...state });
    } catch {
      this.#marked = ""; // for the next time
    }
  }

  // --- Scrolling

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
    while (room === this.#room && room.hasOlder && !(room.messages[0].sent_at <= sentAt)) await room.loadOlder();
    const message = room.messages.find(({ sent_at }) => sent_at === sentAt);
    const element = this.#items.get(message?.message_id)?.element;
    if (room !== this.#room || !element) return;
    element.scrollIntoView({ block: "center" });
    element.classList.add("found");
  }

  // --- Writing

  #submit() {
    const field = find("#text");
    const text = field.value;
    find("#error").textContent = "";
    if (!text.trim()) return;
    if (this.#edited) return this.#saveEdit(text);
    try {
      this.#client.send(this.#room.id, text);
    } catch {
      return (find("#error").textContent = "The browser’s storage is full.");
    }
    field.value = "";
    this.#scrollDown();
  }

  #edit(message) {
    if (!this.#edited) this.#drafts.set(this.#room.id, find("#text").value);
    this.#edited = message;
    find("#editing").hidden = false;
    find("#composer .primary").textContent = "Save";
    find("#text").value = message.message_body;
    find("#text").focus();
  }

  #stopEditing() {
    if (!this.#edited) return;
    this.#edited = null;
    find("#editing").hidden = true;
    find("#composer .primary").textContent = "Send";
    find("#text").value = this.#drafts.get(this.#room.id) ?? "";
  }

  async #saveEdit(text) {
    const message = this.#edited;
    try {
      await this.#room.edit(message, text);
      if (this.#edited === message) this.#stopEditing();
    } catch (error) {
      find("#error").textContent = error.message;
    }
  }
}
