/** What is under the pointer: its neighbours light up, and a small note says more. */

import { html } from "./dom.js";
import * as numbers from "./numbers.js";
import { channelAt } from "./strips.js";

export class Hover {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    this.element = html("div", { class: "note-box", role: "tooltip", hidden: true });
    this.key = null;
  }

  moved(event, pane) {
    const item = event.target.closest("[data-key]");
    const curve = event.target.closest(".curve");
    const strip = event.target.closest(".strip");
    this.light(item?.dataset.key ?? null, pane);
    const text = strip ? this.channelText(strip, item.dataset.key, event, pane) : curve ? this.curveText(curve, pane) : this.valueText(item, pane);
    this.tell(text, event);
  }

  left() {
    this.light(null, null);
    this.element.hidden = true;
  }

  tell(text, event) {
    this.element.hidden = !text;
    if (!text) return;
    this.element.textContent = text;
    const { left, top, width } = this.app.stage.getBoundingClientRect();
    const x = Math.min(event.clientX - left + 14, width - this.element.offsetWidth - 8);
    this.element.style.left = `${Math.max(x, 4)}px`;
    this.element.style.top = `${event.clientY - top + 16}px`;
  }

  channelText(strip, key, event, pane) {
    const { painter } = this.app;
    const drawn = pane.items.get(key);
    const graph = this.app.graphs[drawn.graph ?? pane.graph];
    const item = drawn.item ?? pane.scene.view.items.get(key);
    const values = painter.strip?.of(item, painter.frameOf(graph));
    if (!values) return "";
    const box = strip.querySelector(".empty").getBoundingClientRect();
    const across = (event.clientX - box.left) / box.width;
    const down = (event.clientY - box.top) / box.height;
    const channel = channelAt(values.length, Number(strip.dataset.width), across, down);
    return channel === null ? "" : `channel ${channel} of ${values.length}: ${painter.strip.title} ${painter.strip.write(values[channel])}`;
  }

  curveText(curve, pane) {
    const { tail, head } = curve.dataset;
    const link = pane.scene.view.links.find((other) => other.tail === tail && other.head === head && curve.classList.contains(`flow-${other.flow}`));
    if (!link) return "";
    const what = { value: "", gradient: "gradient ", kept: "kept for backward: " }[link.flow];
    return link.edges.slice(0, 4).map((edge) => `${what}${numbers.shape(edge.shape)} ${edge.dtype}${edge.argument ? ` as ${edge.argument}` : ""}`).join("\n");
  }

  valueText(element, pane) {
    const { colouring } = this.app.painter;
    if (!element || !colouring) return "";
    const drawn = pane.items.get(element.dataset.key);
    if (!drawn) return "";
    const graph = this.app.graphs[drawn.graph ?? pane.graph];
    const item = drawn.item ?? pane.scene.view.items.get(element.dataset.key);
    const value = colouring.of(item, this.app.painter.frameOf(graph));
    return value === null ? "" : `${colouring.title}: ${colouring.write(value)}`;
  }

  /** Light up an item, what it is the derivative of, and the edges of both; beside each other, its twin, too. */
  light(key, pane) {
    if (key === this.key) return;
    this.key = key;
    for (const element of document.querySelectorAll(".lit, .partner")) element.classList.remove("lit", "partner");
    if (!key) return;
    for (const each of this.app.panes) if (each === pane || this.app.panes.length > 1) this.lightIn(each, key);
  }

  lightIn(pane, key) {
    const drawn = pane.items.get(key);
    if (!drawn) return;
    drawn.element.classList.add("lit");
    const graph = this.app.graphs[drawn.graph ?? pane.graph];
    const node = graph.byKey.get(key);
    const partners = new Set();
    if (node) {
      if (node.derivative_of !== null) partners.add(graph.nodes.get(node.derivative_of)?.key);
      for (const other of graph.derivatives.get(node.id) ?? []) partners.add(other.key);
    }
    for (const partner of partners) pane.items.get(partner)?.element.classList.add("partner");
    for (const curve of pane.svg.querySelectorAll(".curve")) {
      if (curve.dataset.tail === key || curve.dataset.head === key) curve.classList.add("lit");
    }
  }
}
