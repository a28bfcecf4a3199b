import {
  changeEmail,
  changePassword,
  deleteAccount,
  editProfile,
  exportData,
  signOut,
} from "./account.js";
import { Client } from "./client.js";
import { ConversationView } from "./conversation.js";
import { startConversation } from "./dialogs.js";
import { find, fullName, make, openMenu, tell } from "./dom.js";
import { Inbox } from "./inbox.js";
import { Keyboard } from "./keyboard.js";
import { openLink, takeLink } from "./links.js";
import { Notifications } from "./notifications.js";
import { showBlocked } from "./people.js";
import { Search } from "./search.js";
import { Welcome } from "./welcome.js";

const read = (name) => find(`meta[name=${name}]`).content;
const demo = JSON.parse(read("demo"));
const as = new URLSearchParams(location.search).get("as");
// The demo accounts have a session each, so that they can talk in two windows.
const client = new Client({ api: read("api"), name: as ? `chat-${as}` : "chat" });
const inbox = new Inbox(client);
const search = new Search(client, inbox);
const conversation = new ConversationView(client, inbox);
const keyboard = new Keyboard(client);
const notifications = new Notifications(client, inbox);
const welcome = new Welcome(client, leaveWelcome);
const NO_DEMO =
  "This demo account cannot sign in. If it is missing, run manage.py seed_demo. If it was deactivated, or " +
  "its password changed, undo that in the admin.";
const UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";
// Nothing else becomes part of a request's path.
const PLACE = new RegExp(`^#(${UUID})(?:/(${UUID}))?$`);
let shown = null; // the user_id for whom the page was set up, or undefined
let hasLink = false; // a link in an e-mail was followed

function show() {
  const { user } = client;
  find("#welcome").hidden = user !== null && !hasLink;
  find("#chat").hidden = user === null || hasLink;
  find("#welcome").classList.toggle("has-link", hasLink);
  find("#reason").textContent = client.reason ? `You were signed out: ${client.reason}` : "";
  if (user) find("#account").textContent = fullName(user);
  if (user?.user_id === shown) return;
  const wasShown = Boolean(shown);
  shown = user?.user_id;
  conversation.close();
  inbox.clear();
  search.clear();
  document.querySelectorAll("dialog").forEach((dialog) => dialog.close());
  if (!user && !hasLink) {
    welcome.signIn();
    if (wasShown) welcome.focus();
  }
  if (!user) return;
  client.followInbox();
  route();
}

/** Storage may have been cleared, which no event says in the same tab. Nothing is done without a user. */
function checkUser(event) {
  if (client.user?.user_id === shown) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  show();
}

function leaveWelcome() {
  hasLink = false;
  show();
  if (client.user) return;
  welcome.signIn();
  welcome.focus();
}

function followLink() {
  const link = takeLink();
  if (!link) return;
  hasLink = true;
  document.querySelectorAll("dialog").forEach((dialog) => dialog.close());
  show();
  openLink(link, client, welcome);
}

function route() {
  const [, id, messageId] = location.hash.match(PLACE) ?? [];
  find("#chat").classList.toggle("is-open", Boolean(id));
  if (!client.user) return;
  if (id) conversation.open(id, messageId, search.text);
  else closeConversation();
  inbox.select(id);
}

/** Goes back to its row. */
function closeConversation() {
  const hadFocus = find("#conversation").contains(document.activeElement);
  conversation.close();
  if (hadFocus) (find("#inbox [aria-current]") ?? find("#new")).focus();
}

function showDemo() {
  if (!demo.length) return;
  const links = demo.map(({ name, first_name }) =>
    make("li", {}, make("a", { className: "primary", href: `?as=${name}` }, first_name)),
  );
  find("#demo").hidden = false;
  find("#demo ul").replaceChildren(...links);
  const account = demo.find(({ name }) => name === as);
  if (!account) return;
  const others = demo.filter((other) => other !== account);
  const open = ({ name, first_name }) =>
    make("a", { href: `?as=${name}`, target: "_blank" }, first_name);
  find("#hint").hidden = false;
  find("#hint").append("Demo: open a second window as ");
  others.forEach((other, n) => find("#hint").append(n ? " or " : "", open(other)));
  if (client.user || client.reason) return;
  client.signIn(account.email, account.password).catch((error) => {
    find("#reason").textContent = error.code === "no_active_account" ? NO_DEMO : error.message;
  });
}

function showStart() {
  if (as) location.href = location.pathname;
  else location.hash = "";
}

find("#new").onclick = find("#start").onclick = () => startConversation(client);
find("#account").onclick = ({ currentTarget }) =>
  openMenu(currentTarget, {
    Profile: () => editProfile(client),
    "E-mail address": () => changeEmail(client),
    "Change password": () => changePassword(client),
    ...notifications.actions,
    "Blocked people": () => showBlocked(client),
    "Keyboard shortcuts": () => keyboard.show(),
    "Export your data": () => exportData(client),
    "Delete account": () => deleteAccount(client),
    "Sign out": () => signOut(client, showStart),
  });

client.addEventListener("session", show);
for (const type of ["click", "keydown", "submit"]) addEventListener(type, checkUser, true);
client.addEventListener("connection", ({ detail }) => {
  find("#connection").textContent = detail.error ? `${detail.error.message} Trying again…` : "";
});
client.addEventListener("cancelled", () => {
  tell("Cancelled, unless the server had done it already.");
  client.loadProfile().catch(() => {}); // no event says that it has changed
});
addEventListener("hashchange", () => {
  followLink();
  route();
});
followLink();
show();
showDemo();
