import { make } from "./dom.js";

/** Matches the words as the API finds them: literally, in upper and lower case. */
const matcher = (words) => new RegExp(words.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"), "giu");

/** The pieces of the text, with the words in <mark>. */
export function mark(text, words) {
  if (!words) return [text];
  const pieces = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(matcher(words))) {
    pieces.push(text.slice(end, index), make("mark", {}, found));
    end = index + found.length;
  }
  return [...pieces, text.slice(end)];
}

const WORDS_BEFORE = 10; // also counts spaces
const MAX_CHARACTERS = 500; // more than fits into the two lines of an excerpt
const words = new Intl.Segmenter(undefined, { granularity: "word" });

/** Of the text, what begins shortly before the first of the words, which may be far down in it. */
export function excerpt(text, searched) {
  const index = text.search(matcher(searched));
  const before = [...words.segment(text.slice(0, Math.max(index, 0)))];
  const start = before.at(-WORDS_BEFORE)?.index ?? 0;
  return (start > 0 ? "…" : "") + text.slice(start, start + MAX_CHARACTERS);
}
