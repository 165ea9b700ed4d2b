/** Starts the page: reads the document, waits for Graphviz, and shows the first picture. */

import { App } from "./app.js";
import { graphviz } from "./layout.js";
import { unpacked } from "./unpack.js";

const textOf = (id) => document.getElementById(id).textContent;

/** @returns {Promise<import("./types.js").Document>} */
async function readDocument() {
  const { packed } = document.getElementById("document").dataset;
  const text = textOf("document");
  return JSON.parse(packed ? new TextDecoder().decode(await unpacked(text)) : text);
}

async function start() {
  const [viz, content] = await Promise.all([unpacked(textOf("graphviz")).then(graphviz), readDocument()]);
  const app = new App(document.body, content, viz);
  app.start();
  performance.mark("drawn");
  document.documentElement.dataset.ready = "true";
}

start().catch((error) => {
  const notice = document.createElement("p");
  notice.className = "failure";
  notice.textContent = `The graph could not be drawn: ${error.message}`;
  document.body.append(notice);
  throw error;
});
