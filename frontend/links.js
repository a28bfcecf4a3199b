/** The links in e-mails: `#reset?uid=…&token=…`, `#verify?uid=…&token=…` and `#verify?token=…`. */

import { newPassword } from "./account.js";
import { make } from "./dom.js";
import { makeForm } from "./forms.js";

/**
 * The link at which the page was opened, {name, uid?, token}, or null. It is removed from the address,
 * and so from the browser's history. What follows the # is sent to no server.
 */
export function takeLink() {
  const [, name, query] = location.hash.match(/^#(reset|verify)\?(.*)$/) ?? [];
  if (!name) return null;
  history.replaceState(null, "", location.pathname + location.search);
  const { uid, token } = Object.fromEntries(new URLSearchParams(query));
  return { name, token, ...(uid && { uid }) };
}

/** Shows what the link is for. A click is needed, because programs open links in e-mails, too. */
export function openLink({ name, ...values }, client, welcome) {
  if (name === "reset") resetPassword(values, client, welcome);
  else if (values.uid) verifyEmail(values, client, welcome);
  else confirmChange(values, client, welcome);
}

function resetPassword(values, client, welcome) {
  const form = makeForm({
    fields: { new_password: newPassword },
    submit: "Save the password",
    busy: "Saving…",
    action: (body) =>
      follow(
        client,
        "/users/reset_password_confirm/",
        { ...values, ...body },
        {
          done: () =>
            finish(
              welcome,
              "Your password is changed",
              "You are signed out everywhere. Sign in with it.",
            ),
          dead: () =>
            welcome.forgot({
              title: DEAD,
              text:
                "It was used before, or has expired, or you have signed in since it was sent. We can send you a " +
                "new one.",
            }),
        },
      ),
  });
  welcome.goTo("Choose a new password", form, welcome.back);
}

function verifyEmail(values, client, welcome) {
  const text = "Confirm it only if you have created an account here yourself.";
  const form = confirmation(client, "/users/verify_email/", values, {
    done: () => finish(welcome, "Thank you", "Your e-mail address is confirmed."),
    dead: () =>
      welcome.askForLink({
        title: DEAD,
        text:
          "It was used before, or has expired. If your address is confirmed already, sign in. Otherwise we " +
          "can send you a new link.",
        path: "/users/resend_verification/",
      }),
  });
  welcome.goTo("Is this your e-mail address?", [make("p", {}, text), form], welcome.back);
}

function confirmChange(values, client, welcome) {
  const text = "The address to which this link was sent becomes that of your account.";
  const form = confirmation(client, "/users/set_email_confirm/", values, {
    done: () =>
      finish(welcome, "Thank you", "From now on, you sign in with your new e-mail address."),
    dead: ({ fields }) => {
      const reason = Object.values(fields).flat().join(" ");
      const text = `${reason} Sign in, and choose “E-mail address” in the menu with your name.`;
      finish(welcome, "Your address was not changed", text);
    },
  });
  welcome.goTo("Use this e-mail address?", [make("p", {}, text), form], welcome.back);
}

const DEAD = "This link does not work any more";

const confirmation = (client, path, values, ends) =>
  makeForm({
    submit: "Confirm",
    busy: "Confirming…",
    action: () => follow(client, path, values, ends),
  });

/** `dead(error)` if the link was used, has expired or is not whole. */
async function follow(client, path, values, { done, dead }) {
  try {
    await client.post(path, values);
  } catch (error) {
    if (!error.fields?.token && !error.fields?.uid) throw error;
    return dead(error);
  }
  // If it is of whoever is signed in here, their address has changed, or their session has ended.
  if (client.user) client.loadProfile().catch(() => {});
  done();
}

function finish(welcome, title, text) {
  const button = make("button", { type: "button", className: "primary", onclick: welcome.leave });
  button.append("Continue");
  welcome.goTo(title, [make("p", {}, text), button]);
}
