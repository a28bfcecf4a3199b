/** The questions that the page asks. */

import { find, fullName, isolate, make, titleOf } from "./dom.js";
import { ask, openDialog } from "./forms.js";
import { PeoplePicker } from "./picker.js";
import { randomUUID } from "./platform.js";
import { Refused } from "./requests.js";

const PATIENCE = 5; // seconds

const personField = {
  label: "Name or e-mail address",
  autocomplete: "off",
  hint: "People you share a conversation with are found by their name, anybody else by their whole e-mail address.",
};
const MAX_CHARACTERS = 100; // without a title, it is the names of up to 255 people
const titleField = { autocomplete: "off" };

/** Names who was refused, such as somebody who has blocked the person. The API names an id. */
const nameRefused = (people) => (error) => {
  const refused = people.filter(({ user_id }) => error.message.includes(user_id));
  if (!refused.length) throw error;
  const names = refused.map((person) => isolate(fullName(person))).join(", ");
  const [field] = Object.keys(error.fields);
  throw new Refused(400, { [field]: [`Not possible with ${names}.`] });
};

/** The people in `chosen` are chosen when it opens. */
export function startConversation(client, chosen = []) {
  const key = randomUUID();
  const dialog = ask({
    title: "New conversation",
    fields: {
      participants: personField,
      title: { ...titleField, label: "Title (optional)" },
    },
    submit: "Start",
    async action({ title, signal }) {
      const people = await picker.getPeople(signal);
      const participants = people.map((person) => person.user_id);
      const distinct = participants.length === 1 && !title;
      const options = { patience: PATIENCE, signal };
      const conversation = await client
        .request("/conversations/", {
          ...options,
          method: "POST",
          body: { participants, title, distinct },
          key: distinct ? null : key,
        })
        .catch(nameRefused(people));
      const path = `/conversations/${conversation.conversation_id}/`;
      // The response to the first try was lost, and the title was another one then.
      if (title.trim() && title.trim() !== conversation.title)
        await client.request(path, { ...options, method: "PATCH", body: { title } });
      client.wake();
      dialog.close();
      // At once, so that the next key is for the conversation, and also if it is the open one.
      location.hash = conversation.conversation_id;
      dispatchEvent(new HashChangeEvent("hashchange"));
    },
  });
  const input = find("[name=participants]", dialog);
  const picker = new PeoplePicker(client, input, [client.user], chosen);
}

export function rename(client, { conversation_id, title }) {
  ask({
    title: "Title of the conversation",
    fields: {
      title: {
        ...titleField,
        label: "Title",
        value: title,
        hint: "Empty for the names of the others.",
      },
    },
    submit: "Save",
    async action({ signal, ...body }) {
      // Somebody else may have changed it meanwhile.
      if (body.title === title) return;
      const options = { method: "PATCH", body, patience: PATIENCE, signal };
      await client.request(`/conversations/${conversation_id}/`, options);
      client.wake();
    },
  });
}

export function addPeople(client, { conversation_id, participants }) {
  const others = participants.filter(({ user_id }) => user_id !== client.user.user_id);
  const onclick = () => {
    dialog.close();
    startConversation(client, others);
  };
  const startGroup = make(
    "button",
    { type: "button", className: "link", onclick },
    "Start a new group",
  );
  const dialog = ask({
    title: "Add people",
    text: make(
      "span",
      {},
      "They will see everything that was written here. If they should not: ",
      startGroup,
    ),
    fields: { user_id: personField },
    submit: "Add",
    async action({ signal }) {
      const options = { method: "POST", patience: PATIENCE, signal };
      const path = `/conversations/${conversation_id}/add_participant/`;
      const people = await picker.getPeople(signal);
      for (const { user_id } of people)
        await client.request(path, { ...options, body: { user_id } }).catch(nameRefused(people));
      client.wake();
    },
  });
  const picker = new PeoplePicker(client, find("[name=user_id]", dialog), participants);
}

export function leave(client, conversation) {
  const title = titleOf(conversation, client.user);
  const shown = title.length > MAX_CHARACTERS ? `${title.slice(0, MAX_CHARACTERS)}…` : title;
  ask({
    title: "Leave the conversation?",
    text: `You will not see “${isolate(shown)}” any more. Your messages stay.`,
    submit: "Leave",
    isDangerous: true,
    async action({ signal }) {
      const path = `/conversations/${conversation.conversation_id}/leave/`;
      await client.request(path, { method: "POST", patience: 0, signal }).catch((error) => {
        if (error.status !== 404) throw error; // already left
      });
      location.hash = "";
      client.wake();
    },
  });
}

export function deleteMessage(room, message) {
  ask({
    title: "Delete the message?",
    text: "Its text will be gone for everybody.",
    submit: "Delete",
    isDangerous: true,
    action: ({ signal }) => room.delete(message, signal),
  });
}

export function reportMessage(client, { message_id, sender }) {
  ask({
    title: "Report the message?",
    text: `Staff will see it, with your name. ${isolate(fullName(sender))} is not told.`,
    fields: { reason: { label: "What is wrong with it? (optional)" } },
    submit: "Report",
    async action({ signal, ...body }) {
      const path = `/messages/${message_id}/report/`;
      await client.request(path, { method: "POST", body, patience: PATIENCE, signal });
      openDialog("Thank you", make("p", {}, "Staff will look at the message."));
    },
  });
}
