import { dayOf, find, make, setChildren } from "./dom.js";
import { showMessage, showUnsent } from "./messages.js";
import { rove } from "./roving.js";
import { scroller } from "./scroller.js";
import { copyAsWritten } from "./text.js";

const ABOVE_PX = 80; // what is seen of the messages above the line where the unread begins

/**
 * The list of messages, which scrolls. `actionsOf(message)` and `actionsOfUnsent(entry)` are {label:
 * action}. `scroll` is dispatched when the list was scrolled, or has changed.
 */
export class History extends EventTarget {
  #list = find("#messages");
  #actionsOf;
  #actionsOfUnsent;
  #items = new Map(); // {element, state} by the id of a message, an unsent message or a day
  #actions = new WeakMap(); // by element
  #unfolded = new Set(); // ids of long messages
  #wasAtEnd = true;
  #shown = {};

  constructor({ actionsOf, actionsOfUnsent }) {
    super();
    this.#actionsOf = actionsOf;
    this.#actionsOfUnsent = actionsOfUnsent;
    find("#scroller").onscroll = () => this.#onScroll();
    this.#list.oncopy = copyAsWritten;
    this.#list.onkeydown = (event) => this.#onKey(event);
    rove(this.#list, ".message", (items, last) => this.#choose(items, last));
    // When the box below grows, or the window has another size.
    new ResizeObserver(() => this.keepInSight()).observe(find("#scroller"));
  }

  clear() {
    this.#items.clear();
    this.#unfolded.clear();
    this.#shown = {};
    this.#wasAtEnd = true;
    this.#list.replaceChildren();
  }

  /**
   * Shows {messages, unsent, me, isGroup, line, hasNewer, hasUnread, found, edited}. `unsent` are entries
   * of the outbox, `line` is that of a Reading, `found` is {id, words}, and `edited` a message's id.
   */
  show(shown) {
    const { isAtEnd } = this;
    this.#shown = shown;
    scroller.keep(() => setChildren(this.#list, [...this.#elements()]));
    if (isAtEnd) this.scrollDown();
    this.#onScroll();
  }

  /** Whether the newest message is in sight. */
  get isAtEnd() {
    return !this.#shown.hasNewer && scroller.isAtEnd;
  }

  /** In a hidden tab, only as far as the line stays in sight behind which the unread begins. */
  scrollDown() {
    if (document.hidden && this.#shown.hasUnread) this.scrollToLine();
    else scroller.scrollToEnd();
  }

  scrollToLine() {
    const line = find(".line", this.#list);
    if (line) find("#scroller").scrollTop = line.offsetTop - ABOVE_PX;
    this.#onScroll();
  }

  /** Unfolds the message, brings it into sight, and to where a screen reader reads. */
  goTo(id) {
    scroller.goTo(this.#unfold(id));
  }

  #unfold(id) {
    const { element } = this.#items.get(id);
    find(".fold[aria-expanded=false]", element)?.click();
    return element;
  }

  showEdited() {
    const { edited } = this.#shown;
    if (this.#items.has(edited)) this.#unfold(edited).scrollIntoView({ block: "nearest" });
  }

  #onScroll() {
    this.#wasAtEnd = this.isAtEnd;
    this.dispatchEvent(new Event("scroll"));
  }

  /** When the list has another height, and before other messages are shown. */
  keepInSight() {
    if (this.#shown.edited) this.showEdited();
    else if (this.#wasAtEnd) this.scrollDown();
  }

  *#elements() {
    let day, sender;
    const { messages, unsent, line } = this.#shown;
    for (const message of messages) {
      if (dayOf(message.sent_at) !== day) {
        day = dayOf(message.sent_at);
        sender = null;
        const title = day;
        yield this.#item(title, title, "day", () => [make("h2", {}, title)]);
      }
      if (message.sent_at === line?.first) {
        sender = null;
        yield this.#item("line", line.text, "line", () => [make("h2", {}, line.text)]);
      }
      const isFirst = sender !== message.sender.user_id;
      sender = message.sender.user_id;
      yield this.#messageItem(message, isFirst);
    }
    for (const entry of unsent) yield this.#unsentItem(entry);
  }

  /** The element that shows this state; it is made again when the state changes. */
  #item(id, state, className, makeChildren) {
    const item = this.#items.get(id);
    const element = item?.element ?? make("li");
    if (element.className !== className) element.className = className;
    if (item?.state === state) return element;
    const hasFocus = element.contains(document.activeElement);
    element.replaceChildren(...makeChildren());
    if (hasFocus) element.focus();
    this.#items.set(id, { element, state });
    return element;
  }

  #messageItem(message, isFirst) {
    const { me, isGroup, found, edited } = this.#shown;
    const words = found?.id === message.message_id ? found.words : null;
    const id = message.message_id;
    const isOwn = message.sender.user_id === me.user_id;
    const isNamed = isFirst && !isOwn && isGroup;
    const actions = message.message_body === null ? {} : this.#actionsOf(message, isOwn);
    const state = JSON.stringify([message, isNamed, words, Object.keys(actions)]);
    const names = { own: isOwn, first: isFirst, found: words !== null, edited: edited === id };
    const className = ["message", ...Object.keys(names).filter((name) => names[name])].join(" ");
    const element = this.#item(id, state, className, () =>
      showMessage(message, { isOwn, isNamed, actions, words, fold: this.#foldOf(id) }),
    );
    return this.#focusable(element, id, actions);
  }

  #unsentItem(entry) {
    const actions = this.#actionsOfUnsent(entry);
    const className = `message own first ${entry.error ? "refused" : "unsent"}`;
    const state = JSON.stringify([entry, Object.keys(actions)]);
    const element = this.#item(entry.id, state, className, () =>
      showUnsent(entry, { actions, fold: this.#foldOf(entry.id) }),
    );
    return this.#focusable(element, entry.id, {});
  }

  /** Its name, for screen readers, are who wrote it, its text and its time. */
  #focusable(element, id, actions) {
    this.#actions.set(element, actions);
    if (element.firstChild.id) return element;
    const parts = [...element.querySelectorAll(":scope > p:first-child, .text, .meta > span")];
    parts.forEach((part, n) => (part.id = `${id}-${n}`));
    element.setAttribute("aria-labelledby", parts.map((part) => part.id).join(" "));
    if (!element.hasAttribute("tabindex")) element.tabIndex = -1;
    return element;
  }

  #foldOf(id) {
    const onfold = (isUnfolded) => {
      this.#unfolded[isUnfolded ? "add" : "delete"](id);
      if (!isUnfolded) this.#items.get(id).element.scrollIntoView({ block: "nearest" });
    };
    return { isUnfolded: this.#unfolded.has(id), onfold };
  }

  /** Of the messages in sight, the one that had the focus, or else the last one. */
  #choose(items, last) {
    const { scrollTop, clientHeight } = find("#scroller");
    const isInSight = ({ isConnected, offsetTop, offsetHeight }) =>
      isConnected && offsetTop < scrollTop + clientHeight && offsetTop + offsetHeight > scrollTop;
    return last && isInSight(last) ? last : items.findLast(isInSight);
  }

  #onKey(event) {
    const actions = this.#actions.get(event.target);
    if (!actions || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const menu = find(".icon", event.target);
    const act = { Enter: menu && (() => menu.click()), e: actions.Edit, Delete: actions.Delete };
    if (!act[event.key]) return;
    event.preventDefault();
    act[event.key]();
  }
}
