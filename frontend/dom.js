/** What the page's modules share. Text is set as text: nothing here takes HTML. */

export const find = (selector, root = document) => root.querySelector(selector);

/** `make("a", { href: "#1" }, "text", element)`; a property such as `onclick` is set as one. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  // First: with `dir="auto"`, the browser reads the whole text again for each child that is added.
  element.append(...children.filter((child) => child !== null));
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else if (value !== null) element.setAttribute(name, value);
  }
  return element;
}

/** Gives the list these children. Elements that stay are not moved, so that they keep the focus. */
export function setChildren(list, elements) {
  const staying = new Set(elements);
  [...list.children].forEach((child) => staying.has(child) || child.remove());
  elements.forEach((element, n) => {
    if (list.children[n] !== element) list.insertBefore(element, list.children[n] ?? null);
  });
}

/** A screen keyboard would cover what is shown. */
export const isTouch = () => matchMedia("(pointer: coarse)").matches;

/** For a click on a link to the place that is open, which changes nothing otherwise. */
export function openAgain({ href }) {
  if (href === location.href) dispatchEvent(new HashChangeEvent("hashchange"));
}

/** For a name inside a sentence, which may run in the other direction. */
export const isolate = (text) => `\u2068${text}\u2069`;

/** For screen readers. The paragraph is new, so that the same text is read out again. */
export const announce = (text) =>
  find("#live").replaceChildren(...(text ? [make("p", {}, text)] : []));

let timer; // removes the toast

/** Says for some seconds that something was done. */
export function tell(text) {
  const toast = find("#toast");
  toast.textContent = text;
  toast.hidePopover();
  toast.showPopover(); // above the dialogs that are open
  clearTimeout(timer);
  timer = setTimeout(() => {
    toast.hidePopover();
    toast.textContent = "";
  }, 5_000);
}

export const fullName = (person) => `${person.first_name} ${person.last_name}`;

/** The title, or else the others' names, or who wrote last before leaving. */
export function titleOf({ title, participants, last_message }, me) {
  const others = participants.filter((person) => person.user_id !== me.user_id);
  if (title || others.length) return title || others.map(fullName).join(", ");
  const hasLeft = last_message && last_message.sender.user_id !== me.user_id;
  return hasLeft ? `${fullName(last_message.sender)} (left)` : "Only you";
}

/** Everybody's names, the person's own last. Empty if they are the title. */
export function peopleOf({ title, participants }, me) {
  const others = participants.filter((person) => person.user_id !== me.user_id);
  if (!others.length) return "Nobody else is here.";
  return title ? [...others.map(fullName), "you"].join(", ") : "";
}

// `Date` is for showing only: it drops the microseconds.
const format = (options) => {
  const formatter = new Intl.DateTimeFormat(undefined, options);
  return (timestamp) => formatter.format(new Date(timestamp));
};
export const dayOf = format({ weekday: "long", day: "numeric", month: "long", year: "numeric" });
export const timeOf = format({ hour: "numeric", minute: "2-digit" });
const shortDay = format({ day: "numeric", month: "short" });
const shortDate = format({ day: "numeric", month: "short", year: "numeric" });
const yearOf = (timestamp) => new Date(timestamp).getFullYear();

/** The time of today, the day of this year, or the date. */
export function shortTime(timestamp) {
  const now = Date.now();
  if (dayOf(timestamp) === dayOf(now)) return timeOf(timestamp);
  return (yearOf(timestamp) === yearOf(now) ? shortDay : shortDate)(timestamp);
}

/** Opens a menu below the button; `items` is {label: action}. */
export function openMenu(button, items) {
  const menu = find("#menu");
  const act = (action) => () => {
    menu.hidePopover();
    action();
  };
  const buttons = Object.entries(items).map(([label, action]) =>
    make("button", { type: "button", onclick: act(action) }, label),
  );
  menu.hidePopover();
  menu.replaceChildren(...buttons);
  menu.ariaLabel = button.ariaLabel ?? button.textContent;
  // The browser gives the focus back to the button.
  menu.onbeforetoggle = ({ newState }) => (button.ariaExpanded = String(newState === "open"));
  menu.onkeydown = (event) => moveInMenu(event, buttons);
  menu.showPopover();
  const { bottom, top, left, right } = button.getBoundingClientRect();
  const below = bottom + menu.offsetHeight < innerHeight;
  menu.style.top = `${Math.max(8, below ? bottom : top - menu.offsetHeight)}px`;
  const start = button.matches(":dir(rtl)") ? left : right - menu.offsetWidth;
  menu.style.left = `${Math.max(8, Math.min(start, innerWidth - 8 - menu.offsetWidth))}px`;
  buttons[0].focus();
}

function moveInMenu(event, buttons) {
  const n = buttons.indexOf(document.activeElement);
  const last = buttons.length - 1;
  const next = n < last ? n + 1 : 0;
  const places = { ArrowUp: n > 0 ? n - 1 : last, ArrowDown: next, Home: 0, End: last };
  if (event.key === "Tab") event.currentTarget.hidePopover();
  if (!(event.key in places)) return;
  event.preventDefault();
  buttons[places[event.key]].focus();
}
