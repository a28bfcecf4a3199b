import { addPeople, leave, rename } from "./dialogs.js";
import { find, openMenu, peopleOf, titleOf } from "./dom.js";
import { showPeople } from "./people.js";

/** The title of the open conversation, its people, and what one can do with it. */
export class Header {
  #client;
  #inbox;
  #id = null;

  constructor(client, inbox) {
    this.#client = client;
    this.#inbox = inbox;
    inbox.addEventListener("change", () => this.#show());
    find("#participants").onclick = () => showPeople(client, inbox, this.#id);
    find("#options").onclick = ({ currentTarget }) => this.#openOptions(currentTarget);
  }

  open(id) {
    this.#id = id;
    find("#title").textContent = "…";
    find("#people").textContent = "";
    this.#showButtons(false);
    this.#inbox.load(id).then(
      () => this.#show(),
      () => {},
    );
    this.#show();
  }

  close() {
    this.#id = null;
  }

  /** The person does not take part any more. */
  showGone() {
    if (find("#participants").hidden) find("#title").textContent = "Conversation";
    this.#showButtons(false);
    this.close();
  }

  #show() {
    const row = this.#inbox.get(this.#id);
    if (!row || !this.#client.user) return;
    const { length } = row.participants;
    find("#title").textContent = titleOf(row, this.#client.user);
    find("#people").textContent = peopleOf(row, this.#client.user);
    find("#participants").textContent = length === 1 ? "1 person" : `${length} people`;
    this.#showButtons(true);
  }

  #showButtons(isShown) {
    find("#options").hidden = find("#participants").hidden = !isShown;
  }

  #openOptions(button) {
    const row = this.#inbox.get(this.#id);
    openMenu(button, {
      "Change the title": () => rename(this.#client, row),
      "Add people": () => addPeople(this.#client, row),
      "Leave the conversation": () => leave(this.#client, row),
    });
  }
}
