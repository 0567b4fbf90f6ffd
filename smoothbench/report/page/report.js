// The rest of report.html: controls and details of the plot, sortable tables. Text goes in by textContent only:
// labels are user input.

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** What is known of a point: its samples, its schedule and its row of the table. */
function fillDetail(detail, point) {
  detail.replaceChildren(element("h4", {}, point.label));
  for (const id of [point.strip, point.raster]) {
    const image = id && document.getElementById(id);
    if (!image) continue;
    const copy = image.cloneNode(true);
    copy.removeAttribute("id");
    detail.append(copy);
  }
  const clips = document.getElementById(point.clips);
  for (const kind of ["audio", "img.clip"]) {
    for (const player of clips ? clips.querySelectorAll(kind) : []) detail.append(player.cloneNode(true));
  }
  const row = document.getElementById(point.row), list = element("dl");
  const titles = row.parentNode.parentNode.querySelectorAll("thead th");
  Array.from(row.children).slice(1).forEach((cell, i) => {
    list.append(element("dt", {}, titles[i + 1].textContent), element("dd", {}, cell.textContent));
  });
  detail.append(list);
}

function legend(part) {
  const list = element("ul", { class: "legend" });
  const entry = (text, draw) => {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "-17 -7 34 14");
    svg.setAttribute("aria-hidden", "true");
    draw(svg);
    list.append(element("li", {}, svg, text));
  };
  for (const { name, colour, marker, dashed } of part.families) {
    entry(name, (svg) => {
      drawing(svg, "line", { x1: -17, x2: 17, y1: 0, y2: 0, stroke: colour, "stroke-dasharray": dashed ? "6 4" : "none" });
      drawing(svg, "path", { d: outline(marker, 5), fill: colour, stroke: "#fff" });
    });
  }
  entry("reference", (svg) => drawing(svg, "path", { d: outline("*", 4), fill: INK }));
  entry("Pareto front", (svg) => drawing(svg, "line", { x1: -17, x2: 17, y1: 0, y2: 0, stroke: INK, "stroke-opacity": 0.13, "stroke-width": 7 }));
  list.append(element("li", {}, "pale: beaten by another point"));
  return list;
}

function select(title, names, changed) {
  const options = names.map((name, i) => element("option", { value: String(i) }, name));
  const made = element("select", {}, ...options);
  made.addEventListener("change", changed);
  return [element("label", {}, `${title} `, made), made];
}

/** Fill an empty container with the controls, the chart, its legend and the details of a point. */
function makePlot(container, part) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${BOX.width} ${BOX.height}`);
  svg.setAttribute("class", "chart");
  svg.setAttribute("role", "group");
  svg.setAttribute("aria-label", "Cost against quality: a mark for each point, arrow keys go from one to the next");
  const hint = element("p", { class: "note" }, "Point at a mark, or reach it with the tab and arrow keys: its scores, samples and schedule are shown here.");
  const detail = element("div", { class: "detail" }, hint);
  const show = (point, mark) => {
    document.querySelectorAll(".shown").forEach((each) => each.classList.remove("shown"));
    mark.classList.add("shown");
    document.getElementById(point.row).classList.add("shown");
    fillDetail(detail, point);
  };
  const redraw = () => drawChart(svg, part, Number(cost.value), Number(score.value), show);
  const [costLabel, cost] = select("cost", part.costs, redraw);
  const [scoreLabel, score] = select("score", part.scores.map(({ name }) => name), redraw);
  container.append(element("div", { class: "controls" }, costLabel, scoreLabel));
  container.append(element("div", {}, svg, legend(part)), detail);
  container.removeAttribute("hidden");
  cost.value = "0";
  score.value = "0";
  redraw();
}

// ---- tables ----

/** Order of two cells by their numbers, else by their text; what has no number comes last either way. */
function order(a, b, descending) {
  const [x, y] = [a, b].map((cell) => (cell.hasAttribute("data-number") ? Number(cell.getAttribute("data-number")) : null));
  if (x === null && y === null) return a.textContent.localeCompare(b.textContent, "en", { numeric: true }) * (descending ? -1 : 1);
  if (x === null || y === null) return x === null ? 1 : -1;
  return descending ? y - x : x - y;
}

function makeSortable(table) {
  const headings = Array.from(table.querySelectorAll("thead th")), body = table.querySelectorAll("tbody")[0];
  headings.forEach((heading, column) => {
    const button = element("button", { type: "button", title: "sort by this column" }, heading.textContent);
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const descending = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach((each) => each.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      body.append(...Array.from(body.children).sort((a, b) => order(a.children[column], b.children[column], descending)));
    });
  });
}

/** A box above a table: rows without its words, wherever in the row they stand, are hidden. */
function makeFilter(table) {
  const box = element("input", { type: "search", "aria-label": "show the rows with these words", placeholder: "show the rows with ..." });
  box.addEventListener("input", () => {
    const words = box.value.toLowerCase().split(" ").filter(Boolean);
    for (const row of table.querySelectorAll("tbody tr")) {
      const text = row.textContent.toLowerCase();
      if (words.every((word) => text.includes(word))) row.removeAttribute("hidden");
      else row.setAttribute("hidden", "");
    }
  });
  table.parentNode.before(element("p", { class: "filter" }, box));
}

/** Of all players only the one that was started last goes on: clips are compared one by one. */
function playAlone(started) {
  document.querySelectorAll("audio").forEach((each) => { if (each !== started) each.pause(); });
}

/** Animations start when they are loaded, so each is loaded anew: an address of its own is no copy of an older one. */
function startTogether() {
  starts += 1;
  document.querySelectorAll("img.clip").forEach((each) => {
    each.setAttribute("src", each.getAttribute("src").replace(/^data:image\/webp(;start=\d+)?/, `data:image/webp;start=${starts}`));
  });
}

let starts = 0;
document.querySelectorAll("button.together").forEach((button) => {
  button.removeAttribute("hidden");
  button.addEventListener("click", startTogether);
});
document.addEventListener("play", (event) => playAlone(event.target), true); // it does not bubble
document.querySelectorAll("table.sortable").forEach(makeSortable);
document.querySelectorAll("table.sortable").forEach(makeFilter);
const parts = JSON.parse(document.getElementById("data").textContent);
document.querySelectorAll(".plot").forEach((container) => makePlot(container, parts[Number(container.getAttribute("data-part"))]));
