/** The text of a message: links, code and folding. It stays text: nothing here takes HTML. */

import { make } from "./dom.js";
import { mark } from "./mark.js";

// So long that it does not fit into the lines of a folded text, however wide the page is.
const LONG_CHARACTERS = 2_000;
const LONG_LINES = 25;
const MAX_NODES = 2_000; // the rest has no links and code, so that a page of such texts is quick

const PARTS = new RegExp(
  [
    "```(?<block>[^]+?)```(?<after>\\r?\\n)?",
    "(?<!\\w)`(?<code>[^`\\n]+)`(?!\\w)",
    // Spaces, invisible characters, and punctuation that is seldom in an address end it.
    '(?<link>(?<!\\w)https?://[^\\p{Z}\\p{C}<>"`\\\\“”„«»‹›「」『』【】《》、。，；：！？（）]+)',
  ].join("|"),
  "giu",
);
const BLOCK = /^(?<open>[ \t]*\r?\n)?(?<block>[^]*?)(?<close>\r?\n)?$/;
const PUNCTUATION = ".,;:!?'’…*_~";
const BRACKETS = { ")": "(", "]": "[", "}": "{" };

/** The nodes that show a text, with these words marked. Their `textContent` is the text. */
export function toNodes(text, words) {
  const nodes = [];
  let end = 0;
  for (const { 0: part, index, groups } of text.matchAll(PARTS)) {
    if (nodes.length > MAX_NODES) break;
    const { block, after, code, link } = groups;
    let shown;
    if (link) shown = showLink(withoutPunctuation(link), words);
    else if (code?.trim()) shown = showCode("`", code, words);
    else if (block?.trim()) shown = showBlock(block, after, words);
    if (!shown) continue;
    nodes.push(...mark(text.slice(end, index), words), ...shown);
    end = index + (link ? shown[0].textContent.length : part.length);
  }
  return [...nodes, ...mark(text.slice(end), words)].filter((node) => node !== "");
}

/** Without the punctuation of the sentence around the link, and brackets that it does not open. */
function withoutPunctuation(link) {
  const unopened = {};
  for (const [close, open] of Object.entries(BRACKETS))
    unopened[close] = link.split(close).length - link.split(open).length;
  let { length } = link;
  const isAround = (character) =>
    character in BRACKETS ? unopened[character]-- > 0 : PUNCTUATION.includes(character);
  while (isAround(link[length - 1])) length--;
  return link.slice(0, length);
}

/**
 * Where the link leads is what its text says. If the browser reads another host than is written, as
 * with letters that only look like Latin ones, the page shows it. With a name before an `@`, which
 * looks like a host, it is no link.
 */
function showLink(text, words) {
  if (!URL.canParse(text) || /^https?:\/\/[^/?#]*@/i.test(text)) return null;
  const { href, hostname } = new URL(text);
  const [, written] = /^https?:\/\/([^/?#]*?)(?::\d*)?(?:[/?#]|$)/i.exec(text);
  const properties = { target: "_blank", rel: "noopener noreferrer nofollow", dir: "ltr" };
  const host = written.toLowerCase() === hostname ? null : hostname;
  return [make("a", { href, ...properties, "data-host": host }, ...mark(text, words))];
}

const hide = (text) => make("span", { hidden: true }, text);

const toCode = (code, words) => make("code", { dir: "auto" }, ...mark(code, words));

const showCode = (ticks, code, words) => [hide(ticks), toCode(code, words), hide(ticks)];

/** A block has its own lines, so that the line breaks around it are not shown. */
function showBlock(text, after = "", words) {
  if (!text.includes("\n")) return [...showCode("```", text, words), after];
  const { open = "", block, close = "" } = BLOCK.exec(text).groups;
  const code = make("pre", {}, toCode(block, words));
  return [hide(`\`\`\`${open}`), code, hide(`${close}\`\`\`${after}`)];
}

/**
 * The element with the text, in which `words` are marked, and a button that unfolds it if it is long.
 * `onfold(isUnfolded)` is called when the person has unfolded or folded it.
 */
export function showText(text, { words, isUnfolded = false, onfold } = {}) {
  const element = make("div", { className: "text", dir: "auto" }, ...toNodes(text, words));
  const isLong = text.length > LONG_CHARACTERS || text.split("\n").length > LONG_LINES;
  if (!isLong || !onfold) return [element];
  const button = make("button", { type: "button", className: "link fold" });
  const fold = (isFolded) => {
    element.classList.toggle("folded", isFolded);
    button.textContent = isFolded ? "Show more" : "Show less";
    button.ariaExpanded = String(!isFolded);
  };
  const toggle = () => {
    fold(!element.classList.contains("folded"));
    onfold(!element.classList.contains("folded"));
  };
  button.onclick = toggle;
  // Only the browser's search, or the focus on a link, scrolls what is folded.
  element.onscroll = () => element.classList.contains("folded") && toggle();
  fold(!isUnfolded);
  return [element, button];
}

const visible = (node) =>
  [...node.childNodes].map((child) => (child.hidden ? "" : child.textContent)).join("");

/** What is selected of a text as it was written: code has its marks if it is selected with both. */
function written(fragment) {
  const codes = [...fragment.children].filter((element) => element.matches("pre, code"));
  for (const code of codes) {
    const marks = [code.previousSibling, code.nextSibling].filter((node) => node?.hidden);
    if (marks.length === 1) marks[0].remove();
  }
  return fragment.textContent;
}

/** Copies the text of one message as it was written. */
export function copyAsWritten(event) {
  const selection = getSelection();
  if (!selection.rangeCount) return;
  const selected = selection.getRangeAt(0);
  const texts = [...event.currentTarget.querySelectorAll(".text")]
    .filter((element) => selected.intersectsNode(element))
    .map((element) => {
      const range = document.createRange();
      range.selectNodeContents(element);
      if (selected.compareBoundaryPoints(Range.START_TO_START, range) > 0)
        range.setStart(selected.startContainer, selected.startOffset);
      if (selected.compareBoundaryPoints(Range.END_TO_END, range) < 0)
        range.setEnd(selected.endContainer, selected.endOffset);
      const isAll = visible(range.cloneContents()) === visible(element);
      return isAll ? element.textContent : written(range.cloneContents());
    })
    .filter(Boolean);
  if (texts.length !== 1) return;
  event.clipboardData.setData("text/plain", texts[0]);
  event.preventDefault();
}
