"use strict";
// The interactive plot of report.html: cost against quality as inline SVG. Text goes in by textContent only.

const SVG = "http://www.w3.org/2000/svg";
const BOX = { width: 720, height: 440, left: 66, right: 16, top: 30, bottom: 50 };
const LOG_FROM = 12; // scores that span a larger factor than this get a logarithmic axis
const INK = "#1c2430", MUTED = "#5b6675", FAINT = "#dfe4ea";

// ---- numbers ----

/** Which points [x, y] no other beats; smaller x is better. */
function front(points, higher) {
  const worth = points.map(([x, y]) => [x, higher ? -y : y]);
  return worth.map(([x, y]) => !worth.some(([a, b]) => a <= x && b <= y && (a < x || b < y)));
}

/** Round numbers from low to high, at most about `most` of them. */
function linearTicks(low, high, most) {
  const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((each) => each >= rough * (1 - 1e-9));
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high * (1 + 1e-12) + 1e-300; i += 1) ticks.push(i * step);
  return ticks;
}

/** Round numbers for a logarithmic axis, also where it spans less than a decade. */
function logTicks(low, high, most) {
  let ticks = [];
  for (const digits of [[1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8], [1, 1.5, 2, 3, 4, 6], [1, 2, 5], [1, 3], [1]]) {
    ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
      for (const digit of digits) ticks.push(digit * 10 ** power);
    }
    ticks = ticks.filter((tick) => tick >= low && tick <= high);
    if (ticks.length <= most) break;
  }
  return ticks;
}

/** An axis from pixels `from` to `to`: {place, ticks}. */
function axis(low, high, from, to, log) {
  const read = log ? Math.log : (value) => value;
  const place = (value) => {
    const share = (read(Math.max(value, log ? low : -Infinity)) - read(low)) / (read(high) - read(low));
    return from + (to - from) * Math.min(Math.max(share, 0), 1);
  };
  return { place, ticks: (log ? logTicks : linearTicks)(low, high, 7) };
}

/** Ends of an axis around values (positive, if log), with room at both. */
function ends(values, log, room) {
  let low = Math.min(...values), high = Math.max(...values);
  if (log) {
    const factor = high > low ? (high / low) ** room : 1.5;
    return [low / factor, high * factor];
  }
  const pad = high > low ? (high - low) * room : Math.abs(high) * room || 1;
  return [low - pad, high + pad];
}

function short(value) {
  return String(Number(value.toPrecision(4)));
}

// ---- elements ----

