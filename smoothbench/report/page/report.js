// The rest of report.html: controls and details of the plot, players. Text goes in by textContent only: labels are user
// input.

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
  const titles = row.parentNode.parentNode.querySelectorAll("tr.titles th");
  Array.from(row.children).slice(1).forEach((cell, i) => {
    list.append(element("dt", {}, titles[i + 1].textContent), element("dd", {}, cell.textContent));
  });
  detail.append(list);
}

/** A small drawing for a legend. */
function sign(draw) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "-17 -7 34 14");
  svg.setAttribute("aria-hidden", "true");
  draw(svg);
  return svg;
}

function familySign({ colour, marker, dashed }) {
  return sign((svg) => {
    drawing(svg, "line", { x1: -17, x2: 17, y1: 0, y2: 0, stroke: colour, "stroke-dasharray": dashed ? "6 4" : "none" });
    drawing(svg, "path", { d: outline(marker, 5), fill: colour, stroke: "#fff" });
  });
}

function legend(part, number) {
  const list = element("ul", { class: "legend" });
  const star = sign((svg) => drawing(svg, "path", { d: outline("*", 4), fill: INK }));
  const front = sign((svg) => drawing(svg, "line", { x1: -17, x2: 17, y1: 0, y2: 0, stroke: INK, "stroke-opacity": 0.13, "stroke-width": 7 }));
  if (part.points.some((point) => point.reference)) list.append(element("li", {}, star, "reference"));
  list.append(element("li", {}, front, "Pareto front of the values, without a test"), element("li", {}, "pale: behind the front"));
  return [methodButtons(part, number, part.families, familySign), list];
}

function select(title, names, changed) {
  const options = names.map((name, i) => element("option", { value: String(i) }, name));
  const made = element("select", {}, ...options);
  made.addEventListener("change", changed);
  return [element("label", {}, `${title} `, made), made];
}

/** A button that shows a point beside the first one of the comparison. */
function besideButton(part, number, i) {
  const button = element("button", { type: "button", class: "beside" }, "See it side by side");
  button.addEventListener("click", () => {
    part.compare(i);
    document.getElementById(`compare-${number}`).scrollIntoView();
  });
  return button;
}

/** Fill an empty container with the controls, the chart, its legend and the details of a point. */
function makePlot(container, part, number) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${BOX.width} ${BOX.height}`);
  svg.setAttribute("class", "chart");
  svg.setAttribute("role", "group");
  svg.setAttribute("aria-label", "Cost against quality: a mark for each point, arrow keys go from one to the next");
  const hint = element("p", { class: "note" }, "Point at a mark, or reach it with the tab and arrow keys: its scores, samples and schedule are shown here. A click keeps them until the next click.");
  const detail = element("div", { class: "detail" }, hint);
  let pinned = false;
  svg.addEventListener("click", (event) => { pinned = event.target.closest("g.point") !== null; });
  const show = (point, mark, event) => {
    if (event === "pointerenter" && pinned) return; // on the way to the details the mouse crosses other marks
    if (event === "click") pinned = true;
    document.querySelectorAll(".shown").forEach((each) => each.classList.remove("shown"));
    mark.classList.add("shown");
    document.getElementById(point.row).classList.add("shown");
    fillDetail(detail, point);
    if (part.compare && !point.reference) detail.append(besideButton(part, number, part.points.indexOf(point)));
  };
  const redraw = () => {
    pinned = false;
    const points = part.points.filter((point) => isPicked(part, point.family, point.reference));
    drawChart(svg, { ...part, points }, Number(cost.value), Number(score.value), show);
  };
  const [costLabel, cost] = select("cost", part.costs, redraw);
  const [scoreLabel, score] = select("score", part.scores.map(({ name }) => name), redraw);
  container.append(element("div", { class: "controls" }, costLabel, scoreLabel));
  container.append(element("div", { class: "drawing" }, svg, ...legend(part, number)), detail);
  part.changed.push(redraw);
  container.removeAttribute("hidden");
  cost.value = "0";
  score.value = "0";
  redraw();
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
const parts = JSON.parse(document.getElementById("data").textContent);
parts.forEach((part) => Object.assign(part, { picked: new Set(), changed: [], compare: null }));
document.querySelectorAll("table.sortable").forEach((table) => {
  makeSortable(table);
  makeFoldable(table);
  makeFilter(table, parts[Number(table.getAttribute("data-part"))], familySign);
});
for (const [style, make] of [["compare", makeCompare], ["plot", makePlot]]) {
  document.querySelectorAll(`div.${style}`).forEach((container) => {
    const number = Number(container.getAttribute("data-part")), made = make(container, parts[number], number);
    if (style === "compare") parts[number].compare = made;
  });
}
