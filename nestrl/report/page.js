// A click on the head of a column sorts its table, a second click turns the order round. Without it the page is whole.
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(table, heads, column));
  });
}

function sort(table, heads, column) {
  const ascending = heads[column].getAttribute("aria-sort") === "descending";
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[column].setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const body = table.tBodies[0];
  const rows = [...body.rows].sort((a, b) => compare(a.cells[column], b.cells[column], ascending ? 1 : -1));
  body.append(...rows);
}

// Missing values (no data-value) always come last.
function compare(a, b, direction) {
  const [first, second] = [a.dataset.value, b.dataset.value];
  if (first === undefined || second === undefined) return (first === undefined) - (second === undefined);
  const difference = Number(first) - Number(second);
  return direction * (Number.isNaN(difference) ? first.localeCompare(second) : difference);
}
