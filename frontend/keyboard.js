import { isComposing } from "./composer.js";
import { find, make } from "./dom.js";
import { openDialog } from "./forms.js";
import { storage } from "./platform.js";

const CONTROL = navigator.platform.startsWith("Mac") ? "⌘" : "Ctrl";
const SHORTCUTS = {
  Everywhere: [
    ["Next or previous conversation", "Alt ↓", "Alt ↑"],
    ["Search", `${CONTROL} K`, "/"],
    ["New conversation", "n"],
    ["This list", `${CONTROL} /`, "?"],
  ],
  "In the message box": [
    ["Send", "Enter"],
    ["New line", "Shift Enter"],
    ["Edit your last message, if the box is empty", "↑"],
    ["Cancel an edit", "Esc"],
  ],
  "In the messages": [
    ["Another message", "↑", "↓", "Home", "End"],
    ["Its options", "Enter"],
    ["Edit or delete your own", "e", "Delete"],
    ["Back to the message box", "Esc"],
  ],
};

/** The shortcuts of the page. A person can switch off those of a single key. */
export class Keyboard {
  #key;

  constructor(client) {
    this.#key = client.storageKey("single-keys-off");
    addEventListener("keydown", (event) => {
      if (event.defaultPrevented || isComposing(event)) return;
      if (find("#chat").hidden || find("dialog[open]")) return;
      const action = this.#actionOf(event);
      if (!action) return;
      event.preventDefault();
      action();
    });
  }

  #actionOf({ key, altKey, ctrlKey, metaKey, target }) {
    const isControl = ctrlKey || metaKey;
    const show = () => this.show();
    // On some keyboards both are held to write a character.
    if (altKey && isControl) return null;
    if (altKey) return { ArrowDown: () => go(1), ArrowUp: () => go(-1) }[key];
    if (isControl) return { k: search, "/": show }[key.toLowerCase()];
    if (key === "Escape" && target.closest("#messages")) return () => find("#text").focus();
    if (target.matches("input, textarea") || storage.get(this.#key)) return null;
    return { "/": search, n: () => find("#new").click(), "?": show }[key];
  }

  /** The list of the shortcuts. */
  show() {
    const groups = Object.entries(SHORTCUTS).flatMap(([title, rows]) => [
      make("h3", {}, title),
      make("dl", {}, ...rows.map(([label, ...keys]) => showRow(label, keys))),
    ]);
    const onchange = ({ target }) => this.#switch(target.checked);
    const checked = !storage.get(this.#key);
    const box = make("input", { type: "checkbox", checked, onchange });
    const choice = make("label", { className: "switch" }, box, "Use the shortcuts of a single key");
    const heading = find("h2", openDialog("Keyboard shortcuts", ...groups, choice));
    heading.tabIndex = -1;
    heading.focus(); // and not what is below, to which a small page would scroll
  }

  #switch(isOn) {
    if (isOn) storage.delete(this.#key);
    else storage.set(this.#key, true);
  }
}

function showRow(label, keys) {
  const shown = keys.map((key) => make("kbd", { dir: "ltr" }, key));
  return make("div", {}, make("dt", {}, label), make("dd", {}, ...shown));
}

/** Opens the conversation that is so many below the open one. */
function go(step) {
  const links = [...document.querySelectorAll("#inbox a")];
  const n = links.findIndex((link) => link.hasAttribute("aria-current"));
  const next = links[n < 0 ? 0 : n + step];
  next?.scrollIntoView({ block: "nearest" });
  next?.click();
}

function search() {
  const input = find("#search input");
  if (input.checkVisibility()) return input.select();
  // On a narrow page the search is beside the inbox.
  addEventListener("hashchange", () => input.select(), { once: true });
  location.hash = "";
}
