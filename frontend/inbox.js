import { INBOX } from "./client.js";
import { find, make, openAgain, setChildren, shortTime, titleOf } from "./dom.js";
import { rove } from "./roving.js";

const MINUTE_MS = 60_000;
const PRESENT = "9999";

/** The direction of a line with these nodes and `dir="auto"` is that of the text. */
export const preview = (message, me) => {
  if (!message) return ["No messages yet"];
  const who = message.sender.user_id === me.user_id ? "You" : message.sender.first_name;
  return [make("bdi", {}, who), `: ${message.message_body ?? "Message deleted"}`];
};

const initials = (title) => {
  const words = title.split(/[\s,]+/).filter(Boolean);
  return words
    .slice(0, 2)
    .map((word) => [...word][0].toUpperCase())
    .join("");
};

/** The list of conversations. `change` is dispatched when a conversation changes. */
export class Inbox extends EventTarget {
  #client;
  #rows = new Map(); // conversations by id
  #items = new Map(); // {element, state} by id
  #oldest = PRESENT; // the `updated_at` down to which all are loaded
  #next = null; // the URL of the page behind it
  #end = new AbortController(); // of loading them again
  #seen = new Map(); // the `sent_at` up to which messages were seen here, by id
  #isLoaded = false;
  #hasLoadedMore = false;
  #selected = null;
  #loading = new Map(); // promises of rows by id

