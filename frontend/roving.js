const FOCUSABLE = "a[href], button, [tabindex]";

/**
 * Makes a list one stop for the Tab key. Arrow keys, Home and End go from item to item. `items` is
 * their selector. `choose(items, last)` returns the one that Tab goes to, where `last` had the focus
 * last. Tab also stops at the links and buttons of that item.
 */
export function rove(list, items, choose) {
  const find = () => [...list.querySelectorAll(items)];
  let current = null;
  list.addEventListener("focusin", ({ target }) => (current = target.closest(items)));
  list.addEventListener("keydown", (event) => {
    const found = find();
    const n = found.indexOf(event.target.closest(items));
    const last = found.length - 1;
    const places = { ArrowUp: n - 1, ArrowDown: n + 1, Home: 0, End: last };
    const isModified = event.altKey || event.ctrlKey || event.metaKey || event.shiftKey;
    if (n < 0 || isModified || !(event.key in places)) return;
    event.preventDefault();
    const next = found[Math.min(Math.max(places[event.key], 0), last)];
    (next.matches(FOCUSABLE) ? next : next.querySelector(FOCUSABLE)).focus();
  });
  // It only matters when Tab is pressed. So items may come and go meanwhile.
  const setStops = () => {
    if (!current?.contains(document.activeElement)) current = choose(find(), current);
    for (const element of list.querySelectorAll(FOCUSABLE))
      element.tabIndex = current?.contains(element) ? 0 : -1;
  };
  document.addEventListener("keydown", ({ key }) => key === "Tab" && setStops(), true);
}
