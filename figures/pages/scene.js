// The rows of W and the features of a point, drawn along at most three axes; three can be turned.
const TURN = { ArrowLeft: [-0.12, 0], ArrowRight: [0.12, 0], ArrowUp: [0, -0.12], ArrowDown: [0, 0.12] };
const BEGIN = [0.55, -0.4];
const REACH = 78; // from the middle of the picture to the longest row

function shape(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function drawScene(scene) {
  const solid = scene.rank >= 3;
  const lengths = [...scene.rows, ...scene.features].map((tip) => Math.hypot(...tip.at));
  const unit = REACH / (Math.max(...lengths) || 1);
  const high = scene.rank >= 2 ? 105 : 30;
  const svg = shape("svg", { class: solid ? "scene turns" : "scene", viewBox: `-105 ${-high} 210 ${2 * high}` });
  let angles = solid ? BEGIN : [0, 0];
  const draw = () => svg.replaceChildren(...parts(scene, (at) => turned(at, angles, unit), solid));
  draw();
  svg.setAttribute("role", solid ? "application" : "img");
  svg.setAttribute("aria-label", described(scene));
  if (solid) turnable(svg, (move) => { angles = move ? [angles[0] + move[0], angles[1] + move[1]] : BEGIN; draw(); });
  return svg;
}

// (right, down, towards the reader) of a place after the turn about the upright axis and the tilt about the level one.
function turned(at, [turn, tilt], unit) {
  const [x, y, z] = [0, 1, 2].map((axis) => (at[axis] ?? 0) * unit);
  const [across, deep] = [x * Math.cos(turn) + z * Math.sin(turn), z * Math.cos(turn) - x * Math.sin(turn)];
  return [across, -(y * Math.cos(tilt) - deep * Math.sin(tilt)), deep * Math.cos(tilt) + y * Math.sin(tilt)];
}

function parts(scene, place, solid) {
  const axes = [[1, 0, 0], [0, 1, 0], [0, 0, 1]].slice(0, Math.min(3, scene.rank));
  const far = Math.max(...scene.rows.map((tip) => Math.hypot(...tip.at))) || 1;
  const rays = axes.map((axis) => stretch("ray", place(axis.map((x) => -far * x)), place(axis.map((x) => far * x))));
  const tips = scene.rows.map((tip) => ({ at: place(tip.at), name: tip.rows.join(", ") }));
  const edges = tips.flatMap((one, i) => tips.slice(i + 1).map((other) => stretch("edge", one.at, other.at)));
  const rings = scene.features.map((tip) => {
    const [x, y] = place(tip.at);
    return shape("circle", { class: "feature", cx: x, cy: y, r: 6 });
  });
  const near = [...tips].sort((one, other) => one.at[2] - other.at[2]);
  return [...rays, ...(tips.length <= 8 ? edges : []), ...rings, ...near.map((tip) => row(tip, solid))];
}

function row({ at, name }, solid) {
  const [x, y, towards] = at;
  const length = Math.hypot(x, y);
  const [beyondX, beyondY] = length < 8 ? [0, 12] : [(x / length) * 13, (y / length) * 13];
  const opacity = solid ? 0.7 + (0.3 * towards) / REACH : 1;
  const label = shape("text", { x: x + beyondX, y: y + beyondY }, name);
  const tip = shape("circle", { class: "tip", cx: x, cy: y, r: solid ? 3.6 + towards / REACH : 3.6 });
  return shape("g", { opacity }, stretch("row", [0, 0], at), tip, label);
}

function stretch(kind, [x1, y1], [x2, y2]) {
  return shape("line", { class: kind, x1, y1, x2, y2 });
}

function described(scene) {
  const axes = ["at the origin", "on a line", "in the plane"][scene.rank] ?? "in three dimensions";
  const turn = scene.rank >= 3 ? "; drag, or turn with the arrow keys, Home turns back" : "";
  return `${scene.title} and features, ${axes}${turn}`;
}

function turnable(svg, turn) {
  svg.setAttribute("tabindex", "0");
  svg.addEventListener("keydown", (event) => {
    const move = TURN[event.key];
    if (!move && event.key !== "Home") return;
    event.preventDefault();
    turn(move);
  });
  svg.addEventListener("pointerdown", (event) => svg.setPointerCapture(event.pointerId));
  svg.addEventListener("pointermove", (event) => {
    if (event.buttons) turn([event.movementX / 90, event.movementY / 90]);
  });
}