  constructor(client) {
    super();
    this.#client = client;
    client.addEventListener("inbox", ({ detail }) => this.#take(detail));
    client.addEventListener("outdated", () => this.#loadAgain().catch(() => {}));
    client.addEventListener("conversation", ({ detail }) => this.#takeRow(detail));
    client.addEventListener("outbox", () => this.#showFailed());
    client.addEventListener("sent", ({ detail }) => this.#addMessage(detail.message));
    const isOpen = (item) => find("[aria-current]", item);
    rove(find("#inbox"), "li", (items) => items.find(isOpen) ?? items[0]);
    find("#more").onclick = () => this.#loadMore().catch(() => {}); // somebody else is signed in
    setInterval(() => this.#render(), MINUTE_MS); // after midnight, times become days
  }

  clear() {
    this.#rows.clear();
    this.#end.abort();
    this.#loading.clear();
    this.#seen.clear();
    this.#oldest = PRESENT;
    this.#next = null;
    this.#isLoaded = false;
    this.#hasLoadedMore = false;
    this.#render();
  }

  get rows() {
    return [...this.#rows.values()];
  }

  get(id) {
    return this.#rows.get(id);
  }

  /** From the API, if the row was not loaded. Raises what `request()` raises. */
  async load(id) {
    if (!this.#rows.has(id)) {
      if (!this.#loading.has(id)) this.#loading.set(id, this.#request(id));
      await this.#loading.get(id).finally(() => this.#loading.delete(id));
    }
    return this.#rows.get(id);
  }

  async #request(id) {
    // Without messages: none has changed after that.
    const path = `/conversations/${id}/?updated_at_after=9999-12-31T00:00:00Z`;
    const { messages: _, ...row } = await this.#client.request(path);
    if (!this.#rows.has(id)) this.set(row);
  }

  set(row) {
    this.#rows.set(row.conversation_id, row);
    this.#render();
  }

  remove(id) {
    this.#rows.delete(id);
    this.#render();
  }

  select(id) {
    this.#selected = id;
    this.#render();
  }

  /** The person has seen the messages up to this one, of which the API is yet to be told. */
  see(id, sentAt) {
    this.#seen.set(id, sentAt);
    this.#render();
  }

  /** The `sent_at` up to which messages were read. */
  readAt({ conversation_id, read_at }) {
    const seen = this.#seen.get(conversation_id);
    return seen > read_at ? seen : read_at;
  }

  #countUnread(row) {
    return row.last_message?.sent_at <= this.#seen.get(row.conversation_id) ? 0 : row.unread_count;
  }

  #take(page) {
    const last = this.#takePage(page, PRESENT);
    this.#isLoaded = true;
    if (!this.#hasLoadedMore) [this.#oldest, this.#next] = [last, page.next];
    this.#render();
  }

  /** Takes a page of what is older than `before`, and returns how far back it goes. */
  #takePage({ results, next }, before) {
    const last = next ? results.at(-1).updated_at : "";
    const ids = new Set(results.map((row) => row.conversation_id));
    // What the page would hold, but does not, is not in the inbox any more.
    for (const [id, row] of this.#rows)
      if (row.updated_at < before && row.updated_at > last && !ids.has(id)) this.#rows.delete(id);
    for (const row of results) {
      const known = this.#rows.get(row.conversation_id);
      const isOlder = known?.updated_at > row.updated_at || known?.read_at > row.read_at;
      if (!isOlder) this.#rows.set(row.conversation_id, row);
    }
    return last;
  }

  #takeRow(row) {
    const known = this.#rows.get(row.conversation_id);
    // Others were read while the row was under way.
    if (known?.read_at > row.read_at) this.#client.wake();
    else this.set(row);
  }

  #addMessage(message) {
    const row = this.#rows.get(message.conversation);
    const isNewest = row && !(row.last_message?.sent_at > message.sent_at);
    if (isNewest) this.set({ ...row, last_message: message, updated_at: message.sent_at });
  }

  async #loadMore() {
    const { size } = this.#rows;
    const page = await this.#client.request(this.#next);
    this.#hasLoadedMore = true;
    [this.#oldest, this.#next] = [this.#takePage(page, this.#oldest), page.next];
    this.#render();
    if (find("#more").hidden) find(`#inbox li:nth-child(${size + 1}) a`)?.focus();
  }

  /** All pages that are loaded, if there is more than the first one, which is polled. */
  async #loadAgain() {
    if (!this.#hasLoadedMore) return;
    this.#end.abort();
    const { signal } = (this.#end = new AbortController());
    let [oldest, next] = [PRESENT, INBOX];
    while (next && oldest > this.#oldest) {
      const page = await this.#client.request(next, { signal });
      if (signal.aborted) return;
      [oldest, next] = [this.#takePage(page, oldest), page.next];
      this.#render();
    }
    [this.#oldest, this.#next] = [oldest, next];
    this.#render();
  }

  #render() {
    const { rows } = this;
    rows.sort((one, other) => (one.updated_at < other.updated_at ? 1 : -1));
    const hadFocus = find("#inbox").contains(document.activeElement);
    setChildren(find("#inbox"), this.#client.user ? rows.map((row) => this.#item(row)) : []);
    if (hadFocus && !find("#inbox").contains(document.activeElement)) find("#new").focus();
    find("#none").hidden = !this.#isLoaded || rows.length > 0;
    find("#more").hidden = this.#next === null;
    const unread = rows.filter((row) => this.#countUnread(row)).length;
    document.title = unread ? `(${unread}) Chat` : "Chat";
    this.#showFailed();
    this.dispatchEvent(new Event("change"));
  }

  #item(row) {
    const id = row.conversation_id;
    const isSelected = id === this.#selected;
    const unread = this.#countUnread(row);
    const state = JSON.stringify([row, unread, isSelected, new Date().toDateString()]);
    const item = this.#items.get(id);
    if (item?.state === state) return item.element;
    const title = titleOf(row, this.#client.user);
    const count = unread > 99 ? "99+" : unread;
    const link = make(
      "a",
      { href: `#${id}`, "aria-current": isSelected ? "true" : null },
      make("span", { className: "avatar", ariaHidden: "true" }, initials(title)),
      make("span", { className: "name", dir: "auto" }, title),
      make("time", { dateTime: row.updated_at }, shortTime(row.updated_at)),
      make(
        "span",
        { className: "preview", dir: "auto" },
        ...preview(row.last_message, this.#client.user),
      ),
    );
    if (count) {
      const hidden = make("span", { className: "visually-hidden" }, " unread");
      link.append(make("span", { className: "badge" }, String(count), hidden));
    }
    const element = item?.element ?? make("li");
    const hasFocus = element.contains(document.activeElement);
    element.replaceChildren(link);
    if (hasFocus) link.focus();
    this.#items.set(id, { element, state });
    return element;
  }

  #showFailed() {
    const failed = this.#client.outbox().filter((entry) => entry.error);
    const text =
      failed.length === 1 ? "A message was not sent." : `${failed.length} messages were not sent.`;
    const href = `#${failed[0]?.conversation}`;
    const shown = find("#failed a");
    if (failed.length && shown?.textContent === text && shown.hash === href) return;
    const link = make("a", { href, onclick: () => openAgain(link) }, text);
    find("#failed").replaceChildren(...(failed.length ? [link] : []));
  }
}
