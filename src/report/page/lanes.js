// The timeline: one lane for each combination that a rule counts, those with alerts first, the quiet ones folded.
const LANES = 40;
const LANES_OF_A_CALLER = 5;

const alerts = new Map(data.alerts.map((alert) => [alert.id, alert]));
const notices = new Map(data.notices.map((notice) => [notice.alert, notice]));
const named = (account) => account ?? UNKNOWN;
const lanes = data.keys.map((key) => {
  const rule = data.rules[key.rule];
  const caller = data.callers[key.caller];
  const start = Date.parse(key.first);
  let at = start;
  const times = key.marks.map((delta) => (at += delta));
  const fired = key.alerts.map(([after, id]) => ({ at: start + after, id, alert: alerts.get(id) }));
  const severities = new Set(fired.length ? fired.map(({ alert }) => alert?.severity ?? rule.severity) : [rule.severity]);
  const lane = { values: [], names: [], floods: [], models: [], ...key, rule, severities, start, end: Date.parse(key.last), times, fired, callerNumber: key.caller, caller };
  lane.floods = lane.floods.map(([after, length, count]) => ({ from: start + after, to: start + after + length, count }));
  const requests = fired.flatMap(({ alert }) => (alert && alert.request_ids) || []);
  lane.text = [key.user, key.model, key.account, caller.arn, rule.id, rule.name, ...lane.models, ...lane.names, ...requests]
    .filter(Boolean).join("\n").toLowerCase();
  return lane;
});
const isNear = (lane) => lane.fired.length === 0 && lane.threshold > 0 && lane.peak >= lane.threshold;
const reached = (lane) => `${orMore(lane.peak, lane.at_least && lane.fired.length > 0)}, limit ${figure(lane.threshold)}`;
const about = (lane) => lane.model ?? (lane.rule.id === "model-sweep" ? "all models" : lane.user && lane.user !== lane.caller.arn ? "all its calls" : "all calls");

const state = { lanes: LANES, quiet: false, whole: new Set() };
let shownLanes = [];

// --- one lane ---

const drawing = (lane, range = view) => {
  const picture = svg("svg", { viewBox: viewBox(range), preserveAspectRatio: "none", "aria-hidden": "true" });
  for (const flood of lane.floods) {
    picture.append(svg("rect", { x: x(flood.from), y: 9, width: x(flood.to) - x(flood.from), height: 20 }));
  }
  const inside = range === view ? lane.times : lane.times.filter((at) => at >= range.from && at <= range.to);
  picture.append(svg("path", { d: inside.map((at) => `M${x(at)} 12V27`).join("") }));
  return picture;
};

// How many distinct values the window that ends at `at` holds.
const within = (lane, at) => {
  const from = at - lane.rule.window * 1000;
  const values = new Set();
  lane.times.forEach((time, index) => {
    if (time >= from && time <= at) values.add(lane.values.length ? lane.values[index] : index);
  });
  const bound = lane.floods.some((flood) => flood.to > from && flood.from <= at);
  return { count: values.size, bound, from };
};
const reading = (lane, at) => {
  const { count, bound } = within(lane, at);
  const nouns = lane.rule.sums ? "requests" : lane.rule.noun;
  const noun = count === 1 && !bound ? nouns.replace(/s$/, "") : nouns;
  const limit = `limit ${figure(lane.rule.threshold)}${lane.rule.sums ? ` ${lane.rule.noun}` : ""}`;
  const own = localTime(at);
  return `${clock(at)} UTC${own ? ` (${own})` : ""}: ${orMore(count, bound)} ${noun} in the ${minutes(lane.rule.window)} before, ${limit}`;
};

const shade = (lane, at) => {
  for (const old of document.querySelectorAll(".window")) old.remove();
  if (!lane) return;
  const { from } = within(lane, at);
  const shaded = el("div", { class: "window" });
  const left = Math.max(share(from), 0);
  shaded.style.left = `${left}%`;
  shaded.style.width = `${Math.max(share(at) - left, 0)}%`;
  lane.track.append(shaded);
};

