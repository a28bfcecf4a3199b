import { find } from "./dom.js";

/** Where messages are written and edited. `sent` is dispatched when one is in the outbox. */
export class Composer extends EventTarget {
  #client;
  #room = null;
  #drafts = new Map(); // by person and conversation
  #place = null;
  #edited = null;

  constructor(client) {
    super();
    this.#client = client;
    find("#editing button").onclick = () => this.#stopEditing();
    find("#composer").onsubmit = (event) => {
      event.preventDefault();
      this.#submit();
    };
    find("#text").onkeydown = (event) => {
      if (event.key === "Escape") this.#stopEditing();
      const isSend = event.key === "Enter" && !event.shiftKey && !event.isComposing;
      if (!isSend || matchMedia("(pointer: coarse)").matches) return;
      event.preventDefault();
      this.#submit();
    };
  }

  open(room) {
    this.#room = room;
    this.#place = `${this.#client.user.user_id} ${room.id}`;
    find("#text").value = this.#drafts.get(this.#place) ?? "";
  }

  close() {
    this.#stopEditing();
    this.#say("");
    this.#drafts.set(this.#place, find("#text").value);
    this.#room = null;
  }

  edit(message) {
    if (!this.#edited) this.#drafts.set(this.#place, find("#text").value);
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
    find("#text").value = this.#drafts.get(this.#place) ?? "";
  }

  #submit() {
    const text = find("#text").value;
    this.#say("");
    if (!text.trim()) return;
    if (this.#edited) this.#saveEdit(text);
    else this.#send(text);
  }

  #send(text) {
    try {
      this.#client.send(this.#room.id, text);
    } catch {
      return this.#say("The browser’s storage is full.");
    }
    find("#text").value = "";
    this.dispatchEvent(new Event("sent"));
  }

  async #saveEdit(text) {
    const message = this.#edited;
    try {
      await this.#room.edit(message, text);
      if (this.#edited === message) this.#stopEditing();
    } catch (error) {
      this.#say(error.message);
    }
  }

  #say(text) {
    find("#error").textContent = text;
  }
}
