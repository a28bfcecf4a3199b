import { find, isTouch } from "./dom.js";
import { storage } from "./platform.js";

const MAX_CHARACTERS = 10_000;
// After an edit, the second click would send the draft.
const DOUBLE_CLICK_MS = 500;
const FEW_CHARACTERS = 500; // from here on, the page says how many are left

/**
 * Whether the key belongs to an input method. Safari sends the Enter that ends a composition after
 * `compositionend`, with the key code 229.
 */
export const isComposing = (event) => event.isComposing || event.keyCode === 229;

/**
 * Where messages are written and edited. `sent` is dispatched when one is in the outbox, and `edit`
 * when an edit begins or ends, and `resize` when the box may have another height.
 */
export class Composer extends EventTarget {
  #client;
  #room = null;
  #draftKey = null;
  #edited = null;
  #end = new AbortController(); // of saving the edit
  #isSaving = false;

  constructor(client) {
    super();
    this.#client = client;
    find("#editing button").onclick = () => this.#cancel();
    find("#composer").onsubmit = (event) => {
      event.preventDefault();
      this.#submit();
    };
    find("#text").oninput = () => {
      if (!this.#edited) this.#keepDraft();
      this.#fit();
      this.#count();
      this.dispatchEvent(new Event("resize"));
    };
    find("#text").onkeydown = (event) => {
      if (isComposing(event)) return;
      if (event.key === "Escape") this.#cancel();
      if (event.key === "ArrowUp") this.#editLast(event);
      if (event.key !== "Enter" || event.shiftKey || isTouch()) return;
      event.preventDefault();
      this.#submit();
    };
  }

  open(room) {
    this.#room = room;
    this.#draftKey = this.#client.storageKey(this.#client.user.user_id, "draft", room.id);
    this.#write(storage.get(this.#draftKey) ?? "");
  }

  close() {
    this.#stopEditing();
    this.#say("");
    this.#room = null;
  }

  /** The message that is edited, or null. */
  get edited() {
    return this.#edited;
  }

  edit(message) {
    this.#edited = message;
    this.#end = new AbortController();
    find("#editing").hidden = false;
    find("#composer .primary").textContent = "Save";
    this.#write(message.message_body);
    find("#text").focus();
    this.dispatchEvent(new Event("edit"));
  }

  #editLast(event) {
    const isPlain = !(event.altKey || event.ctrlKey || event.metaKey || event.shiftKey);
    if (!isPlain || this.#edited || find("#text").value) return;
    const { user_id } = this.#client.user;
    const last = this.#room.messages.findLast(
      ({ sender, message_body }) => sender.user_id === user_id && message_body !== null,
    );
    if (!last) return;
    event.preventDefault();
    this.edit(last);
  }

  /** Takes a message that was refused back, below what was written since. */
  takeBack({ message_body }) {
    this.#stopEditing();
    const text = find("#text").value;
    this.#write(text ? `${text}\n${message_body}` : message_body);
    this.#keepDraft();
    find("#text").focus();
  }

  #write(text) {
    find("#text").value = text;
    this.#fit();
    this.#count();
  }

  /** The box is as high as its text. Some browsers do that by themselves. */
  #fit() {
    if (CSS.supports("field-sizing", "content")) return;
    const box = find("#text");
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight + box.offsetHeight - box.clientHeight}px`;
  }

  #keepDraft() {
    const text = find("#text").value;
    try {
      if (text) storage.set(this.#draftKey, text);
      else storage.delete(this.#draftKey);
    } catch {
      // Storage is full. The draft lives as long as the page.
    }
  }

  #count() {
    const left = MAX_CHARACTERS - [...find("#text").value].length;
    const characters = `${Math.abs(left)} character${Math.abs(left) === 1 ? "" : "s"}`;
    const text = `${characters} ${left < 0 ? "too many" : "left"}`;
    find("#count").textContent = left < FEW_CHARACTERS ? text : "";
    find("#count").classList.toggle("over", left < 0);
    find("#composer .primary").disabled = left < 0;
  }

  #cancel() {
    if (this.#edited) this.#end.abort();
    this.#stopEditing();
  }

  #stopEditing() {
    if (!this.#edited) return;
    this.#edited = null;
    find("#editing").hidden = true;
    find("#composer .primary").textContent = "Send";
    this.#write(storage.get(this.#draftKey) ?? "");
    this.dispatchEvent(new Event("edit"));
  }

  #submit() {
    if (this.#isSaving) return;
    const text = find("#text").value;
    this.#say("");
    if (!text.trim() || find("#composer .primary").disabled) return;
    if (this.#edited) this.#saveEdit(text);
    else this.#send(text);
  }

  #send(text) {
    try {
      this.#client.send(this.#room.id, text);
    } catch {
      return this.#say(
        "The browser’s storage is full, so the message cannot be kept until it is sent.",
      );
    }
    this.#write("");
    this.#keepDraft();
    this.dispatchEvent(new Event("sent"));
  }

  async #saveEdit(text) {
    const message = this.#edited;
    const button = find("#composer .primary");
    this.#isSaving = true;
    button.textContent = "Saving…";
    try {
      await this.#room.edit(message, text, this.#end.signal);
      if (this.#edited === message) this.#stopEditing();
    } catch (error) {
      if (this.#edited !== message) return;
      this.#say(`Not saved. ${error.message}`);
      button.textContent = "Save";
    } finally {
      setTimeout(() => (this.#isSaving = false), DOUBLE_CLICK_MS);
    }
  }

  #say(text) {
    find("#error").textContent = text;
  }
}