const flag = ({ at, id, alert }, rule, range) => {
  const told = notices.has(id);
  const label = `Alert ${clock(at)} UTC${told ? ", with a notification" : ""}: show its incident`;
  const one = button(told ? "✉" : "▼", () => alert && openAlert(alert), { class: `flag ${alert?.severity ?? rule.severity}${told ? " told" : ""}`, "aria-label": label, title: label });
  one.style.left = `${share(at, range)}%`;
  return one;
};
const flags = (lane) => {
  for (const old of lane.track.querySelectorAll(".flag")) old.remove();
  lane.track.append(...lane.fired.filter(({ at }) => at >= view.from && at <= view.to).map((one) => flag(one, lane.rule, view)));
};

const describe = (lane) => `${lane.rule.id}, ${short(lane.user)}, ${lane.model === null ? "all models" : lane.model}, ${reached(lane)}`;

const select = (lane, index) => {
  lane.selected = Math.min(Math.max(index, 0), lane.times.length - 1);
  const at = lane.times[lane.selected];
  if (at === undefined) return;
  if (at < view.from || at > view.to) zoom(at - width() / 2, at + width() / 2);
  lane.track.setAttribute("aria-valuenow", lane.selected + 1);
  lane.track.setAttribute("aria-valuetext", reading(lane, at));
  shade(lane, at);
  byId("reading").textContent = reading(lane, at);
};

const row = (lane) => {
  const session = lane.user && lane.caller.arn && lane.user.startsWith(`${lane.caller.arn}/`) ? ` · ${lane.user.slice(lane.caller.arn.length + 1)}` : "";
  const name = el("div", { class: "name", title: `${lane.user ?? UNKNOWN}\n${about(lane)}` },
    el("span", {}, short(about(lane)) + session),
    el("small", {}, el("span", { class: "rule" }, lane.rule.id), el("span", { class: "count" }, reached(lane)), link(`lane-${lane.id}`, "this lane")));
  lane.track = el("div", {
    class: lane.fired.length ? "track fired" : "track", tabindex: "0", role: "slider", "aria-label": describe(lane),
    "aria-valuemin": "1", "aria-valuemax": String(Math.max(lane.times.length, 1)), "aria-valuenow": "1",
    "aria-valuetext": lane.times.length ? reading(lane, lane.times[0]) : "no denial drawn",
  }, drawing(lane));
  lane.track.lane = lane;
  return el("div", { class: "lane", id: `lane-${lane.id}` }, name, lane.track);
};

// --- all lanes ---

const more = (id, number, one) => {
  byId(id).hidden = number <= 0;
  byId(id).textContent = `Show more (${plural(number, one)} not shown)`;
};

// A search shows what it finds; where nothing fired, what came nearest is all there is.
const unfolds = (matching) => byId("search").value.trim() !== "" || !matching.some((lane) => lane.fired.length);

const group = (number, members, all, draw) => {
  const fires = members.some((lane) => lane.fired.length);
  const shown = members.filter((lane) => lane.fired.length || all || (state.quiet && !fires));
  const whole = state.whole.has(number);
  const room = Math.max(state.lanes - shownLanes.length, 0);
  const some = whole ? members : shown.slice(0, Math.min(LANES_OF_A_CALLER, room));
  if (some.length === 0) return null;
  const { arn, account } = members[0].caller;
  const fired = members.reduce((sum, lane) => sum + lane.fired.length, 0);
  const head = el("h3", {}, el("span", { title: arn ?? UNKNOWN }, short(arn)),
    el("small", {}, `account ${named(account)} · ${fired ? plural(fired, "alert") : "no alert"}`));
  const one = el("div", { class: "group" }, head, ...some.map(row));
  const rest = members.length - some.length;
  if (rest) {
    const kind = members.slice(some.length).some((lane) => lane.fired.length) ? "more combination" : "quiet combination";
    one.append(button(`${plural(rest, kind)} of this caller`, () => { state.whole.add(number); draw(); }, { class: "link rest" }));
  }
  shownLanes.push(...some);
  return one;
};