function drawing(parent, name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function polygon(corners) {
  return "M" + corners.map(([x, y]) => `${x.toFixed(2)},${y.toFixed(2)}`).join("L") + "Z";
}

/** The outline of a marker around 0, 0, by matplotlib's names; "*" is the reference's star. */
function outline(marker, r) {
  const plus = [[-1, -3], [1, -3], [1, -1], [3, -1], [3, 1], [1, 1], [1, 3], [-1, 3], [-1, 1], [-3, 1], [-3, -1], [-1, -1]];
  const turn = Math.SQRT1_2;
  const around = (n, radius, phase) => Array.from({ length: n }, (_, i) => {
    const angle = phase + (2 * Math.PI * i) / n;
    return [radius(i) * Math.sin(angle), -radius(i) * Math.cos(angle)];
  });
  switch (marker) {
    case "s": return polygon([[-r, -r], [r, -r], [r, r], [-r, r]].map(([x, y]) => [0.88 * x, 0.88 * y]));
    case "^": return polygon(around(3, () => 1.2 * r, 0));
    case "v": return polygon(around(3, () => 1.2 * r, Math.PI));
    case "D": return polygon(around(4, () => 1.15 * r, 0));
    case "P": return polygon(plus.map(([x, y]) => [(x * r) / 2.8, (y * r) / 2.8]));
    case "X": return polygon(plus.map(([x, y]) => [((x - y) * turn * r) / 2.8, ((x + y) * turn * r) / 2.8]));
    case "*": return polygon(around(10, (i) => (i % 2 ? 0.75 * r : 1.9 * r), 0));
    default: return polygon(around(24, () => r, 0));
  }
}

// ---- the plot ----

/** The points that have both numbers: {point, x, spread, y, low, high, best}, cheapest first; low and high may be null. */
function chosen(part, cost, score) {
  const found = part.points
    .filter((point) => point.x[cost] && point.y[score])
    .map((point) => {
      const [x, spread] = point.x[cost], [y, low, high] = point.y[score];
      return { point, x, spread: spread || 0, y, low, high };
    })
    .sort((a, b) => a.x - b.x);
  const best = front(found.map(({ x, y }) => [x, y]), part.scores[score].higher);
  found.forEach((each, i) => { each.best = best[i]; });
  return found;
}

function drawChart(svg, part, cost, score, show) {
  svg.replaceChildren();
  const found = chosen(part, cost, score);
  if (!found.length) {
    drawing(svg, "text", { x: BOX.width / 2, y: BOX.height / 2, "text-anchor": "middle", fill: MUTED }, "no point has both");
    return;
  }
  const values = found.map(({ y }) => y);
  const log = Math.min(...values) > 0 && Math.max(...values) > LOG_FROM * Math.min(...values);
  const bounds = log ? values : found.flatMap(({ y, low, high }) => [low ?? y, high ?? y]);
  const across = axis(...ends(found.map(({ x }) => x), true, 0.07), BOX.left, BOX.width - BOX.right, true);
  const up = axis(...ends(bounds, log, 0.06), BOX.height - BOX.bottom, BOX.top, log);
  drawAxes(svg, across, up, part, cost, score, log);
  drawLines(svg, found, part, across.place, up.place);
  found.filter((each) => !each.best).concat(found.filter((each) => each.best))
    .forEach((each) => drawBars(svg, each, part, across.place, up.place));
  const marks = found.map((each) => drawPoint(svg, each, part, across.place, up.place, cost, score, show));
  rove(marks);
}

function drawAxes(svg, across, up, part, cost, score, log) {
  const bottom = BOX.height - BOX.bottom, right = BOX.width - BOX.right;
  for (const tick of across.ticks) {
    const x = across.place(tick).toFixed(1);
    drawing(svg, "line", { x1: x, x2: x, y1: BOX.top, y2: bottom, stroke: FAINT });
    drawing(svg, "text", { x, y: bottom + 17, "text-anchor": "middle", fill: MUTED }, short(tick));
  }
  for (const tick of up.ticks) {
    const y = up.place(tick).toFixed(1);
    drawing(svg, "line", { x1: BOX.left, x2: right, y1: y, y2: y, stroke: FAINT });
    drawing(svg, "text", { x: BOX.left - 7, y, dy: "0.35em", "text-anchor": "end", fill: MUTED }, short(tick));
  }
  drawing(svg, "path", { d: `M${BOX.left},${BOX.top}V${bottom}H${right}`, fill: "none", stroke: MUTED });
  const middle = (BOX.left + right) / 2;
  drawing(svg, "text", { x: middle, y: BOX.height - 10, "text-anchor": "middle", fill: INK }, `${part.costs[cost]}, log scale`);
  const { name, higher, paired } = part.scores[score];
  const better = `${paired ? "paired difference to the reference, " : ""}${higher ? "higher is better \u2191" : "lower is better \u2193"}`;
  const title = `${name}${log ? ", log scale" : ""} (${better})`;
  drawing(svg, "text", { x: 4, y: 14, fill: INK }, title); // level: a long name would not fit beside the axis
}

/** The reference's level, the front, and a line through each family. */
function drawLines(svg, found, part, across, up) {
  for (const { y } of found.filter(({ point }) => point.reference)) {
    drawing(svg, "line", { x1: BOX.left, x2: BOX.width - BOX.right, y1: up(y), y2: up(y), stroke: MUTED });
  }
  const best = found.filter((each) => each.best);
  const steps = best.map(({ x, y }, i) => (i ? `H${across(x).toFixed(1)}V${up(y).toFixed(1)}` : `M${across(x).toFixed(1)},${up(y).toFixed(1)}`));
  drawing(svg, "path", { d: steps.join(""), fill: "none", stroke: INK, "stroke-opacity": 0.13, "stroke-width": 7, class: "front" });
  part.families.forEach((family, i) => {
    const own = found.filter(({ point }) => point.family === i);
    if (own.length < 2) return;
    const d = "M" + own.map(({ x, y }) => `${across(x).toFixed(1)},${up(y).toFixed(1)}`).join("L");
    drawing(svg, "path", { d, fill: "none", stroke: family.colour, "stroke-opacity": 0.5, "stroke-dasharray": family.dashed ? "6 4" : "none", class: "family" });
  });
}

function drawBars(svg, each, part, across, up) {
  const { x, spread, y, low, high, best, point } = each;
  const stroke = part.families[point.family].colour, paint = { stroke, "stroke-width": 1.3, "stroke-opacity": best ? 0.9 : 0.35 };
  if (low !== null) drawing(svg, "line", { x1: across(x), x2: across(x), y1: up(low), y2: up(high), ...paint, class: "bar" });
  if (spread) drawing(svg, "line", { x1: across(x - spread), x2: across(x + spread), y1: up(y), y2: up(y), ...paint, class: "bar" });
}

function drawPoint(svg, each, part, across, up, cost, score, show) {
  const { point, x, spread, y, low, high, best } = each, family = part.families[point.family];
  const interval = low === null ? "" : `, 95 % from ${short(low)} to ${short(high)}`;
  const said = `${point.label}: ${part.costs[cost]} ${short(x)}${spread ? ` \u00b1 ${short(spread)}` : ""}, `
    + `${part.scores[score].name} ${short(y)}${interval}${best ? ", on the front" : ""}`;
  const attributes = { class: "point", tabindex: "-1", role: "img", "aria-label": said, transform: `translate(${across(x).toFixed(1)},${up(y).toFixed(1)})` };
  const mark = drawing(svg, "g", attributes);
  drawing(mark, "title", {}, said);
  drawing(mark, "circle", { r: 12, fill: "transparent", stroke: "none", "stroke-width": 2, class: "ring" });
  const fill = point.reference ? INK : family.colour, paint = { fill, "fill-opacity": best || point.reference ? 1 : 0.45, stroke: "#fff" };
  drawing(mark, "path", { d: outline(point.reference ? "*" : family.marker, 5.5), ...paint });
  for (const event of ["pointerenter", "focus", "click"]) mark.addEventListener(event, () => show(point, mark, event));
  return mark;
}

/** One stop of the tab key for all points; arrows go from one to the next. */
function rove(marks) {
  marks[0].setAttribute("tabindex", "0");
  marks.forEach((mark, i) => mark.addEventListener("keydown", (event) => {
    const next = { ArrowRight: i + 1, ArrowDown: i + 1, ArrowLeft: i - 1, ArrowUp: i - 1, Home: 0, End: marks.length - 1 }[event.key];
    if (next === undefined || !marks[next]) return;
    event.preventDefault();
    mark.setAttribute("tabindex", "-1");
    marks[next].setAttribute("tabindex", "0");
    marks[next].focus();
  }));
}
