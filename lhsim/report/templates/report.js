"use strict";
// Sorts tables by a column: first up, then down. What is unknown stays last.
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => sort(button.closest("th")));
}

function sort(heading) {
  const row = heading.parentElement;
  const down = heading.getAttribute("aria-sort") === "ascending";
  for (const other of row.children) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  const column = [...row.children].indexOf(heading);
  const body = heading.closest("table").tBodies[0];
  const key = (line) => line.cells[column].dataset.key;
  const numeric = heading.classList.contains("number");
  const compare = numeric ? (a, b) => Number(a) - Number(b) : (a, b) => a.localeCompare(b, "en");
  const lines = [...body.rows];
  lines.sort((a, b) => {
    const [left, right] = [key(a), key(b)];
    if (!left || !right) return Number(!left) - Number(!right);
    return (down ? -1 : 1) * compare(left, right);
  });
  body.append(...lines);
}

// What is folded away belongs on paper.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
