/** The panel's content while two graphs are compared and nothing is selected: every difference. */

import { SIGNS } from "./diff.js";
import { html } from "./dom.js";

/**
 * @param {import("./diff.js").Diff} diff
 * @param {object} hooks what to call: close(), select(key)
 * @returns {HTMLElement[]}
 */
export function changesOf(diff, hooks) {
  const { first, second, summary } = diff.data;
  const counts = Object.keys(SIGNS)
    .map((status) => [status, diff.all.filter(({ statuses }) => statuses.includes(status)).length])
    .filter(([, count]) => count);
  return [
    html(
      "header",
      {},
      html("h2", {}, `${first} \u2192 ${second}`),
      html("button", { class: "close", "aria-label": "close the panel", title: "close (Esc)", onclick: hooks.close }, "\u00d7"),
    ),
    html("p", { class: "lead" }, summary),
    counts.length > 1 && html(
      "ul",
      { class: "counts" },
      counts.map(([status, count]) => html("li", { class: `diff-${status}` }, html("b", {}, SIGNS[status]), `${count} ${status}`)),
    ),
    html(
      "ul",
      { class: "differences" },
      alike(diff.all).map((entries) =>
        html(
          "li",
          { class: `diff-${entries[0].statuses[0]}` },
          entries[0].lines.map((line) => html("p", {}, line)),
          entries.map(({ key }) => html("button", { class: "link", onclick: () => hooks.select(key) }, key)),
        ),
      ),
    ),
  ].filter(Boolean);
}

/** Differences of which the same is to be said, together. */
function alike(differences) {
  const found = new Map();
  for (const each of differences) {
    const said = each.lines.join("\n");
    if (found.has(said)) found.get(said).push(each);
    else found.set(said, [each]);
  }
  return [...found.values()];
}
