import { Refused } from "./client.js";
import { fullName, isolate, make, setChildren } from "./dom.js";

const SEARCH_MS = 300;
const PATIENCE = 5; // seconds

/**
 * The people one knows, below a text field that narrows the list. A whole e-mail address in the field
 * finds anybody else.
 */
export class PeoplePicker {
  #client;
  #input;
  #without;
  #list = make("ul");
  #more = make("button", { type: "button", className: "link", hidden: true }, "Show more people");
  #empty = make("p", { className: "hint", role: "status" }); // why the list is empty, or not complete
  #items = new Map(); // elements by user_id
  #chosen = new Map(); // people by user_id
  #search = new AbortController();

  /** The people in `without` cannot be chosen. */
  constructor(client, input, without, chosen = []) {
    this.#client = client;
    this.#input = input;
    this.#without = new Set(without.map((person) => person.user_id));
    chosen.forEach((person) => this.#chosen.set(person.user_id, person));
    const legend = make("legend", {}, "People you know");
    const list = make(
      "fieldset",
      { className: "people" },
      legend,
      this.#list,
      this.#more,
      this.#empty,
    );
    input.closest(".field").append(list);
    input.oninput = () => this.#searchSoon();
    this.#load();
  }

  /** Those who are chosen, and those whose addresses are in the field. Raises Refused. */
  async getPeople(signal) {
    const words = this.#input.value.split(/[\s,;]+/).filter(Boolean);
    if (words.some((word) => !word.includes("@")))
      this.#refuse("Choose somebody from the list, or enter a whole e-mail address.");
    const found = await Promise.all(words.map((email) => this.#find(email, signal)));
    const people = [...this.#chosen.values(), ...found];
    if (!people.length) this.#refuse("Choose somebody, or enter an e-mail address.");
    return people;
  }

  async #find(email, signal) {
    const path = `/users/?email=${encodeURIComponent(email)}`;
    const { results } = await this.#client.request(path, { patience: PATIENCE, signal });
    const person = results[0] ?? this.#refuse(`Nobody here has the address ${email}.`);
    if (person.user_id === this.#client.user.user_id) this.#refuse("This is your own address.");
    if (this.#without.has(person.user_id))
      this.#refuse(`${isolate(fullName(person))} is here already.`);
    return person;
  }

  #refuse(text) {
    throw new Refused(400, { [this.#input.name]: [text] });
  }

  async #searchSoon() {
    this.#search.abort();
    const { signal } = (this.#search = new AbortController());
    await new Promise((resolve) => setTimeout(resolve, SEARCH_MS));
    if (!signal.aborted && !this.#input.value.includes("@")) this.#load();
  }

  #load() {
    const text = this.#input.value.trim();
    const search = text ? `&search=${encodeURIComponent(text)}` : "";
    return this.#loadPage(`/users/?page_size=100${search}`);
  }

  /** Adds a page to these people, or as many as it takes to offer somebody. */
  async #loadPage(path, people = []) {
    const { signal } = this.#search;
    try {
      const { results, next } = await this.#client.request(path, { signal, patience: PATIENCE });
      const offered = results.filter(({ user_id }) => !this.#without.has(user_id));
      const all = [...people, ...offered];
      if (next && !offered.length) return await this.#loadPage(next, all);
      this.#show(all);
      this.#more.hidden = !next;
      this.#more.onclick = async () => {
        const { length } = this.#list.children;
        await this.#loadPage(next, all);
        this.#list.children[length]?.querySelector("input").focus();
      };
    } catch (error) {
      // The list stays as it is. An address can still be entered.
      if (!signal.aborted) this.#empty.textContent = `The list is not complete. ${error.message}`;
    }
  }

  #show(people) {
    const isOffered = ({ user_id }) => !this.#chosen.has(user_id);
    const shown = [...this.#chosen.values(), ...people.filter(isOffered)];
    setChildren(
      this.#list,
      shown.map((person) => this.#item(person)),
    );
    const why = this.#input.value.trim()
      ? "Nobody you know has this name."
      : "Nobody else yet. Enter an e-mail address.";
    this.#empty.textContent = shown.length ? "" : why;
  }

  #item(person) {
    const { user_id } = person;
    if (!this.#items.has(user_id)) {
      const onchange = ({ target }) => this.#choose(person, target.checked);
      const name = make("bdi", {}, fullName(person));
      const checked = this.#chosen.has(user_id);
      const box = make("input", { type: "checkbox", checked, onchange });
      this.#items.set(user_id, make("li", {}, make("label", {}, box, name)));
    }
    return this.#items.get(user_id);
  }

  /** The field is emptied for the next name. */
  #choose(person, isChosen) {
    if (isChosen) this.#chosen.set(person.user_id, person);
    else this.#chosen.delete(person.user_id);
    if (this.#input.value && !this.#input.value.includes("@")) {
      this.#input.value = "";
      this.#searchSoon();
    }
  }
}
