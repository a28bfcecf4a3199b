import { make } from "./dom.js";
import { Later } from "./requests.js";

const LAST_LINE_BYTES = 200;

const brokeOff = () => new Later("The file broke off before its end. Try again.", {});

/** Saves everything that the person has written as a file. Raises Later if it broke off. */
export async function download(client, signal) {
  const { user_id: owner } = client.user;
  const options = { owner, isStream: true, signal };
  const { data } = await client.call("/users/me/export/", options);
  // The browser keeps a large one on disk.
  const type = "application/x-ndjson";
  const file = await new Response(data, { headers: { "Content-Type": type } }).blob().catch(() => {
    throw brokeOff();
  });
  if (!(await isWhole(file))) throw brokeOff();
  const href = URL.createObjectURL(file);
  const day = new Date().toISOString().slice(0, 10);
  make("a", { href, download: `chat-${day}.ndjson` }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000); // when it has been saved
}

/** The last line says how many come before it. */
async function isWhole(file) {
  const lines = (await file.slice(-LAST_LINE_BYTES).text()).trimEnd().split("\n");
  try {
    return JSON.parse(lines.at(-1)).lines === (await countLines(file)) - 1;
  } catch {
    return false;
  }
}

async function countLines(file) {
  const NEW_LINE = 10;
  const reader = file.stream().getReader();
  let count = 0;
  for (let part; !(part = await reader.read()).done;)
    for (const byte of part.value) if (byte === NEW_LINE) count++;
  return count;
}
