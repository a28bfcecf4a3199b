import { announce, fullName, make, openMenu, timeOf } from "./dom.js";
import { markIn } from "./mark.js";

const paragraph = (className, ...children) => make("p", { className }, ...children);

/** The parts of a message. `actions` is {label: action}, for its menu. `words` are marked in the text. */
export function showMessage(message, { isOwn, isNamed, actions, words }) {
  const { message_body, sent_at, updated_at } = message;
  const isDeleted = message_body === null;
  const meta = paragraph("meta", make("time", { dateTime: sent_at }, timeOf(sent_at)));
  if (!isDeleted && updated_at !== sent_at) meta.append(" · edited");
  if (!isDeleted) {
    const onclick = ({ currentTarget }) => openMenu(currentTarget, actions);
    const ariaLabel = "Options of this message";
    const properties = { type: "button", className: "icon", ariaLabel, ariaHasPopup: "true" };
    meta.append(make("button", { ...properties, onclick }, "⋯"));
  }
  const name = isOwn ? "You" : fullName(message.sender);
  return [
    make(
      "p",
      { className: isNamed ? "sender" : "visually-hidden", dir: "auto" },
      isNamed ? name : `${name}:`,
    ),
    isDeleted
      ? paragraph("text deleted", "Message deleted")
      : markIn(showText(message_body), words),
    meta,
  ];
}

/** Says new messages to screen readers. */
export function announceMessages(messages) {
  const say = ({ sender, message_body }) =>
    `${fullName(sender)}: ${message_body ?? "Message deleted"}`;
  announce(messages.map(say).join("\n"));
}

/** The parts of a message in the outbox. `actions` is {label: action}, for a refused one. */
export function showUnsent({ message_body, error }, actions) {
  const buttons = Object.entries(actions).map(([label, onclick]) =>
    make("button", { type: "button", className: "link", onclick }, label),
  );
  const meta = error ? [`Not sent. ${error}`, ...buttons] : ["Sending…"];
  return [paragraph("visually-hidden", "You:"), showText(message_body), paragraph("meta", ...meta)];
}

/** Text in any direction, and never HTML. */
function showText(text) {
  return make("p", { className: "text", dir: "auto" }, text);
}
