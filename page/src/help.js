/** The list of keys. */

import { html } from "./dom.js";
import { KEYS } from "./keyboard.js";

/** @returns {HTMLDialogElement} */
export function help() {
  const dialog = html(
    "dialog",
    { class: "help", "aria-label": "help" },
    html("h2", {}, "Keys"),
    html("dl", {}, KEYS.flatMap(([keys, meaning]) => [html("dt", {}, html("kbd", {}, keys)), html("dd", {}, meaning)])),
    html("h2", {}, "Pointer"),
    html(
      "dl",
      {},
      html("dt", {}, "click"),
      html("dd", {}, "a closed module opens; the heading of an open one closes it; a node tells all about itself"),
      html("dt", {}, "wheel, drag"),
      html("dd", {}, "zoom and move; two fingers do both"),
      html("dt", {}, "hover"),
      html("dd", {}, "an operation shows its derivative, and the other way round; a strip tells its channels"),
    ),
    html(
      "details",
      {},
      html("summary", {}, "Licences of the software in this page"),
      html("pre", {}, document.getElementById("licenses").textContent.trim()),
    ),
    html("form", { method: "dialog" }, html("button", { class: "wide" }, "close")),
  );
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  return dialog;
}
