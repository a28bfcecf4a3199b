import { find, make } from "./dom.js";
import { Refused } from "./client.js";

let count = 0;

/**
 * A form. `fields` is {name: {label, hint?, …properties of the input}}. On submit, `action(values)`
 * runs, while the button says `busy`, and what it raises is shown, a Refused beside its fields. A field
 * that is `required` says so when it is empty.
 */
export function makeForm({ fields = {}, submit, busy = submit, action, onCancel, isDangerous }) {
  const inputs = {};
  const texts = {};
  const rows = Object.entries(fields).map(([name, { label, hint = "", ...properties }]) => {
    const id = `field-${++count}`;
    inputs[name] = make("input", { id, name, "aria-describedby": `${id}-text`, ...properties });
    texts[name] = make("p", { id: `${id}-text`, className: "hint" }, hint);
    inputs[name].addEventListener("input", () => showText(name));
    return make(
      "div",
      { className: "field" },
      make("label", { htmlFor: id }, label),
      inputs[name],
      texts[name],
    );
  });
  const alert = make("p", { role: "alert" });
  const button = make("button", { className: isDangerous ? "danger" : "primary" }, submit);
  const cancel = onCancel && make("button", { type: "button", onclick: onCancel }, "Cancel");

  /** What is wrong with the field, or its hint. */
  function showText(name, messages) {
    texts[name].textContent = messages?.join(" ") ?? fields[name].hint ?? "";
    inputs[name].ariaInvalid = String(messages !== undefined);
  }

  function show(error) {
    const messages = error instanceof Refused ? { ...error.fields } : {};
    Object.keys(texts).forEach((name) => showText(name, messages[name]));
    const names = Object.keys(messages);
    const others = names.filter((name) => !texts[name]).map((name) => messages[name].join(" "));
    alert.textContent = (names.length ? others.join(" ") : error?.message) ?? "";
    Object.values(inputs)
      .find((input) => input.ariaInvalid === "true")
      ?.focus();
  }

  function checkRequired() {
    const empty = Object.values(inputs).filter(({ required, value }) => required && !value.trim());
    const errors = empty.map(({ name }) => [name, ["Please fill this in."]]);
    if (errors.length) throw new Refused(400, Object.fromEntries(errors));
  }

  async function onsubmit(event) {
    event.preventDefault();
    show(null);
    button.disabled = true;
    button.textContent = busy;
    try {
      checkRequired();
      await action(
        Object.fromEntries(Object.entries(inputs).map(([name, { value }]) => [name, value])),
      );
    } catch (error) {
      show(error);
    } finally {
      button.disabled = false;
      button.textContent = submit;
    }
  }
  const buttons = make("div", { className: "buttons" }, cancel ?? null, button);
  return make("form", { noValidate: true, onsubmit }, ...rows, alert, buttons);
}

/** A dialog that removes itself when it is closed. */
export function openDialog(title, ...children) {
  const id = `dialog-${++count}`;
  const dialog = make("dialog", { "aria-labelledby": id, onclose: () => dialog.remove() });
  dialog.append(make("h2", { id }, title), ...children);
  const isForm = dialog.querySelector("form") !== null;
  if (!isForm)
    dialog.append(
      make("form", { method: "dialog", className: "buttons" }, make("button", {}, "Close")),
    );
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * A dialog with a form. Returns it. When it is closed, `signal` in `action({ signal, ...values })` is
 * aborted: a request with this signal ends, and what it would have led to does not happen.
 */
export function ask({ title, text = "", action, ...form }) {
  const end = new AbortController();
  const actAndClose = async (values) => {
    await action({ ...values, signal: end.signal });
    dialog.close();
  };
  const content = makeForm({ ...form, action: actAndClose, onCancel: () => dialog.close() });
  const dialog = openDialog(title, text && make("p", {}, text), content);
  dialog.addEventListener("close", () => end.abort());
  find("input", dialog)?.focus();
  return dialog;
}
