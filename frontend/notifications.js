import { find, fullName, isTouch, make, titleOf } from "./dom.js";
import { openDialog } from "./forms.js";
import { storage } from "./platform.js";

/** Pages on phones cannot show notifications, and nobody can on plain http. */
const isPossible = "Notification" in window && Boolean(navigator.locks) && !isTouch();

/**
 * Notifications of new messages, while no tab is visible. They are offered once, and asked for only
 * after a click.
 */
export class Notifications {
  #client;
  #key;
  #lock; // shared by the tabs that are visible
  #hide = () => {}; // gives the lock back
  #user = null; // the user_id for whom the first page of the inbox has come
  #newest = new Map(); // the last `sent_at` that is known, by conversation
  #shown = new Map(); // notifications, by conversation

  constructor(client, inbox) {
    this.#client = client;
    this.#key = client.storageKey("notifications");
    this.#lock = client.storageKey("visible");
    if (!isPossible) return;
    inbox.addEventListener("change", () => {
      this.#close(inbox.rows);
      this.#look(inbox.rows);
    });
    client.addEventListener("inbox", () => (this.#user = client.user?.user_id));
    document.addEventListener("visibilitychange", () => this.#shareVisibility());
    this.#shareVisibility();
    find("#offer .primary").onclick = () => this.#turnOn();
    find("#offer .link").onclick = () => this.#store(false);
    const isOver = storage.get(this.#key) !== null || Notification.permission === "denied";
    find("#offer").hidden = isOver;
  }

  /** {label: action} for a menu. */
  get actions() {
    if (!isPossible) return {};
    if (this.#isOn) return { "Turn notifications off": () => this.#store(false) };
    return { "Turn notifications on": () => this.#turnOn() };
  }

  get #isOn() {
    return Notification.permission === "granted" && storage.get(this.#key) === true;
  }

  async #turnOn() {
    const isGranted = (await Notification.requestPermission()) === "granted";
    this.#store(isGranted);
    if (isGranted) return;
    const text =
      "Your browser does not let this page notify you. You can allow it in its settings.";
    openDialog("Notifications are off", make("p", {}, text));
  }

  #store(isOn) {
    storage.set(this.#key, isOn);
    if (find("#offer").contains(document.activeElement)) find("#account").focus();
    find("#offer").hidden = true;
  }

  #shareVisibility() {
    this.#hide();
    if (document.hidden) return;
    const hidden = new Promise((resolve) => (this.#hide = resolve));
    navigator.locks.request(this.#lock, { mode: "shared" }, () => hidden);
  }

  async #isSeen() {
    return (await navigator.locks.query()).held.some(({ name }) => name === this.#lock);
  }

  /** Those of what was read or left, and after signing out all. */
  #close(rows) {
    const unread = rows.filter((row) => row.unread_count > 0).map((row) => row.conversation_id);
    for (const [id, notification] of this.#shown) {
      if (unread.includes(id)) continue;
      notification.close();
      this.#shown.delete(id);
    }
  }

  async #look(rows) {
    const { user } = this.#client;
    const news = rows.filter((row) => {
      const sentAt = row.last_message?.sent_at ?? "";
      if (sentAt <= (this.#newest.get(row.conversation_id) ?? "")) return false;
      this.#newest.set(row.conversation_id, sentAt);
      return row.unread_count > 0 && row.last_message.sender.user_id !== user.user_id;
    });
    if (!news.length || this.#user !== user.user_id || !this.#isOn || (await this.#isSeen()))
      return;
    news.forEach((row) => this.#show(row, user));
  }

  /** The tabs of a browser show one: the next one with the same tag replaces it. */
  #show(row, user) {
    const { conversation_id, last_message } = row;
    const notification = new Notification(titleOf(row, user), {
      body: `${fullName(last_message.sender)}: ${last_message.message_body ?? "Message deleted"}`,
      tag: conversation_id,
      icon: "icon.svg",
    });
    this.#shown.set(conversation_id, notification);
    notification.onclick = () => {
      window.focus();
      location.hash = conversation_id;
      notification.close();
    };
  }
}
