// What the panel shows of the chosen item: its facts, its pictures, its logits and its spectrum.
const FAR = { negative: [33, 102, 172], positive: [179, 88, 6] }; // colours of the largest logits of either sign
const MIDDLE = [247, 247, 247];

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function format(value) {
  if (typeof value !== "number") return String(value);
  const rounded = Number(value.toPrecision(9));
  return rounded && Math.abs(rounded) < 1e-4 ? rounded.toExponential() : String(rounded);
}

function showFacts(item) {
  for (const fact of document.querySelectorAll(".facts [data-column]")) {
    const value = item.values[fact.dataset.column];
    fact.hidden = value === null || value === "";
    fact.querySelector("dd").textContent = fact.hidden ? "" : format(value);
  }
}

function picture(scene) {
  const where = ["every row is 0", "on a line", "in the plane", "in 3-D"][scene.rank];
  const held = `the 3 leading principal axes of ${scene.rank}, which hold ${(100 * scene.share).toFixed(1)} % of |W|²`;
  const said = element("p", { class: "note" }, "Discs: rows of W, by class. Rings: features, scaled to the longest row.");
  if (scene.rank >= 3) said.append(element("span", { class: "turning" }, " Drag it, or turn it with the arrow keys."));
  return element("div", {}, element("h3", {}, `${scene.title}: ${where ?? held}`), drawScene(scene), said);
}

function logitsTable(logits, scenes) {
  const largest = Math.max(...logits.flat().map(Math.abs)) || 1;
  const small = logits[0].length <= 6;
  const classes = logits[0].map((_, k) => element("th", { scope: "col" }, String(k + 1)));
  const head = element("tr", {}, element("td", {}), ...classes);
  const rows = logits.map((row, t) =>
    element("tr", {}, element("th", { scope: "row" }, String(t + 1)), ...row.map((value) => {
      const cell = element("td", { title: format(value) }, small ? value.toPrecision(2) : "");
      cell.style.background = colour(value / largest);
      cell.style.color = Math.abs(value) > 0.55 * largest ? "#fff" : "#1a1a1a";
      return cell;
    })),
  );
  const whose = logits.length === logits[0].length ? "class" : "type";
  const of = scenes.length > 1 ? ` of ${scenes[0].title}` : "";
  const table = element("table", { class: small ? "logits" : "logits large" }, element("tbody", {}, head, ...rows));
  return element("div", {}, element("h3", {}, `Logits${of}: a row the samples of one ${whose}, a column a class`), table, scale(largest));
}

function colour(share) {
  const far = share < 0 ? FAR.negative : FAR.positive;
  const mixed = MIDDLE.map((from, i) => Math.round(from + Math.abs(share) * (far[i] - from)));
  return `rgb(${mixed.join(" ")})`;
}

function scale(largest) {
  const bar = element("span", { class: "bar" });
  bar.style.background = `linear-gradient(to right, ${[-1, -0.5, 0, 0.5, 1].map(colour).join(", ")})`;
  const ends = [-largest, largest].map((value) => String(Number(value.toPrecision(3))));
  return element("p", { class: "scale" }, ends[0], bar, ends[1]);
}

function spectrumTable({ values, counts, tolerance }) {
  const most = Math.max(...counts);
  const rows = values.map((value, i) => {
    const sign = Math.abs(value) <= tolerance ? "zero" : value < 0 ? "negative" : "positive";
    const bar = element("span", {});
    bar.style.width = `${(100 * counts[i]) / most}%`;
    return element("tr", { class: sign },
      element("td", { class: "number" }, sign === "zero" ? "0" : format(value)),
      element("td", { class: "number" }, String(counts[i])),
      element("td", { class: "bar" }, bar));
  });
  const head = ["eigenvalue", "multiplicity", ""].map((name) => element("th", { scope: "col", class: "number" }, name));
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
  const frame = { class: "spectrum", tabindex: "0", role: "region", "aria-label": "Spectrum of the Hessian" };
  return element("div", {}, element("h3", {}, `Spectrum of the Hessian: ${values.length} distinct`),
    element("div", frame, table));
}

function showItem(item) {
  document.getElementById("chosen").textContent = item.name;
  showFacts(item);
  document.querySelector("#panel .pictures").replaceChildren(...item.scenes.map(picture));
  document.getElementById("numbers").replaceChildren(
    ...(item.logits ? [logitsTable(item.logits, item.scenes)] : []),
    ...(item.spectrum ? [spectrumTable(item.spectrum)] : []),
  );
}
