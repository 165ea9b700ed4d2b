/** The slider over the moments that were recorded. */

import { html } from "./dom.js";

const MILLISECONDS = 700;

export class Timeline {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    this.frames = app.framesOf();
    this.button = html("button", { class: "play", title: "play (space)", onclick: () => this.toggle() });
    this.slider = html("input", {
      type: "range",
      min: 0,
      max: Math.max(this.frames.length - 1, 0),
      step: 1,
      "aria-label": "epoch",
      oninput: () => this.go(Number(this.slider.value)),
    });
    this.name = html("output", { class: "moment" });
    const ticks = html("div", { class: "ticks" }, this.frames.length <= 40 ? this.frames.map(() => html("i")) : []);
    this.element = html("div", { class: "timeline", hidden: this.frames.length < 2 }, this.button, html("div", { class: "track" }, this.slider, ticks), this.name);
    this.timer = null;
    this.update();
  }

  go(frame) {
    this.app.store.set({ frame });
  }

  step(by) {
    this.go(Math.min(Math.max(this.app.state.frame + by, 0), this.frames.length - 1));
  }

  toggle() {
    if (this.frames.length < 2) return;
    if (this.timer) {
      clearInterval(this.timer);
      this.timer = null;
    } else {
      if (this.app.state.frame >= this.frames.length - 1) this.go(0);
      this.timer = setInterval(() => {
        this.step(1);
        if (this.app.state.frame >= this.frames.length - 1) this.toggle();
      }, MILLISECONDS);
    }
    this.update();
  }

  update() {
    this.slider.value = this.app.state.frame;
    this.name.value = this.frames[this.app.state.frame]?.name ?? "";
    this.button.textContent = this.timer ? "\u275a\u275a" : "\u25b6";
    this.button.setAttribute("aria-label", this.timer ? "stop" : "play the epochs");
  }
}
