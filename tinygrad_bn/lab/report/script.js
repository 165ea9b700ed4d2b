// Tables that sort by a click on a heading, run tables that show the rows containing all words of a filter, and the graphs.
"use strict";

function sortKey(cell) {
  const text = cell ? cell.dataset.value ?? cell.textContent.trim() : "";
  // An interval sorts by its lower end, "< .001" by its number, and so does "50 % (of 8)".
  const number = Number(text.replace(/^[[<]\s*/, "").split(/,|\s*%| \(/)[0].replace("−", "-"));
  return text !== "" && Number.isFinite(number) ? number : text.toLowerCase();
}

function compareKeys(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "number") return -1; // numbers before words, words before nothing
  if (typeof b === "number") return 1;
  if (a === "" || b === "") return a === b ? 0 : a === "" ? 1 : -1;
  return a < b ? -1 : a > b ? 1 : 0;
}

function sortBy(table, column, descending) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (row) => [sortKey(row.cells[column]), row]);
  rows.sort((a, b) => (descending ? compareKeys(b[0], a[0]) : compareKeys(a[0], b[0])));
  body.append(...rows.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  const headings = Array.from(table.tHead.rows[0].cells);
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    if (!heading.textContent.trim()) button.ariaLabel = "name of the row";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const descending = heading.getAttribute("aria-sort") === "ascending";
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sortBy(table, column, descending);
    });
  });
}

// The interactive graph is a page of its own, as large as all the rest: it starts when somebody wants it.
for (const button of document.querySelectorAll("button.open-graphs")) {
  button.addEventListener("click", () => {
    const frame = document.createElement("iframe");
    frame.title = "Graphs of the networks over the training";
    frame.className = "graphs-page";
    frame.srcdoc = JSON.parse(document.getElementById(button.dataset.page).textContent);
    button.parentElement.replaceWith(frame);
  });
}

// What is folded away on the screen would be missing on paper.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});

for (const field of document.querySelectorAll("input.filter")) {
  const table = document.getElementById(field.dataset.table);
  const told = field.parentElement.querySelector("output");
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of table.tBodies[0].rows) {
      const cells = Array.from(row.cells, (cell) => cell.textContent.toLowerCase());
      row.hidden = !words.every((word) => cells.some((cell) => cell.includes(word)));
    }
    const rows = Array.from(table.tBodies[0].rows);
    told.value = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
  });
}
