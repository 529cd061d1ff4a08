// The time that the lanes show: axis, zoom, drag. A page sets `period` and draws by `view` in what it adds to `onZoom`.
const period = { from: 0, to: 1 };
const view = { from: 0, to: 1 };
const onZoom = [];

const setPeriod = (times) => {
  const from = times.reduce((least, time) => Math.min(least, time), Infinity);
  const to = times.reduce((most, time) => Math.max(most, time), -Infinity);
  if (Number.isFinite(from)) {
    const margin = Math.max((to - from) * 0.02, 60_000);
    Object.assign(period, { from: from - margin, to: to + margin });
  }
  Object.assign(view, period);
};

const share = (ms, { from, to } = view) => ((ms - from) / (to - from)) * 100;
// Seconds from the beginning: an SVG counts in single precision.
const viewBox = ({ from, to } = view) => `${(from - period.from) / 1000} 0 ${(to - from) / 1000} 30`;
const x = (ms) => (ms - period.from) / 1000;

const STEPS = [1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10800, 21600, 43200, 86400, 172800, 604800, 2592000, 31536000].map((s) => s * 1000);
// Ticks of a stretch of time on so many pixels.
const ticks = (holder, { from, to }, width) => {
  holder.replaceChildren();
  const most = Math.max(Math.floor(width / 120), 2);
  const step = STEPS.find((one) => (to - from) / one <= most) ?? STEPS[STEPS.length - 1] * 10;
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
    const text = clock(at);
    const tick = el("span", { title: localTime(at) || null }, step >= 86_400_000 ? text.slice(0, 10) : step < 60_000 ? text.slice(5) : text.slice(5, 16));
    tick.style.left = `${share(at, { from, to })}%`;
    holder.append(tick);
  }
};
const axis = () => ticks(byId("axis"), view, byId("axis").clientWidth || 800);

const zoom = (from, to) => {
  const least = 10_000;
  const width = Math.min(Math.max(to - from, least), period.to - period.from);
  const middle = (from + to) / 2;
  view.from = Math.min(Math.max(middle - width / 2, period.from), period.to - width);
  view.to = view.from + width;
  axis();
  onZoom.forEach((draw) => draw());
};
const zoomAround = (from, to) => {
  const margin = Math.max((to - from) * 0.1, 60_000);
  zoom(from - margin, to + margin);
};

const width = () => view.to - view.from;
byId("zoom").append(
  button("+", () => zoom(view.from + width() / 4, view.to - width() / 4), { id: "zoom-in", "aria-label": "Zoom in" }),
  button("−", () => zoom(view.from - width() / 2, view.to + width() / 2), { id: "zoom-out", "aria-label": "Zoom out" }),
  button("←", () => zoom(view.from - width() / 2, view.to - width() / 2), { id: "earlier", "aria-label": "Earlier" }),
  button("→", () => zoom(view.from + width() / 2, view.to + width() / 2), { id: "later", "aria-label": "Later" }),
  button("Whole period", () => zoom(period.from, period.to), { id: "zoom-all" }),
);
addEventListener("resize", axis);

// The moment below the pointer.
const moment = (event, box) => view.from + Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * width();

// Dragging across a lane or the axis zooms to what it passed. A click is no drag.
let drag = null;
const endDrag = () => { drag?.shade?.remove(); drag = null; };
for (const holder of [byId("lanes"), byId("axis")]) {
  holder.addEventListener("pointerdown", (event) => {
    const plane = event.target.closest(".track, #axis");
    if (!plane || event.button !== 0 || event.target.closest("button")) return;
    drag = { plane, x: event.clientX, from: moment(event, plane.getBoundingClientRect()), id: event.pointerId };
  });
}
addEventListener("pointermove", (event) => {
  if (!drag || event.pointerId !== drag.id || (!drag.shade && Math.abs(event.clientX - drag.x) < 5)) return;
  if (!drag.shade) {
    drag.shade = el("div", { class: "selection" });
    drag.plane.append(drag.shade);
  }
  drag.to = moment(event, drag.plane.getBoundingClientRect());
  const left = share(Math.min(drag.from, drag.to));
  drag.shade.style.left = `${left}%`;
  drag.shade.style.width = `${share(Math.max(drag.from, drag.to)) - left}%`;
});
addEventListener("pointerup", () => {
  const done = drag;
  endDrag();
  if (done?.shade) zoom(Math.min(done.from, done.to), Math.max(done.from, done.to));
});
addEventListener("pointercancel", endDrag);
addEventListener("keydown", (event) => { if (event.key === "Escape") endDrag(); });

const tip = byId("tip");
const showTip = (event, text) => {
  tip.textContent = text;
  tip.hidden = false;
  tip.style.left = `${Math.max(Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8), 0)}px`;
  tip.style.top = `${Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 8)}px`;
};
