/** Starts the page: reads the document, waits for Graphviz, and shows the first picture. */

import { App } from "./app.js";
import { graphviz, unpacked } from "./layout.js";

const textOf = (id) => document.getElementById(id).textContent;

async function start() {
  const [viz] = await Promise.all([unpacked(textOf("graphviz")).then(graphviz)]);
  const app = new App(document.body, JSON.parse(textOf("document")), viz);
  app.start();
  document.documentElement.dataset.ready = "true";
}

start().catch((error) => {
  const notice = document.createElement("p");
  notice.className = "failure";
  notice.textContent = `The graph could not be drawn: ${error.message}`;
  document.body.append(notice);
  throw error;
});
