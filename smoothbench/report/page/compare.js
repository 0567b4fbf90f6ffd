// Two points of report.html side by side: the same seeds of both, and how they differ. Text goes in by textContent only.

const GAIN = 4; // of the difference image
const SIDE = 96; // pixels that small tiles are enlarged to, about

/** The pictures of a point: a sheet of its own, or the strip that the page shows; null without any. */
function sheetOf(pairs, i) {
  const { sample, strip } = pairs.points[i], image = document.getElementById(strip);
  return pairs.sheets[sample] || (image && image.getAttribute("src")) || null;
}

function loaded(source) {
  return new Promise((done, failed) => {
    const image = new Image();
    image.onload = () => done(image);
    image.onerror = failed;
    image.src = source;
  });
}

/** Where tile k of a sheet of `count` lies; tiles have a pixel between them. */
function tileBox(image, k, count, across) {
  const side = ((across ? image.width : image.height) + 1) / count;
  return across ? [k * side, 0, side - 1, image.height] : [0, k * side, image.width, side - 1];
}

function tile(image, box) {
  const [x, y, width, height] = box, canvas = element("canvas", { width: Math.round(width), height: Math.round(height) });
  canvas.getContext("2d").drawImage(image, Math.round(x), Math.round(y), Math.round(width), Math.round(height), 0, 0, Math.round(width), Math.round(height));
  canvas.style.width = `${Math.round(width) * Math.max(1, Math.round(SIDE / height))}px`;
  return canvas;
}

/** How far two tiles are apart: white where they are equal. */
function difference(a, b) {
  const made = a.cloneNode(false), context = made.getContext("2d"), { width, height } = a;
  const [one, two] = [a, b].map((canvas) => canvas.getContext("2d").getImageData(0, 0, width, height).data);
  const pixels = context.createImageData(width, height);
  one.forEach((value, i) => { pixels.data[i] = i % 4 === 3 ? 255 : 255 - Math.min(255, GAIN * Math.abs(value - two[i])); });
  context.putImageData(pixels, 0, 0);
  made.setAttribute("class", "difference");
  return made;
}

/** Places of the seeds, first those on which the second point is further from the reference's sample than the first one is. */
function worstFirst(pairs, a, b) {
  const [first, second] = [a, b].map((i) => pairs.points[i].values);
  const loss = (values, k) => (values.length && values[k] !== null ? (pairs.higher ? -values[k] : values[k]) : null);
  const places = pairs.seeds.map((_, k) => k);
  if (!first.length && !second.length) return places;
  const key = (k) => {
    const [x, y] = [loss(first, k), loss(second, k)];
    return y === null ? x : x === null ? y : y - x;
  };
  return places.sort((k, l) => key(l) - key(k));
}

/** What the order of the seeds is, in words; "" for a point beside itself. */
function firstSeeds(pairs, [a, b]) {
  const scored = [a, b].map((i) => pairs.points[i].values.length > 0);
  if (a === b) return "";
  if (scored.every(Boolean)) return "; first the seeds on which the second point is worse than the first by most";
  return `; first the seeds on which the ${scored[0] ? "first" : "second"} point is worst`;
}

function pairFigure(pairs, images, chosen, k) {
  const tiles = images.map((image) => tile(image, tileBox(image, k, pairs.seeds.length, pairs.across)));
  const numbers = chosen.map((i) => pairs.points[i].values[k]).map((value) => (value === undefined || value === null ? "\u2013" : short(value)));
  const caption = element("figcaption", {}, element("b", {}, `seed ${pairs.seeds[k]}`));
  if (pairs.score) caption.append(` ${numbers.join(" | ")}`);
  if (pairs.captions[k]) caption.append(element("small", {}, pairs.captions[k]));
  const wide = tiles[0].width > 2.5 * tiles[0].height;
  const pictures = element("div", { class: wide ? "tiles3 stacked" : "tiles3" }, ...tiles, difference(...tiles));
  return element("figure", { "data-seed": pairs.seeds[k] }, pictures, caption);
}

/** The costs and first scores of both points, from the table's rows. */
function bothRows(part, chosen) {
  const rows = chosen.map((i) => document.getElementById(part.points[i].row));
  const titles = Array.from(rows[0].parentNode.parentNode.querySelectorAll("tr.titles th"));
  const table = element("table", { class: "both" });
  const heads = chosen.map((i) => element("th", { scope: "col" }, part.points[i].label));
  table.append(element("thead", {}, element("tr", {}, element("td", {}), ...heads)));
  const body = element("tbody", {});
  titles.forEach((title, column) => {
    if (!title.hasAttribute("data-brief")) return;
    const cells = rows.map((row) => row.children[column].cloneNode(true));
    cells.forEach((cell) => cell.removeAttribute("hidden"));
    body.append(element("tr", {}, element("th", { scope: "row" }, title.textContent), ...cells));
  });
  table.append(body);
  return element("div", { class: "scroll fitting" }, table);
}

function worstSeeds(pairs, label, i) {
  const { worst } = pairs.points[i];
  if (!worst.length) return null;
  return element("li", {}, `${label}: ${worst.map(([seed, value]) => `${seed} (${short(value)})`).join(", ")}`);
}

function compared(part, chosen) {
  const { pairs } = part, labels = chosen.map((i) => part.points[i].label), place = element("div", { class: "pairs" });
  const sources = chosen.map((i) => sheetOf(pairs, i));
  const best = worstFirst(pairs, ...chosen);
  const said = sources.every(Boolean)
    ? `Left: ${labels[0]}. Middle: ${labels[1]}. Right: their difference, ${GAIN} times as strong, white where they are equal.`
    : "Of one of the two there is no sample beside this report.";
  const known = chosen.some((i) => pairs.points[i].values.length);
  const how = known ? ` Under each seed ${pairs.score}${firstSeeds(pairs, chosen)}.` : "";
  const worst = [...new Set(chosen)].map((i) => worstSeeds(pairs, part.points[i].label, i)).filter(Boolean);
  const made = element("div", {}, element("p", { class: "note" }, said + how), place);
  if (worst.length) made.append(element("p", { class: "note" }, `Worst seeds of all by ${pairs.score}:`), element("ul", { class: "facts" }, ...worst));
  if (sources.every(Boolean)) {
    Promise.all(sources.map(loaded)).then((images) => {
      place.append(...best.map((k) => pairFigure(pairs, images, chosen, k)));
      place.setAttribute("data-ready", "");
    });
  }
  return made;
}

/** Fill an empty container with two choices and what they show; returns what sets the second choice. */
function makeCompare(container, part) {
  const names = part.points.map(({ label }) => label), result = element("div", { class: "result" });
  const show = () => {
    const chosen = [Number(first.value), Number(second.value)];
    result.replaceChildren(bothRows(part, chosen), compared(part, chosen));
  };
  const [firstLabel, first] = select("first", names, show), [secondLabel, second] = select("second", names, show);
  const named = names.indexOf(part.named[0]), reference = part.points.findIndex((point) => point.reference);
  first.value = String(Math.max(0, reference));
  second.value = String(named >= 0 && named !== reference ? named : names.length - 1);
  container.append(element("div", { class: "controls" }, firstLabel, secondLabel), result);
  container.removeAttribute("hidden");
  show();
  return (i) => { second.value = String(i); show(); };
}
