// The tables of report.html: sorting, folding groups of columns, and which methods and words are shown.

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function toggle(node, attribute, on) {
  if (on) node.setAttribute(attribute, "");
  else node.removeAttribute(attribute);
}

// ---- sorting ----

/** Order of two cells by their numbers, else by their text; what has no number comes last either way. */
function order(a, b, descending) {
  const [x, y] = [a, b].map((cell) => (cell.hasAttribute("data-number") ? Number(cell.getAttribute("data-number")) : null));
  if (x === null && y === null) return a.textContent.localeCompare(b.textContent, "en", { numeric: true }) * (descending ? -1 : 1);
  if (x === null || y === null) return x === null ? 1 : -1;
  return descending ? y - x : x - y;
}

function makeSortable(table) {
  const headings = Array.from(table.querySelectorAll("tr.titles th")), body = table.querySelectorAll("tbody")[0];
  headings.forEach((heading, column) => {
    const button = element("button", { type: "button", title: "sort by this column" }, heading.textContent);
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const descending = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      body.append(...Array.from(body.children).sort((a, b) => order(a.children[column], b.children[column], descending)));
    });
  });
}

// ---- groups of columns ----

/** Each group's heading becomes a button; a folded group shows its most telling columns. */
function makeFoldable(table) {
  const titles = Array.from(table.querySelectorAll("tr.titles th")), rows = table.querySelectorAll("tbody tr");
  table.querySelectorAll("tr.groups th").forEach((heading, group) => {
    const columns = titles.map((_, i) => i).filter((i) => titles[i].getAttribute("data-group") === String(group));
    const extra = columns.filter((i) => !titles[i].hasAttribute("data-brief"));
    if (!extra.length) return;
    const name = heading.textContent, button = element("button", { type: "button" }), mark = element("span", {});
    heading.replaceChildren(button);
    button.append(`${name} `, mark);
    const fold = (folded) => {
      for (const i of extra) {
        toggle(titles[i], "hidden", folded);
        for (const row of rows) toggle(row.children[i], "hidden", folded);
      }
      heading.setAttribute("colspan", folded ? columns.length - extra.length : columns.length);
      button.setAttribute("aria-expanded", String(!folded));
      mark.textContent = folded ? `+${extra.length}` : "\u2212";
    };
    button.addEventListener("click", () => fold(button.getAttribute("aria-expanded") === "true"));
    fold(true);
  });
}

// ---- methods and words ----

/** A button for each family; those that are pressed are shown with the reference, and all where none is pressed. */
function methodButtons(part, number, families, draw) {
  const list = element("ul", { class: "methods", "aria-label": "show these methods alone" });
  families.forEach((family, i) => {
    const button = element("button", { type: "button", class: "method", "data-part": number, "data-family": i, "aria-pressed": "false" });
    button.append(draw(family), family.name);
    button.addEventListener("click", () => {
      if (!part.picked.delete(i)) part.picked.add(i);
      part.changed.forEach((show) => show());
    });
    list.append(element("li", {}, button));
  });
  part.changed.push(() => {
    for (const button of list.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(part.picked.has(Number(button.getAttribute("data-family")))));
    }
  });
  return list;
}

function isPicked(part, family, reference) {
  return !part.picked.size || reference || part.picked.has(family);
}

/** Whether a row has a word: within its label, or at the start of a word or a number of another cell. */
function hasWord(row, word) {
  const [label, ...cells] = Array.from(row.children).map((cell) => cell.textContent.toLowerCase());
  return label.includes(word) || cells.some((text) => text.split(/\s+/).some((part) => part.startsWith(word)));
}

/** A box and the methods above a table: rows without its words are hidden. */
function makeFilter(table, part, draw) {
  const box = element("input", { type: "search", "aria-label": "show the rows with these words", placeholder: "show the rows with ..." });
  const count = element("span", { class: "count", role: "status" });
  const show = () => {
    const words = box.value.toLowerCase().split(" ").filter(Boolean), rows = Array.from(table.querySelectorAll("tbody tr"));
    let shown = 0;
    for (const row of rows) {
      const reference = row.hasAttribute("data-reference");
      const fits = words.every((word) => hasWord(row, word)) && isPicked(part, Number(row.getAttribute("data-family")), reference);
      toggle(row, "hidden", !fits);
      shown += fits;
    }
    count.textContent = shown < rows.length ? ` ${shown} of ${rows.length} points` : "";
  };
  box.addEventListener("input", show);
  part.changed.push(show);
  const region = table.parentNode;
  region.before(element("p", { class: "filter" }, box, count));
  region.before(methodButtons(part, Number(table.getAttribute("data-part")), part.families, draw));
}