const drawTimeline = (matching) => {
  const again = () => drawTimeline(matching);
  const all = unfolds(matching);
  const groups = new Map();
  for (const lane of matching) {
    if (!groups.has(lane.callerNumber)) groups.set(lane.callerNumber, []);
    groups.get(lane.callerNumber).push(lane);
  }
  const holder = byId("lanes");
  holder.replaceChildren();
  shownLanes = [];
  let [left, folded, callers] = [0, 0, 0];
  for (const [number, members] of groups) {
    const one = group(number, members, all, again);
    if (one) holder.append(one);
    else if (all || state.quiet || members.some((lane) => lane.fired.length)) left += members.length;
    else { folded += members.length; callers += 1; }
  }
  if (matching.length === 0) holder.append(el("p", { class: "empty" }, lanes.length ? "No denial matches these filters." : "No rule counted anything in these logs."));
  more("more-lanes", left, "combination");
  byId("quiet").hidden = folded === 0;
  byId("quiet").textContent = `Show ${plural(folded, "quiet combination")} of ${plural(callers, "caller")} without alerts`;
  axis();
  shownLanes.forEach(flags);
};

const allLanes = () => drawTimeline(lanes.filter(laneMatches(filters())));
const showLane = (lane) => {
  if (!shownLanes.includes(lane)) {
    if (!laneMatches(filters())(lane)) clearFilters();
    state.whole.add(lane.callerNumber);
    allLanes();
  }
  zoomAround(lane.start, lane.end);
  lane.track.scrollIntoView({ block: "center" });
  lane.track.focus({ preventScroll: true });
};

setPeriod(lanes.flatMap((lane) => [lane.start, lane.end]));
onZoom.push(() => {
  for (const lane of shownLanes) {
    lane.track.querySelector("svg").setAttribute("viewBox", viewBox());
    flags(lane);
  }
  shade(null);
});
byId("more-lanes").addEventListener("click", () => { state.lanes *= 4; allLanes(); });
byId("quiet").addEventListener("click", () => { state.quiet = true; state.lanes += LANES; allLanes(); });

const holder = byId("lanes");
holder.addEventListener("pointermove", (event) => {
  const track = event.target.closest(".track");
  if (!track || drag?.shade) { tip.hidden = true; return; }
  const { lane } = track;
  const box = track.getBoundingClientRect();
  const at = moment(event, box);
  const near = width() * (6 / box.width);
  const closest = lane.times.reduce((best, time) => (Math.abs(time - at) < Math.abs(best - at) ? time : best), Infinity);
  const chosen = Math.abs(closest - at) <= near ? closest : Math.round(at);
  shade(lane, chosen);
  showTip(event, reading(lane, chosen));
});
holder.addEventListener("pointerleave", () => { tip.hidden = true; shade(null); });
holder.addEventListener("focusin", (event) => { if (event.target.lane) select(event.target.lane, event.target.lane.selected ?? 0); });
holder.addEventListener("focusout", () => shade(null));
holder.addEventListener("keydown", (event) => {
  const { lane } = event.target;
  if (!lane) return;
  const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };
  if (event.key in steps) {
    select(lane, (lane.selected ?? 0) + steps[event.key]);
  } else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
    shownLanes[shownLanes.indexOf(lane) + (event.key === "ArrowDown" ? 1 : -1)]?.track.focus();
  } else if (event.key === "Enter" && lane.fired.some(({ alert }) => alert)) {
    // The alert nearest to the selected denial.
    const at = lane.times[lane.selected ?? 0] ?? lane.start;
    const shown = lane.fired.filter(({ alert }) => alert);
    openAlert(shown.reduce((best, one) => (Math.abs(one.at - at) < Math.abs(best.at - at) ? one : best)).alert);
  } else {
    return;
  }
  event.preventDefault();
});
