/** What people do with their own account. */

import { isolate, make, tell } from "./dom.js";
import { download } from "./export.js";
import { ask, openDialog } from "./forms.js";

const PROFILE_MS = 1_000; // then the form opens with what is known

const currentPassword = {
  label: "Current password",
  type: "password",
  autocomplete: "current-password",
  required: true,
};

export const newPassword = {
  label: "New password",
  type: "password",
  autocomplete: "new-password",
  hint: "At least 8 characters, no common password, and not like your name.",
  required: true,
};

export function editProfile(client) {
  const { first_name, last_name, phone_number } = client.user;
  ask({
    title: "Profile",
    fields: {
      first_name: {
        label: "First name",
        value: first_name,
        autocomplete: "given-name",
        required: true,
      },
      last_name: {
        label: "Last name",
        value: last_name,
        autocomplete: "family-name",
        required: true,
      },
      phone_number: {
        label: "Phone number (optional)",
        value: phone_number,
        type: "tel",
        autocomplete: "tel",
        hint: "With the country’s code, such as +14155552671.",
      },
    },
    submit: "Save",
    busy: "Saving…",
    async action({ signal, ...fields }) {
      await client.updateProfile(fields, signal);
      tell("Your profile was saved.");
    },
  });
}

export async function changeEmail(client) {
  const { user_id } = client.user;
  // It may have been changed on another device.
  await client.loadProfile(AbortSignal.timeout(PROFILE_MS)).catch(() => {});
  if (client.user?.user_id !== user_id) return;
  const { email } = client.user;
  const state = make("span", { role: "status" });
  const resend = make("button", { type: "button", className: "link" }, "Send a link");
  resend.onclick = async () => {
    resend.disabled = true;
    try {
      await client.post("/users/resend_verification/", { email });
      resend.remove();
      state.textContent = "If it is not confirmed yet, a link is on its way.";
    } catch (error) {
      resend.disabled = false;
      state.textContent = error.message;
    }
  };
  ask({
    title: "E-mail address",
    text: make("span", {}, `Your address is ${isolate(email)}. Not confirmed yet? `, resend, state),
    fields: {
      new_email: {
        label: "New e-mail address",
        type: "email",
        autocomplete: "email",
        hint: "We will send a link to it. Your address changes when you follow the link.",
        required: true,
      },
      current_password: currentPassword,
    },
    submit: "Send the link",
    busy: "Sending…",
    async action({ signal, ...body }) {
      const options = { method: "POST", body, patience: 0, signal };
      await client.request("/users/set_email/", options);
      const text =
        `Follow the link that we have sent to ${isolate(body.new_email)}, within three days. ` +
        `Until then your address stays ${isolate(email)}, to which we have sent a notice.`;
      openDialog("Check your e-mail", make("p", {}, text));
    },
  });
}

export function changePassword(client) {
  ask({
    title: "Change password",
    text: "You will be signed out everywhere else.",
    fields: { current_password: currentPassword, new_password: newPassword },
    submit: "Change",
    busy: "Changing…",
    async action({ current_password, new_password, signal }) {
      await client.setPassword(current_password, new_password, signal);
      tell("Your password was changed.");
    },
  });
}

export function exportData(client) {
  ask({
    title: "Export your data",
    text:
      "A file with your profile, your conversations and every message that you have written. It has a " +
      "JSON object on each line.",
    submit: "Export",
    busy: "Exporting…",
    action: ({ signal }) => download(client, signal),
  });
}

export function deleteAccount(client) {
  ask({
    title: "Delete your account?",
    text: "This cannot be undone. What you wrote stays, under “Deleted user”.",
    fields: { current_password: currentPassword },
    submit: "Delete account",
    busy: "Deleting…",
    isDangerous: true,
    async action({ current_password, signal }) {
      await client.deleteAccount(current_password, signal);
      tell("Your account was deleted.");
    },
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
