import { newPassword } from "./account.js";
import { find, isolate, make } from "./dom.js";
import { makeForm } from "./forms.js";

const email = { label: "E-mail address", type: "email", autocomplete: "username", required: true };

/** What somebody sees who is not signed in, or has followed a link: one panel at a time. */
export class Welcome {
  #client;

  /** `leave()` goes back to signing in, or to the conversations. */
  constructor(client, leave) {
    this.#client = client;
    this.leave = leave;
  }

  /** Shows a panel. `links` is {text: action}, for buttons below it. */
  show(title, content, links = {}) {
    const heading = make("h2", { id: "panel-title", tabIndex: -1 }, title);
    const buttons = Object.entries(links).map(([text, onclick]) =>
      make("button", { type: "button", className: "link", onclick }, text),
    );
    find("#panel").replaceChildren(heading, ...[content].flat());
    find("#links").replaceChildren(...buttons);
  }

  /** Shows a panel, and goes on reading there. */
  goTo(...panel) {
    this.show(...panel);
    this.focus();
  }

  focus() {
    (find("#panel input") ?? find("#panel-title")).focus();
  }

  signIn(value = "", ...children) {
    const form = makeForm({
      fields: {
        email: { ...email, value },
        password: {
          label: "Password",
          type: "password",
          autocomplete: "current-password",
          required: true,
        },
      },
      submit: "Sign in",
      busy: "Signing in…",
      action: ({ email, password }) =>
        this.#enter(email, () => this.#client.signIn(email, password)),
    });
    this.show("Sign in", [...children, form], {
      "Forgot your password?": () => this.forgot({ value: find("[name=email]", form).value }),
      "Create an account": () => this.register(),
    });
  }

  register() {
    const form = makeForm({
      fields: {
        first_name: { label: "First name", autocomplete: "given-name", required: true },
        last_name: { label: "Last name", autocomplete: "family-name", required: true },
        email,
        password: { ...newPassword, label: "Password" },
      },
      submit: "Create an account",
      busy: "Creating your account…",
      action: async (profile) => {
        await this.#client.register(profile);
        const signIn = () => this.#client.signIn(profile.email, profile.password);
        await this.#enter(profile.email, signIn).catch(({ message }) => {
          const text = `Your account was created. ${message}`;
          this.signIn(profile.email, make("p", { role: "alert" }, text));
          this.focus();
        });
      },
    });
    this.goTo("Create an account", form, {
      "Sign in with an account that you have": this.leave,
    });
  }

  /** Signs in. The address may have to be confirmed first. */
  async #enter(address, signIn) {
    try {
      await signIn();
    } catch (error) {
      if (error.code !== "email_not_verified") throw error;
      this.unconfirmed(address);
    }
  }

  unconfirmed(address) {
    const text = `To sign in, follow the link in the e-mail that we have sent to ${isolate(address)}.`;
    const form = makeForm({
      submit: "Send the link again",
      busy: "Sending…",
      action: async () => {
        await this.#client.post("/users/resend_verification/", { email: address });
        this.#sent(`Another link is on its way to ${isolate(address)}. Use it within three days.`);
      },
    });
    this.goTo("Confirm your e-mail address", [make("p", {}, text), form], this.back);
  }

  forgot(words) {
    this.askForLink({
      title: "Forgot your password?",
      text: "We will send you a link with which you can choose a new one.",
      path: "/users/reset_password/",
      ...words,
    });
  }

  /** A form for an address, to which a link is sent. The words after it are always the same. */
  askForLink({ title, text, path, value = "" }) {
    const form = makeForm({
      fields: { email: { ...email, value } },
      submit: "Send the link",
      busy: "Sending…",
      action: async (body) => {
        await this.#client.post(path, body);
        this.#sent(
          `If ${isolate(body.email)} has an account, a link is on its way. It can be used once, within three days. If ` +
            "nothing comes, look among the unwanted e-mails.",
        );
      },
    });
    this.goTo(title, [make("p", {}, text), form], this.back);
  }

  #sent(text) {
    this.goTo("Check your e-mail", make("p", {}, text), this.back);
  }

  get back() {
    const text = this.#client.user ? "Back to your conversations" : "Back to signing in";
    return { [text]: this.leave };
  }
}
