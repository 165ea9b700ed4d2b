/** What the colours mean that are on the screen just now. */

import { html, svg } from "./dom.js";
import { MEANINGS } from "./roles.js";

const WIDTH = 190;

export class Legend {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    this.body = html("div", { class: "legend-body" });
    this.element = html("details", { class: "legend", open: innerWidth > 860 }, html("summary", {}, "Legend"), this.body);
  }

  update() {
    const { colouring, strip } = this.app.painter;
    const parts = colouring?.scale ? [] : [this.roles()];
    if (this.app.state.tab === "diff") parts.push(this.app.diffBar.legend());
    else if (this.hasFlows()) parts.push(flows());
    if (colouring?.scale) parts.push(this.bar(colouring, `nodes: ${colouring.title}`));
    if (strip?.scale) parts.push(this.bar(strip, `channels: ${strip.title}`));
    this.body.replaceChildren(...parts);
  }

  hasFlows() {
    return this.app.state.backward && this.app.shownGraphs().some((number) => this.app.graphs[number].hasBackward);
  }

  roles() {
    const shown = new Set();
    for (const pane of this.app.panes) {
      for (const drawn of pane.items.values()) {
        shown.add(drawn.card.role);
        for (const part of drawn.card.parts) if (part.role) shown.add(part.role);
      }
    }
    const known = Object.keys(MEANINGS).filter((role) => shown.has(role));
    return html(
      "ul",
      { class: "roles" },
      known.map((role) => html("li", {}, html("span", { class: `swatch role-${role}` }), MEANINGS[role])),
    );
  }

  bar({ scale, write }, title) {
    const { theme } = this.app.state;
    const cells = Array.from({ length: 48 }, (_, index) =>
      svg("rect", { x: (index * WIDTH) / 48, width: WIDTH / 48 + 0.5, height: 10, fill: scale.colourAt((index + 0.5) / 48, theme) }),
    );
    const ticks = [0, 0.5, 1].map((share) =>
      svg(
        "text",
        { class: "tick", x: share * WIDTH, y: 22, "text-anchor": ["start", "middle", "end"][share * 2] },
        beyond(share, scale) + write(scale.valueAt(share)),
      ),
    );
    const kind = scale.logarithmic ? " (logarithmic)" : "";
    return html(
      "div",
      { class: "scale" },
      html("p", {}, title + kind),
      svg("svg", { width: WIDTH, height: 26, viewBox: `0 0 ${WIDTH} 26`, role: "img", "aria-label": title }, ...cells, ...ticks),
    );
  }
}

/** The sign before an end that some values lie beyond. */
function beyond(share, scale) {
  if (!scale.clipped) return "";
  if (share === 1) return "\u2265\u2009";
  return share === 0 && scale.signed ? "\u2264\u2009" : "";
}

function flows() {
  const line = (flow, text) =>
    html("li", {}, svg("svg", { class: `curve flow-${flow}`, width: 26, height: 10 }, svg("path", { class: "line", d: "M0 5h26" })), text);
  return html("ul", { class: "flows" }, line("value", "value"), line("gradient", "gradient"), line("kept", "kept for backward"));
}
