import { find, isTouch, tell } from "./dom.js";
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
 * Where messages are written and edited. What is half written is stored, and all tabs show it.
 *
 * Events: `sent` when a message is in the outbox, `edit` when an edit begins or ends, and `resize` when
 * the box may have another height.
 */
export class Composer extends EventTarget {
  #client;
  #room = null;
  #draftKey = null;
  #editKey = null;
  #edited = null;
  #saving = null; // an AbortController, until a double click is over

  constructor(client) {
    super();
    this.#client = client;
    addEventListener("storage", ({ key }) => {
      if (this.#room && [this.#draftKey, this.#editKey].includes(key)) this.#restore();
    });
    find("#editing button").onclick = () => {
      this.#cancel();
      find("#text").focus();
    };
    find("#composer").onsubmit = (event) => {
      event.preventDefault();
      this.#submit();
    };
    find("#text").oninput = () => {
      this.#keep();
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
    const { user_id } = this.#client.user;
    this.#draftKey = this.#client.storageKey(user_id, "draft", room.id);
    this.#editKey = this.#client.storageKey(user_id, "edit", room.id);
    this.#restore();
  }

  close() {
    this.#say("");
    this.#room = this.#edited = this.#saving = null;
  }

  /** Shows what was half written, here or in another tab. */
  #restore() {
    const edit = storage.get(this.#editKey);
    this.#show(edit?.message ?? null, edit?.text ?? storage.get(this.#draftKey) ?? "");
  }

  #show(edited, text) {
    this.#edited = edited;
    find("#editing").hidden = !edited;
    find("#composer .primary").textContent = edited ? "Save" : "Send";
    this.#write(text);
    this.dispatchEvent(new Event("edit"));
  }

  /** The message that is edited, or null. */
  get edited() {
    return this.#edited;
  }

  edit(message) {
    this.#show(message, message.message_body);
    this.#keep();
    find("#text").focus();
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
    this.#keep();
    find("#text").focus();
  }

  #write(text) {
    if (find("#text").value !== text) find("#text").value = text;
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

  #keep() {
    const text = find("#text").value;
    if (this.#edited) storage.set(this.#editKey, { message: this.#edited, text });
    else if (text) storage.set(this.#draftKey, text);
    else storage.delete(this.#draftKey);
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
    this.#saving?.abort();
    this.#stopEditing();
  }

  #stopEditing() {
    if (!this.#edited) return;
    storage.delete(this.#editKey);
    this.#restore();
  }

  #submit() {
    if (this.#saving) return;
    const text = find("#text").value;
    this.#say("");
    if (!text.trim() || find("#composer .primary").disabled) return;
    if (!this.#edited) this.#send(text);
    else if (this.#isChange(text)) this.#saveEdit(text);
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
    this.#keep();
    this.dispatchEvent(new Event("sent"));
  }

  /** Whether there is something to save. A change from elsewhere is first shown to the person. */
  #isChange(text) {
    const { message_id, message_body, updated_at } = this.#edited;
    const now = this.#room.messages.find((message) => message.message_id === message_id);
    // As the box has them.
    const texts = [message_body, now?.message_body ?? message_body].map((body) =>
      body.replace(/\r\n?/g, "\n"),
    );
    if (texts.includes(text)) this.#stopEditing();
    else if (now?.updated_at > updated_at) {
      this.#show(now, text);
      this.#keep();
      this.#say("It was changed on another device meanwhile. Save again to replace that.");
    } else return true;
    return false;
  }

  async #saveEdit(text) {
    const message = this.#edited;
    const key = this.#editKey;
    const saving = (this.#saving = new AbortController());
    const button = find("#composer .primary");
    const isHere = () => this.#editKey === key && this.#edited?.message_id === message.message_id;
    button.textContent = "Saving…";
    try {
      const saved = await this.#room.edit(message, text, saving.signal);
      const { value } = find("#text");
      if (isHere() && value === text) this.#stopEditing();
      else if (isHere())
        this.#show(saved, value); // the person has typed on
      else if (storage.get(key)?.text === text) storage.delete(key);
    } catch (error) {
      if (saving.signal.aborted) return;
      if (!isHere()) return tell(`Your edit was not saved. ${error.message}`);
      this.#say(`Not saved. ${error.message}`);
      button.textContent = "Save";
    } finally {
      setTimeout(() => this.#saving === saving && (this.#saving = null), DOUBLE_CLICK_MS);
    }
  }

  #say(text) {
    find("#error").textContent = text;
  }
}
