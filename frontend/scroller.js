import { find } from "./dom.js";

const END_PX = 40; // how near to its end the list counts as scrolled down

/** The part of the page in which messages are scrolled. */
export const scroller = {
  get abovePx() {
    return find("#scroller").scrollTop;
  },

  get belowPx() {
    const { scrollHeight, scrollTop, clientHeight } = find("#scroller");
    return scrollHeight - scrollTop - clientHeight;
  },

  get isAtEnd() {
    return this.belowPx < END_PX;
  },

  scrollToEnd() {
    find("#scroller").scrollTop = find("#scroller").scrollHeight;
  },

  /** Brings the element into sight, and to where a screen reader reads. */
  goTo(element) {
    element.scrollIntoView({ block: "center" });
    element.tabIndex = -1;
    element.focus({ preventScroll: true });
  },

  /** What is in sight stays where it is when `change()` adds messages above it. */
  keep(change) {
    const { scrollTop } = find("#scroller");
    const anchor = [...document.querySelectorAll("#messages .message")].find(
      (element) => element.offsetTop + element.offsetHeight > scrollTop,
    );
    const distance = anchor?.offsetTop - scrollTop;
    change();
    if (anchor?.isConnected) find("#scroller").scrollTop = anchor.offsetTop - distance;
  },
};
