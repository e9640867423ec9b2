"use strict";
const AHEAD = 6;
const at = (id) => document.getElementById(id);
let state = null, here = 0, item = null, mode = "", open = [], drag = null, busy = Promise.resolve();
const kept = new Map();

const asked = async (path, body) => {
  const options = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  const answer = await fetch(path, options);
  const said = await answer.json();
  if (!answer.ok) throw new Error(said && said.error || answer.statusText);
  return said;
};

const ahead = () => {
  for (let k = here; k < Math.min(here + AHEAD, state.order.length); k++) {
    const place = state.order[k];
    if (!kept.has(place)) {
      const image = new Image();
      image.src = `/api/pictures/${place}`;
      kept.set(place, image);
    }
  }
  if (kept.size > 4 * AHEAD) kept.delete(kept.keys().next().value);
};

const show = async () => {
  if (here >= state.order.length) {
    item = null;
    at("picture").removeAttribute("src");
    at("caption").textContent = "That was the last picture.";
    document.body.dataset.place = "end";
    return draw();
  }
  const place = state.order[here];
  ahead();
  item = await asked(`/api/items/${place}`);
  const picture = at("picture");
  picture.src = `/api/pictures/${place}`;
  picture.alt = item.source;
  const said = item.said.label ? ` — the model says ${item.said.label} (${item.said.confidence ?? ""})` : "";
  at("caption").textContent = `${item.source}${item.by ? `, ${item.label} by ${item.by}` : ""}${said}`;
  document.body.dataset.place = String(place);
  draw();
};

const shape = (name, attributes) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  at("marks").append(made);
};

const draw = () => {
  const marks = at("marks"), picture = at("picture");
  marks.replaceChildren();
  marks.setAttribute("viewBox", `0 0 ${picture.naturalWidth || 1} ${picture.naturalHeight || 1}`);
  if (item) {
    for (const [, x, y, width, height] of item.boxes) shape("rect", { x, y, width, height });
    for (const [, ...points] of item.polygons) shape("polygon", { points: points.join(" ") });
  }
  if (open.length) shape("polyline", { points: open.join(" ") });
  if (drag && drag.to) {
    const [x, y, width, height] = box(drag.from, drag.to);
    shape("rect", { x, y, width, height });
  }
  at("classes").replaceChildren(...state.classes.map((name, number) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `${number < 9 ? `${number + 1}  ` : ""}${name}`;
    button.setAttribute("aria-pressed", String(Boolean(item) && item.label === name));
    button.addEventListener("click", () => choose(name));
    return button;
  }));
  at("progress").textContent = `${state.labelled} of ${state.count} labelled`;
  at("mode").textContent = mode === "b" ? "Boxes: drag, then choose the class." : mode === "a" ? "Areas: click, Enter closes." : "";
};

const put = async (row) => {
  const before = Boolean(item.label || item.boxes.length || item.polygons.length), place = item.place;
  const picture = at("picture");
  const whole = { label: item.label, boxes: item.boxes, polygons: item.polygons, by: at("by").value.trim(), ...row };
  if (picture.naturalWidth) whole.size = [picture.naturalWidth, picture.naturalHeight];
  const after = await asked(`/api/items/${place}`, whole);
  if (!before) state.labelled += 1;
  if (item && item.place === place) item = after;
};

let waiting = null;
const choose = async (name) => {
  if (!item) return;
  if (waiting) {
    const list = waiting.length === 4 ? "boxes" : "polygons";
    const marked = [...item[list], [name, ...waiting]];
    waiting = null;
    await put({ [list]: marked });
    return draw();
  }
  if (mode) { item.label = name; return draw(); }
  await put({ label: name });
  here += 1;
  await show();
};

const box = ([x0, y0], [x1, y1]) => [Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0)];
const point = (event) => {
  const picture = at("picture"), area = picture.getBoundingClientRect();
  const share = (value, least, size) => Math.min(1, Math.max(0, (value - least) / size));
  return [share(event.clientX, area.left, area.width) * picture.naturalWidth,
    share(event.clientY, area.top, area.height) * picture.naturalHeight];
};
const marked = async (points) => {
  waiting = points;
  if (state.classes.length === 1) return choose(state.classes[0]);
  at("mode").textContent = "Which class? 1–9, or click it.";
};

at("stage").addEventListener("pointerdown", (event) => {
  event.preventDefault();
  if (mode === "b") drag = { from: point(event), to: null };
  if (mode === "a") { open.push(...point(event)); draw(); }
});
window.addEventListener("pointermove", (event) => { if (drag) { drag.to = point(event); draw(); } });
window.addEventListener("pointerup", () => {
  if (!drag) return;
  const found = drag.to ? box(drag.from, drag.to) : [0, 0, 0, 0];
  drag = null;
  if (found[2] > 2 && found[3] > 2) marked(found);
});
at("picture").addEventListener("load", () => {
  document.body.dataset.seen = item ? String(item.place) : "";
  draw();
});

const keys = {
  " ": async () => { here += 1; waiting = null; open = []; await show(); },
  ArrowRight: async () => keys[" "](),
  ArrowLeft: async () => { here = Math.max(0, here - 1); await show(); },
  u: async () => {
    const before = await asked("/api/undo", {});
    if (!before) return;
    if (!before.label && !before.boxes.length && !before.polygons.length) state.labelled -= 1;
    here = Math.max(0, state.order.indexOf(before.place));
    await show();
  },
  b: async () => { mode = mode === "b" ? "" : "b"; draw(); },
  a: async () => { mode = mode === "a" ? "" : "a"; open = []; draw(); },
  Enter: async () => { if (open.length >= 6) { const points = open; open = []; await marked(points); } },
  Delete: async () => {
    if (!item) return;
    if (item.polygons.length) await put({ polygons: item.polygons.slice(0, -1) });
    else if (item.boxes.length) await put({ boxes: item.boxes.slice(0, -1) });
    draw();
  },
};
document.addEventListener("keydown", (event) => {
  if (event.target.tagName === "INPUT" || event.ctrlKey || event.metaKey || event.altKey) return;
  const number = "123456789".indexOf(event.key);
  const work = number >= 0 && number < state.classes.length ? () => choose(state.classes[number]) : keys[event.key];
  if (!work) return;
  event.preventDefault();
  busy = busy.then(work).catch((error) => { at("mode").textContent = error.message; });
});
at("other").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = at("name").value.trim();
  if (name && !state.classes.includes(name)) state.classes.push(name);
  at("name").value = "";
  draw();
});
at("by").value = localStorage.getItem("by") || "";
at("by").addEventListener("change", () => localStorage.setItem("by", at("by").value));
const start = async () => { state = await asked("/api/state"); await show(); };
start();
