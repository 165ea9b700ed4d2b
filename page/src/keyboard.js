/** What keys do; `KEYS` is also what the help shows. */

export const KEYS = [
  ["/", "search; Enter and Shift+Enter go from one hit to the next"],
  ["arrows", "walk from node to node"],
  ["Enter", "open or close the selected module"],
  ["Backspace", "close the module around the selected node"],
  ["+  \u2212", "zoom"],
  ["0", "fit everything"],
  ["space", "play the epochs, or the difference"],
  ["[  ]", "one epoch back, one further"],
  ["d", "dark or light"],
  ["Esc", "close the panel, end the search"],
  ["?", "this list"],
];

/** @param {import("./app.js").App} app */
export function listenToKeys(app) {
  const acts = {
    "/": () => app.search.focus(),
    ArrowUp: () => app.walk("up"),
    ArrowDown: () => app.walk("down"),
    ArrowLeft: () => app.walk("left"),
    ArrowRight: () => app.walk("right"),
    Enter: () => app.toggleSelected(),
    Backspace: () => app.closeAround(),
    "+": () => app.zoom(1.3),
    "=": () => app.zoom(1.3),
    "-": () => app.zoom(1 / 1.3),
    0: () => app.fit(),
    " ": () => (app.state.tab === "diff" ? app.diffBar.toggle() : app.timeline.toggle()),
    "[": () => app.timeline.step(-1),
    "]": () => app.timeline.step(1),
    d: () => app.toggleTheme(),
    Escape: () => app.escape(),
    "?": () => app.help.showModal(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || app.help.open) return;
    const { target } = event;
    // Fields take their own keys; so do buttons those that press them.
    if (target.closest?.("input, select, textarea") && event.key !== "Escape") return;
    if (target.closest?.("button, summary") && [" ", "Enter"].includes(event.key)) return;
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}
