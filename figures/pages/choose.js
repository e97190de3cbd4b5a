// One item is chosen: by a click on its mark or on its row, by the arrow keys, or by the page's address (#3).
const data = JSON.parse(document.getElementById("data").textContent);
const chart = document.querySelector("svg.chart");
const marks = [...chart.querySelectorAll(".mark")].sort((a, b) => a.dataset.item - b.dataset.item);
const listed = [...document.querySelectorAll("#all tr[data-item]")];
const links = [...chart.querySelectorAll(".link")];
const places = marks.map((mark) => mark.transform.baseVal.consolidate().matrix).map(({ e, f }) => [e, f]);
const AIM = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
let chosen = 0;

function choose(item, focused) {
  chosen = item;
  marks.forEach((mark, i) => {
    mark.setAttribute("aria-selected", i === item);
    mark.setAttribute("tabindex", i === item ? 0 : -1);
  });
  for (const row of listed) {
    if (Number(row.dataset.item) === item) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
  for (const link of links) {
    link.classList.toggle("down", Number(link.dataset.from) === item);
    link.classList.toggle("up", Number(link.dataset.to) === item);
  }
  showItem(data.items[item]);
  showLinks(item);
  history.replaceState(null, "", `#${item}`);
  if (focused) marks[item].focus();
}

function showLinks(item) {
  const ends = data.links.filter(([start]) => start === item).map(([, end]) => end);
  const starts = data.links.filter(([, end]) => end === item).map(([start]) => start);
  const parts = [["Descents lead down to", ends], ["Reached from", starts]].filter(([, found]) => found.length);
  document.querySelector("#panel .links").replaceChildren(
    ...parts.flatMap(([words, found]) => [`${words} `, ...found.map(goTo), " "]),
  );
}

function goTo(item) {
  const button = element("button", { type: "button", "aria-label": data.items[item].name }, String(item));
  button.addEventListener("click", () => choose(item, true));
  return button;
}

// The mark next to the chosen one in that direction: what lies aside counts as three times as far.
function beside([right, down]) {
  const [x, y] = places[chosen];
  const cost = ([a, b]) => {
    const ahead = (a - x) * right + (b - y) * down;
    return ahead > 0.5 ? ahead + 3 * Math.abs((a - x) * down - (b - y) * right) : Infinity;
  };
  const costs = places.map(cost);
  const least = Math.min(...costs);
  return least < Infinity ? costs.indexOf(least) : chosen;
}

chart.addEventListener("keydown", (event) => {
  const last = marks.length - 1;
  const ordered = { Home: 0, End: last, PageUp: Math.max(0, chosen - 1), PageDown: Math.min(last, chosen + 1) };
  const item = AIM[event.key] ? beside(AIM[event.key]) : ordered[event.key];
  if (item === undefined) return;
  event.preventDefault();
  choose(item, true);
});
chart.setAttribute("role", "listbox");
for (const mark of marks) {
  mark.setAttribute("role", "option");
  mark.addEventListener("click", () => choose(Number(mark.dataset.item), true));
}
for (const row of listed) {
  const button = element("button", { type: "button" }, ...row.cells[0].childNodes);
  button.addEventListener("click", () => {
    choose(Number(row.dataset.item), false);
    document.getElementById("panel").scrollIntoView({ block: "nearest" });
  });
  row.cells[0].append(button);
}
for (const hidden of document.querySelectorAll("#panel, #numbers, .how")) hidden.hidden = false;
const asked = Number(location.hash.slice(1));
choose(asked in data.items ? asked : 0, false);
