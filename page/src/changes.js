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
    html(
      "ul",
      { class: "counts" },
      counts.map(([status, count]) => html("li", { class: `diff-${status}` }, html("b", {}, SIGNS[status]), `${count} ${status}`)),
    ),
    html(
      "ul",
      { class: "differences" },
      diff.all.map(({ key, statuses, lines }) =>
        html(
          "li",
          { class: `diff-${statuses[0]}` },
          html("button", { class: "link", onclick: () => hooks.select(key) }, key),
          lines.map((line) => html("p", {}, line)),
        ),
      ),
    ),
  ];
}
