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
    const order = new Intl.Collator(undefined, { numeric: true });
    const key = (row) => row.cells[column].textContent.toLowerCase();
    const keyed = Array.from(body.rows, (row) => ({ row, key: key(row) }));
    keyed.sort((a, b) => order.compare(a.key, b.key) * (down ? -1 : 1));
    body.append(...keyed.map(({ row }) => row));
  }

  for (const table of document.querySelectorAll("table.rows")) {
    Array.from(table.tHead.rows[0].cells).forEach((header, column) => {
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
