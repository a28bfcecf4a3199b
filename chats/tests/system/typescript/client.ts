/* Registers two people, signs one in, sends three messages, pages through them, edits and deletes
   one, and follows the changes: what a front end does, with no type but those that the description gives. */
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Message = components["schemas"]["Message"];

const [site, suffix] = process.argv.slice(2);
if (!site || !suffix) throw new Error("node client.js <site> <suffix of addresses>");
const api = createClient<paths>({ baseUrl: site });

async function register(first_name: string): Promise<components["schemas"]["Profile"]> {
  const { data, error } = await api.POST("/api/users/", {
    body: {
      email: `${first_name}.${suffix}@example.com`,
      password: "tide over the moor",
      first_name,
      last_name: "Test",
    },
  });
  if (!data) throw new Error(JSON.stringify(error));
  return data;
}

const ann = await register("ann");
const ben = await register("ben");

const refused = await api.POST("/api/token/", {
  body: { email: ann.email, password: "wrong" },
});
if (refused.response.status !== 401 || !refused.error) throw new Error("let in");

const signedIn = await api.POST("/api/token/", {
  body: { email: ann.email, password: "tide over the moor" },
});
if (!signedIn.data) throw new Error(JSON.stringify(signedIn.error));
const { access } = signedIn.data;
api.use({
  onRequest: ({ request }) => request.headers.set("Authorization", `Bearer ${access}`),
});

const started = await api.POST("/api/conversations/", {
  body: { participants: [ben.user_id] },
});
if (!started.data) throw new Error(JSON.stringify(started.error));
const { conversation_id } = started.data;
const path = { conversation_id };

for (const message_body of ["one", "two", "three"]) {
  const { data, error } = await api.POST("/api/conversations/{conversation_id}/messages/", {
    params: { path, header: { "Idempotency-Key": message_body } },
    body: { message_body },
  });
  if (!data) throw new Error(JSON.stringify(error));
}

const received: Message[] = [];
let cursor: string | undefined;
do {
  const { data, error } = await api.GET("/api/conversations/{conversation_id}/messages/", {
    params: {
      path,
      query: { ordering: "sent_at", page_size: 2, ...(cursor ? { cursor } : {}) },
    },
  });
  if (!data) throw new Error(JSON.stringify(error));
  received.push(...data.results);
  cursor = data.next ? (new URL(data.next).searchParams.get("cursor") ?? undefined) : undefined;
} while (cursor);

const [first, second] = received;
if (!first || !second) throw new Error("nothing received");
const edited = await api.PATCH("/api/messages/{message_id}/", {
  params: { path: { message_id: first.message_id } },
  body: { message_body: "One" },
});
if (!edited.data) throw new Error(JSON.stringify(edited.error));
const deleted = await api.DELETE("/api/messages/{message_id}/", {
  params: { path: { message_id: second.message_id } },
});
if (deleted.response.status !== 204) throw new Error("not deleted");
const changes = await api.GET("/api/conversations/{conversation_id}/messages/", {
  params: {
    path,
    query: { ordering: "updated_at", updated_at_after: received[2]?.updated_at ?? "" },
  },
});
const changed: (string | null)[] = changes.data?.results.map((row) => row.message_body) ?? [];

const renamed = await api.PATCH("/api/conversations/{conversation_id}/", {
  params: { path },
  body: { title: "Numbers" },
});
const read = await api.POST("/api/conversations/{conversation_id}/read/", {
  params: { path },
  body: { read_at: first.sent_at },
});
const unread: number | undefined = read.data?.unread_count;

const list = await api.GET("/api/conversations/");
const last: Message | null | undefined = list.data?.results[0]?.last_message;

console.log(
  JSON.stringify({
    received: received.map((message) => message.message_body),
    changed,
    title: renamed.data?.title,
    unread,
    last: last?.message_body,
    role: ann.role satisfies "guest" | "host" | "admin",
  }),
);
