import { isComposing } from "./composer.js";
import { announce, find, make, openAgain, shortTime, titleOf } from "./dom.js";
import { preview } from "./inbox.js";
import { excerpt, mark } from "./mark.js";

const PAUSE_MS = 300;
const PATIENCE_SECONDS = 10;
const MAX_CHARACTERS = 100;
const FEW = 5; // conversations, so that messages are in sight

/** The search for conversations and messages. */
export class Search {
  #client;
  #inbox;
  #input = find("#search input");
  #results = find("#results");
  #end = new AbortController(); // of the search that is under way

  constructor(client, inbox) {
    this.#client = client;
    this.#inbox = inbox;
    this.#input.oninput = () => this.#search(PAUSE_MS);
    find("#search").onsubmit = (event) => {
      event.preventDefault();
      this.#search(0);
    };
    for (const part of [find("#search"), this.#results])
      part.onkeydown = (event) => isComposing(event) || this.#onKey(event);
  }

  /** What is searched for. */
  get text() {
    return this.#input.value.trim();
  }

  clear() {
    this.#input.value = "";
    this.#search(0);
  }

  #onKey(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape" && this.#input.value) {
      this.clear();
      this.#input.focus();
    } else if (step) {
      const places = [this.#input, ...this.#results.querySelectorAll("a, button:not([hidden])")];
      places[places.indexOf(document.activeElement) + step]?.focus();
    } else return;
    event.preventDefault();
  }

  async #search(pauseMs) {
    this.#end.abort();
    this.#end = new AbortController();
    const { signal } = this.#end;
    const { text } = this;
    find("#sidebar").classList.toggle("is-searching", text !== "");
    if (!text) return this.#show("");
    if ([...text].length > MAX_CHARACTERS)
      return this.#show(`Search for ${MAX_CHARACTERS} characters at most.`);
    find("#found").textContent = "Searching…"; // the results of what was typed before stay meanwhile
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    if (signal.aborted) return;
    try {
      const get = (path) => this.#get(`${path}search=${encodeURIComponent(text)}`, signal);
      const [conversations, messages] = await Promise.all([
        get(`/conversations/?page_size=${FEW}&`),
        get("/messages/?"),
      ]);
      const lists = [
        this.#list("Conversations", conversations, (row) => this.#conversation(row, text), signal),
        this.#list("Messages", messages, (row) => this.#message(row, text), signal),
      ].filter((list) => find("li", list));
      this.#show(lists.length ? "" : "Nothing was found.", ...lists);
      announce(
        lists.map((list) => `${list.ariaLabel}: ${find("ul", list).children.length}`).join(", "),
      );
    } catch (error) {
      if (!signal.aborted) this.#show(error.message);
    }
  }

  #get(path, signal) {
    return this.#client.request(path, { signal, patience: PATIENCE_SECONDS });
  }

  #show(text, ...lists) {
    find("#found").textContent = text;
    this.#results.replaceChildren(...lists);
  }

  /** A page of results under a heading, and a button for the next one. */
  #list(title, page, item, signal) {
    const list = make("ul");
    const status = make("p", { className: "hint", role: "status" });
    const more = make("button", { type: "button", className: "link" }, "Show more");
    const take = ({ results, next }) => {
      list.append(...results.map(item));
      more.hidden = next === null;
      more.onclick = () => load(next);
    };
    const load = async (next) => {
      const { length } = list.children;
      more.disabled = true;
      status.textContent = "Searching…";
      try {
        take(await this.#get(next, signal));
        status.textContent = "";
        find("a", list.children[length])?.focus();
      } catch (error) {
        status.textContent = error.message;
      }
      more.disabled = false;
      if (status.textContent) more.focus();
    };
    take(page);
    return make(
      "div",
      { role: "group", ariaLabel: title },
      make("h2", {}, title),
      list,
      status,
      more,
    );
  }

  #conversation(row, text) {
    const { user } = this.#client;
    return this.#item(`#${row.conversation_id}`, {
      name: mark(titleOf(row, user), text),
      time: row.updated_at,
      preview: preview(row.last_message, user),
    });
  }

  #message(message, text) {
    const { conversation, message_id, sent_at, sender, message_body } = message;
    const { user } = this.#client;
    const who = sender.user_id === user.user_id ? "You" : sender.first_name;
    const name = make("span", {}, "…");
    const show = (row) => (name.textContent = row ? titleOf(row, user) : "Conversation");
    const row = this.#inbox.get(conversation);
    if (row) show(row);
    else this.#inbox.load(conversation).then(show, () => show(null));
    return this.#item(`#${conversation}/${message_id}`, {
      name: [name],
      time: sent_at,
      preview: [make("bdi", {}, who), ": ", ...mark(excerpt(message_body, text), text)],
    });
  }

  #item(href, { name, time, preview }) {
    const link = make(
      "a",
      { href },
      make("span", { className: "name", dir: "auto" }, ...name),
      make("time", { dateTime: time }, shortTime(time)),
      make("span", { className: "preview", dir: "auto" }, ...preview),
    );
    link.onclick = () => openAgain(link);
    return make("li", {}, link);
  }
}
