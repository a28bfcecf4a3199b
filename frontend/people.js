/** The people of a conversation, and the people that one has blocked. */

import { addPeople } from "./dialogs.js";
import { find, fullName, isolate, make, setChildren, tell } from "./dom.js";
import { ask, openDialog } from "./forms.js";

const PATIENCE = 5; // seconds
const MAY_REMOVE = ["host", "admin"];

const button = (label, person, onclick) =>
  make("button", { type: "button", ariaLabel: `${label} ${fullName(person)}`, onclick }, label);

const nameOf = (person, ...notes) =>
  make(
    "span",
    {},
    make("bdi", {}, fullName(person)),
    notes.length ? make("span", { className: "hint" }, ` ${notes.join(", ")}`) : null,
  );

/** Shows who takes part, and follows the inbox while it is open. */
export function showPeople(client, inbox, id) {
  const me = client.user;
  const list = make("ul", { className: "rows" });
  const add = make(
    "button",
    { type: "button", onclick: () => addPeople(client, inbox.get(id)) },
    "Add people",
  );
  const note = make("p", { className: "hint" });
  const dialog = openDialog("People", list, note);
  find("form", dialog).prepend(add);
  const items = new Map(); // elements by what they show, so that they keep the focus
  const show = () => {
    const row = inbox.get(id);
    if (!row) return dialog.close();
    const mine = row.participants.find(({ user_id }) => user_id === me.user_id);
    note.textContent = MAY_REMOVE.includes(mine?.role)
      ? ""
      : "Hosts and admins can remove people. Staff give these roles.";
    const hadFocus = list.contains(document.activeElement);
    setChildren(
      list,
      row.participants.map((person) => {
        const state = JSON.stringify([person, mine?.role]);
        if (items.has(state)) return items.get(state);
        const isMe = person === mine;
        const notes = [isMe ? "you" : "", person.role === "guest" ? "" : person.role];
        const buttons = isMe ? [] : [button("Block", person, () => block(client, person))];
        if (!isMe && MAY_REMOVE.includes(mine?.role))
          buttons.unshift(button("Remove", person, () => remove(client, id, person)));
        items.set(state, make("li", {}, nameOf(person, ...notes.filter(Boolean)), ...buttons));
        return items.get(state);
      }),
    );
    if (hadFocus && !list.contains(document.activeElement)) add.focus();
  };
  inbox.addEventListener("change", show);
  dialog.addEventListener("close", () => inbox.removeEventListener("change", show));
  show();
}

function remove(client, id, person) {
  ask({
    title: `Remove ${isolate(fullName(person))}?`,
    text: "They will not see this conversation any more. Their messages stay.",
    submit: "Remove",
    isDangerous: true,
    async action({ signal }) {
      const body = { user_id: person.user_id };
      const path = `/conversations/${id}/remove_participant/`;
      await client.request(path, { method: "POST", body, patience: PATIENCE, signal });
      client.wake();
    },
  });
}

export function block(client, person) {
  ask({
    title: `Block ${isolate(fullName(person))}?`,
    text:
      "They cannot start a conversation with you, add you to one, or find you by your address any more. " +
      "You lose the conversations that only you two share, for good. If you want to report a message, do it first.",
    submit: "Block",
    isDangerous: true,
    async action({ signal }) {
      const path = `/users/${person.user_id}/block/`;
      await client.request(path, { method: "POST", patience: PATIENCE, signal });
      client.wake();
      tell(`${isolate(fullName(person))} is blocked. You can undo it in the menu with your name.`);
    },
  });
}

export async function showBlocked(client) {
  const list = make("ul", { className: "rows" });
  const text = make("p", {}, "Loading…");
  const dialog = openDialog("Blocked people", text, list);
  const say = (error) =>
    (text.textContent = error?.message ?? (list.children.length ? "" : "You have blocked nobody."));
  try {
    for (let path = "/users/blocked/?page_size=100"; path;) {
      const { results, next } = await client.request(path, { patience: PATIENCE });
      for (const person of results) {
        const item = make("li", {}, nameOf(person));
        const unblock = async () => {
          const options = { method: "DELETE", patience: PATIENCE };
          await client.request(`/users/${person.user_id}/block/`, options);
          const next = item.nextElementSibling ?? item.previousElementSibling ?? dialog;
          item.remove();
          find("button", next).focus();
          say();
        };
        item.append(button("Unblock", person, () => unblock().catch(say)));
        list.append(item);
      }
      path = next;
    }
    say();
  } catch (error) {
    say(error);
  }
}
