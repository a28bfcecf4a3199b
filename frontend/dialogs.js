/** The questions that the page asks. */

import { Refused } from "./client.js";
import { fullName, isolate, titleOf } from "./dom.js";
import { ask } from "./forms.js";
import { randomUUID } from "./platform.js";

const PATIENCE = 5; // seconds

const refuse = (field, text) => {
  throw new Refused(400, { [field]: [text] });
};

async function findPerson(client, field, email) {
  const path = `/users/?email=${encodeURIComponent(email)}`;
  const { results } = await client.request(path, { patience: PATIENCE });
  return results[0] ?? refuse(field, `Nobody here has the address ${email}.`);
}

export function startConversation(client) {
  const key = randomUUID();
  ask({
    title: "New conversation",
    fields: {
      emails: {
        label: "E-mail address",
        inputMode: "email",
        autocomplete: "off",
        hint: "To start a group, separate the addresses with commas.",
      },
      title: { label: "Title (optional)", autocomplete: "off" },
    },
    submit: "Start",
    async action({ emails, title }) {
      const addresses = emails.split(/[\s,;]+/).filter(Boolean);
      if (!addresses.length) refuse("emails", "Enter an e-mail address.");
      const people = await Promise.all(
        addresses.map((email) => findPerson(client, "emails", email)),
      );
      const participants = people.map((person) => person.user_id);
      const others = new Set(participants.filter((id) => id !== client.user.user_id));
      if (!others.size) refuse("emails", "This is your own address.");
      const distinct = others.size === 1 && !title;
      const options = {
        method: "POST",
        body: { participants, title, distinct },
        patience: PATIENCE,
      };
      const conversation = await client.request("/conversations/", {
        ...options,
        key: distinct ? null : key,
      });
      client.wake();
      location.hash = conversation.conversation_id;
    },
  });
}

export function rename(client, { conversation_id, title }) {
  ask({
    title: "Title of the conversation",
    fields: {
      title: {
        label: "Title",
        value: title,
        autocomplete: "off",
        hint: "Empty for the names of the others.",
      },
    },
    submit: "Save",
    async action(body) {
      await client.request(`/conversations/${conversation_id}/`, {
        method: "PATCH",
        body,
        patience: PATIENCE,
      });
      client.wake();
    },
  });
}

export function addPerson(client, { conversation_id, participants }) {
  ask({
    title: "Add a person",
    text: "They will see the whole conversation.",
    fields: { user_id: { label: "E-mail address", type: "email", autocomplete: "off" } },
    submit: "Add",
    async action({ user_id: email }) {
      if (!email.trim()) refuse("user_id", "Enter an e-mail address.");
      const person = await findPerson(client, "user_id", email.trim());
      const { user_id } = person;
      if (participants.some((other) => other.user_id === user_id))
        refuse("user_id", `${isolate(fullName(person))} is here already.`);
      const path = `/conversations/${conversation_id}/add_participant/`;
      await client.request(path, { method: "POST", body: { user_id }, patience: PATIENCE });
      client.wake();
    },
  });
}

export function leave(client, conversation) {
  ask({
    title: "Leave the conversation?",
    text: `You will not see “${isolate(titleOf(conversation, client.user))}” any more. Your messages stay.`,
    submit: "Leave",
    isDangerous: true,
    async action() {
      const path = `/conversations/${conversation.conversation_id}/leave/`;
      await client.request(path, { method: "POST", patience: 0 }).catch((error) => {
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
    action: () => room.delete(message),
  });
}

export function editProfile(client) {
  const { first_name, last_name, phone_number } = client.user;
  ask({
    title: "Profile",
    text: `You are signed in as ${client.user.email}.`,
    fields: {
      first_name: { label: "First name", value: first_name, autocomplete: "given-name" },
      last_name: { label: "Last name", value: last_name, autocomplete: "family-name" },
      phone_number: {
        label: "Phone number (optional)",
        value: phone_number,
        type: "tel",
        autocomplete: "tel",
        hint: "With the country’s code, such as +14155552671.",
      },
    },
    submit: "Save",
    action: (fields) => client.updateProfile(fields),
  });
}

const currentPassword = {
  label: "Current password",
  type: "password",
  autocomplete: "current-password",
};

export function changePassword(client) {
  ask({
    title: "Change password",
    text: "You will be signed out everywhere else.",
    fields: {
      current_password: currentPassword,
      new_password: { label: "New password", type: "password", autocomplete: "new-password" },
    },
    submit: "Change",
    action: ({ current_password, new_password }) =>
      client.setPassword(current_password, new_password),
  });
}

export function deleteAccount(client) {
  ask({
    title: "Delete your account?",
    text: "This cannot be undone. What you wrote stays, under “Deleted user”.",
    fields: { current_password: currentPassword },
    submit: "Delete account",
    isDangerous: true,
    action: ({ current_password }) => client.deleteAccount(current_password),
  });
}

export function signOut(client, after) {
  const unsent = client.outbox().length;
  const leaveNow = async () => {
    await client.signOut().catch(() => {}); // without a connection the session ends by itself
    after();
  };
  if (!unsent) return leaveNow();
  ask({
    title: "Sign out?",
    text: `Messages that were not sent will be lost: ${unsent}.`,
    submit: "Sign out",
    isDangerous: true,
    action: leaveNow,
  });
}
