import { fullName, make, openMenu, timeOf } from "./dom.js";
import { showText } from "./text.js";

const paragraph = (className, ...children) => make("p", { className }, ...children);

/**
 * The parts of a message. `actions` is {label: action}, for its menu. `words` are marked in the text.
 * `fold` is what `showText()` takes.
 */
export function showMessage(message, { isOwn, isNamed, actions, words, fold }) {
  const { message_body, sent_at, updated_at } = message;
  const isDeleted = message_body === null;
  const state = make("span", {}, make("time", { dateTime: sent_at }, timeOf(sent_at)));
  if (!isDeleted && updated_at !== sent_at) state.append(" · edited");
  const meta = paragraph("meta", state);
  if (Object.keys(actions).length) {
    const onclick = ({ currentTarget }) => openMenu(currentTarget, actions);
    const ariaLabel = "Options of this message";
    const properties = { type: "button", className: "icon", ariaLabel, ariaExpanded: "false" };
    meta.append(make("button", { ...properties, onclick }, "⋯"));
  }
  const [text, ...more] = isDeleted
    ? [paragraph("text deleted", "Message deleted")]
    : showText(message_body, { ...fold, words });
  const name = isOwn ? "You" : fullName(message.sender);
  return [
    make(
      "p",
      { className: isNamed ? "sender" : "visually-hidden", dir: "auto" },
      isNamed ? name : `${name}:`,
    ),
    make("div", { className: "body" }, text, ...more, meta),
  ];
}

/** The parts of a message in the outbox. `actions` is {label: action}, for a refused one. */
export function showUnsent({ message_body, error, reason }, { actions, fold }) {
  const buttons = Object.entries(actions).map(([label, onclick]) =>
    make("button", { type: "button", className: "link", onclick }, label),
  );
  const waiting = reason ? `Sending… ${reason} Trying again.` : "Sending…";
  const state = make("span", {}, error ? `Not sent. ${error}` : waiting);
  const meta = paragraph("meta", state, ...(error ? buttons : []));
  const body = make("div", { className: "body" }, ...showText(message_body, fold), meta);
  return [paragraph("visually-hidden", "You:"), body];
}
