import { Composer } from "./composer.js";
import { deleteMessage, reportMessage } from "./dialogs.js";
import { announce, find, isTouch, tell } from "./dom.js";
import { Header } from "./header.js";
import { History } from "./history.js";
import { Reading } from "./reading.js";
import { scroller } from "./scroller.js";

const NEAR_PX = 300; // how near to an end of the list more messages are loaded
const MAX_LOADED = 200; // messages that are loaded to find where the unread begins

/** The open conversation. */
export class ConversationView {
  #client;
  #inbox;
  #room = null;
  #history;
  #reading = null;
  #composer;
  #header;
  #isOpening = false; // until the place is shown where one reads on
  #found = null; // {id, words, isAhead}: the message that was searched for, until it is in sight `isAhead`

  constructor(client, inbox) {
    this.#client = client;
    this.#inbox = inbox;
    this.#composer = new Composer(client);
    this.#header = new Header(client, inbox);
    this.#history = new History({
      actionsOf: (message, isOwn) => this.#actionsOf(message, isOwn),
      actionsOfUnsent: (entry) => this.#actionsOfUnsent(entry),
    });
    inbox.addEventListener("change", () => this.#onInbox());
    client.addEventListener("outbox", () => this.#showMessages());
    document.addEventListener("visibilitychange", () => document.hidden || this.#showMessages());
    this.#history.addEventListener("scroll", () => this.#onScroll());
    find("#skip").onclick = () => find("#text").focus();
    find("#newest").onclick = () => {
      this.#scrollToEnd();
      this.#focus();
    };
    this.#composer.addEventListener("sent", () => this.#scrollToEnd());
    this.#composer.addEventListener("resize", () => this.#history.keepInSight());
    this.#composer.addEventListener("edit", () => {
      this.#showMessages();
      this.#history.showEdited();
    });
  }

  /** Shows where the unread begins, or this message, in which `words` were found. */
  open(id, messageId, words = "") {
    const isOpen = this.#room?.id === id;
    if (!isOpen) this.close();
    const hasLeft = this.#found && !messageId;
    this.#found = messageId ? { id: messageId, words, isAhead: true } : null;
    if (!isOpen) this.#follow(id);
    if (messageId) this.#jump(this.#found);
    else if (!isOpen) this.#goToUnread();
    else if (hasLeft || !this.#isOpening) this.#scrollToEnd();
    if (!isOpen || !messageId) this.#focus();
  }

  #follow(id) {
    const room = (this.#room = this.#client.follow(id));
    this.#reading = new Reading(this.#client, this.#inbox, room);
    this.#isOpening = true;
    find("#beginning").textContent = "Loading…";
    room.addEventListener("messages", () => this.#showMessages());
    room.addEventListener("gone", () => this.#showGone());
    this.#show(true);
    this.#composer.open(room);
    this.#header.open(id);
    this.#showMessages();
  }

  /** Not in the box, if a screen keyboard would then cover the messages, or one is to be read. */
  #focus() {
    find(isTouch() || this.#found || this.#room.isGone ? "#title" : "#text").focus();
  }

  close() {
    if (!this.#room) return;
    this.#composer.close();
    this.#header.close();
    this.#room.stop();
    this.#room = this.#reading = this.#found = null;
    this.#isOpening = false;
    this.#history.clear();
    announce("");
    find("#gone").hidden = find("#newest").hidden = true;
    this.#show(false);
  }

  #show(isOpen) {
    find("#nothing-open").hidden = isOpen;
    for (const part of ["#skip", "#conversation header", "#scroller", "#composer"])
      find(part).hidden = !isOpen;
  }

  get #row() {
    return this.#inbox.get(this.#room?.id);
  }

  #showGone() {
    const hadFocus = find("#composer").contains(document.activeElement);
    this.#found = null;
    find("#gone").hidden = false;
    find("#composer").hidden = find("#skip").hidden = true;
    this.#header.showGone();
    if (hadFocus) this.#focus();
    this.#inbox.remove(this.#room.id);
    this.#client.wake();
  }

  /** Somebody who was removed may be added again. */
  #onInbox() {
    if (!this.#room?.isGone || !this.#row) return this.#showMessages();
    const { id } = this.#room;
    const hadFocus = find("#conversation").contains(document.activeElement);
    this.close();
    this.#follow(id);
    this.#goToUnread();
    if (hadFocus) this.#focus();
  }

  #showMessages() {
    if (!this.#room || !this.#client.user) return;
    const { messages, isLoaded, isGone, hasOlder, hasNewer } = this.#room;
    // Until it is loaded, nothing else is shown, which would then count as read.
    if (this.#found?.isAhead && !this.#room.has(this.#found.id)) return;
    const whatIsAbove = hasOlder ? "Loading older messages…" : "The conversation begins here.";
    find("#beginning").textContent = isGone ? "" : isLoaded ? whatIsAbove : "Loading…";
    const isLooking = !document.hidden && this.#history.isAtEnd;
    this.#reading.update({ isLooking, isOpening: this.#isOpening });
    this.#history.show({
      messages,
      unsent: this.#client.outbox().filter((entry) => entry.conversation === this.#room.id),
      me: this.#client.user,
      isGroup: this.#row?.participants.length > 2,
      line: this.#reading.line,
      hasNewer,
      hasUnread: this.#reading.hasUnread,
      found: this.#found,
      edited: this.#composer.edited?.message_id,
    });
    if (this.#found?.isAhead) this.#goToFound();
  }

  /** {label: action}, for the menu of a message. Somebody who is gone cannot change anything. */
  #actionsOf(message, isOwn) {
    const copy = navigator.clipboard && {
      Copy: () =>
        navigator.clipboard.writeText(message.message_body).then(
          () => tell("Copied."),
          () => tell("The browser did not copy it."),
        ),
    };
    if (this.#room.isGone) return { ...copy };
    if (!isOwn) return { ...copy, Report: () => reportMessage(this.#client, message) };
    return {
      ...copy,
      Edit: () => this.#composer.edit(message),
      Delete: () => deleteMessage(this.#room, message),
    };
  }

  #actionsOfUnsent(entry) {
    const edit = () => {
      this.#client.discard(entry);
      this.#composer.takeBack(entry);
    };
    return {
      "Try again": () => {
        this.#client.retry(entry);
        this.#focus();
      },
      ...(!this.#room.isGone && { Edit: edit }),
      Discard: () => {
        this.#client.discard(entry);
        this.#focus();
      },
    };
  }

  #scrollToEnd() {
    this.#room.showNewest();
    this.#history.scrollDown();
  }

  #onScroll() {
    if (!this.#room || !this.#client.user || this.#found?.isAhead) return;
    const { hasOlder, hasNewer } = this.#room;
    if (hasOlder && scroller.abovePx < NEAR_PX) this.#room.loadOlder().catch(() => {});
    if (hasNewer && scroller.belowPx < NEAR_PX) this.#room.loadNewer().catch(() => {});
    const { hasUnread } = this.#reading;
    const { isAtEnd } = this.#history;
    const isFarUp = scroller.belowPx > find("#scroller").clientHeight;
    find("#newest").hidden = isAtEnd || !(hasNewer || hasUnread || isFarUp);
    find("#newest").textContent = hasUnread ? "New messages ↓" : "Newest messages ↓";
    if (isAtEnd && !this.#isOpening && !document.hidden) this.#reading.markAsRead();
  }

  async #goToUnread() {
    const room = this.#room;
    await this.#inbox.load(room.id).catch(() => {});
    if (!room.isLoaded)
      await new Promise((resolve) => room.addEventListener("messages", resolve, { once: true }));
    if (room !== this.#room || !this.#isOpening) return;
    this.#showMessages();
    const isHere = () => room === this.#room && this.#isOpening;
    const isBehind = () => room.hasOlder && room.messages[0].sent_at > this.#reading.line?.since;
    try {
      while (isHere() && isBehind() && room.messages.length < MAX_LOADED) await room.loadOlder();
    } catch {
      // The line is above what is loaded.
    }
    if (!isHere()) return;
    this.#isOpening = false;
    this.#history.scrollToLine();
  }

  async #jump(found) {
    this.#showMessages();
    // Without a connection, or if there is no such message, the conversation is shown as it was.
    if (found.isAhead) await this.#room.loadAround(found.id).catch(() => {});
    if (found !== this.#found || !found.isAhead) return;
    this.#found = null;
    this.#showMessages();
    if (this.#isOpening) this.#goToUnread();
  }

  #goToFound() {
    this.#found.isAhead = this.#isOpening = false;
    this.#history.goTo(this.#found.id);
  }
}
