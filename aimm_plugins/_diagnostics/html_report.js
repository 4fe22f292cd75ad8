"use strict";
(() => {
  const form = document.getElementById("filter");
  const text = document.getElementById("text");
  const state = document.getElementById("state");
  const count = document.getElementById("count");
  const rows = Array.from(document.querySelectorAll("table.rows > tbody > tr"), (row) => ({
    row,
    table: row.closest("table"),
    words: row.textContent.toLowerCase(),
  }));
  const plugins = document.querySelector("#plugins table");

  function filter() {
    const wanted = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    let all = 0;
    for (const { row, table, words } of rows) {
      const fits =
        wanted.every((word) => words.includes(word)) &&
        (!state.value || !row.dataset.state || row.dataset.state === state.value);
      row.hidden = !fits;
      if (table === plugins) {
        all += 1;
        shown += fits ? 1 : 0;
      }
    }
    count.textContent = `${shown} of ${all} plugins`;
  }

  function sort(table, column, header) {
    const down = header.getAttribute("aria-sort") === "ascending";
    for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const numeric = header.dataset.kind === "number";
    const keyed = Array.from(body.rows, (row, index) => {
      const text = row.cells[column].textContent;
      return { row, index, key: numeric ? Number.parseFloat(text) : text.toLowerCase() };
    });
    const order = new Intl.Collator(undefined, { numeric: true });
    keyed.sort((a, b) => {
      if (numeric) {
        // What has no number goes to the end in both directions.
        const gaps = Number.isNaN(a.key) - Number.isNaN(b.key);
        if (gaps) return gaps;
        if (a.key !== b.key && !Number.isNaN(a.key)) return down ? b.key - a.key : a.key - b.key;
        return a.index - b.index;
      }
      const by = order.compare(a.key, b.key);
      return (down ? -by : by) || a.index - b.index;
    });
    body.append(...keyed.map(({ row }) => row));
  }

  for (const table of document.querySelectorAll("table.rows")) {
    Array.from(table.tHead.rows[0].cells).forEach((header, column) => {
      if (header.dataset.kind === "picture") return;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = header.textContent;
      header.replaceChildren(button);
      button.addEventListener("click", () => sort(table, column, header));
    });
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  text.addEventListener("input", filter);
  state.addEventListener("change", filter);
  form.hidden = false;
  filter();
})();
