// The counts: how near each combination is to its limit, when denials came, and why calls failed.
const ROWS = 25;
const GROUPS = { key: "Combination", caller: "Caller", model: "Model", account: "Account" };
const TEXTS = ["name", "model", "rule", "sources", "first"];
const COLUMNS = {
  key: [["name", "User"], ["model", "Model"], ["rule", "Rule"], ["share", "Busiest window"], ["total", "Total"], ["alerts", "Alerts"], ["first", "First (UTC)"], ["last", "Last (UTC)"], ["sources", "Seen in"]],
  group: [["name", "Name"], ["total", "Denials"], ["keys", "Combinations"], ["alerts", "Alerts"], ["near", "At the limit"], ["first", "First (UTC)"], ["last", "Last (UTC)"], ["sources", "Seen in"]],
};
const counted = { group: "key", sort: "share", down: true, rows: ROWS };
// Of several rules that count the same denials, one.
const base = data.rules[data.base];

const keyRows = (matching) => matching.map((lane) => ({
  lane, name: short(lane.user), title: lane.user ?? UNKNOWN, detail: `account ${named(lane.account)}`, model: lane.model ?? "–", rule: lane.rule.id,
  share: lane.peak / (lane.threshold + 1), total: lane.total, bound: lane.at_least,
  first: lane.start, last: lane.end, sources: lane.sources.join(", "), alerts: lane.fired.length, near: isNear(lane),
}));
const groupRows = (matching) => {
  const value = { caller: (lane) => lane.caller.arn, model: (lane) => lane.model, account: (lane) => lane.account }[counted.group];
  const rows = new Map();
  for (const lane of matching) {
    if (counted.group === "model" && lane.model === null && lane.rule !== base) continue;
    const id = value(lane);
    const key = counted.group === "caller" ? `${lane.callerNumber}` : `${id}`;
    if (!rows.has(key)) {
      const detail = counted.group === "caller" ? `account ${named(lane.caller.account)}` : "";
      rows.set(key, { name: short(id), title: id ?? UNKNOWN, detail, total: 0, bound: false, keys: 0, alerts: 0, near: 0, first: Infinity, last: -Infinity, sources: new Set() });
    }
    const one = rows.get(key);
    if (lane.rule === base) { one.total += lane.total; one.bound ||= lane.at_least; }
    one.keys += 1;
    one.alerts += lane.fired.length;
    one.near += isNear(lane) ? 1 : 0;
    one.first = Math.min(one.first, lane.start);
    one.last = Math.max(one.last, lane.end);
    lane.sources.forEach((source) => one.sources.add(source));
  }
  return [...rows.values()].map((one) => ({ ...one, sources: [...one.sources].join(", ") }));
};

const content = (row, column) => {
  if (column === "name") {
    const name = row.lane ? button(row.name, () => showLane(row.lane), { class: "link", title: row.title }) : el("span", { title: row.title }, row.name);
    return [name, row.detail ? el("small", {}, row.detail) : null];
  }
  if (column === "share") {
    const meter = el("div", { class: "meter" }, el("div"));
    meter.firstChild.style.width = `${Math.min(row.share, 1) * 100}%`;
    return [el("span", { class: "count" }, `${reached(row.lane)}${row.near && row.share < 1 ? ", one more fires" : ""}`), meter];
  }
  if (column === "first" || column === "last") return [clock(row[column])];
  if (column === "total") return [orMore(row.total, row.bound)];
  return [typeof row[column] === "number" ? figure(row[column]) : row[column]];
};
const cell = (row, [column, title]) => {
  const kind = { name: "id", model: "id", rule: "word", sources: "word" }[column] ?? "number";
  const own = column === "first" || column === "last" ? localTime(row[column]) : "";
  return el("td", { class: kind, "data-label": title, title: own || null }, ...content(row, column));
};

const sortedRows = (matching) => {
  const columns = counted.group === "key" ? COLUMNS.key : COLUMNS.group;
  const rows = counted.group === "key" ? keyRows(matching) : groupRows(matching);
  if (!columns.some(([id]) => id === counted.sort)) Object.assign(counted, { sort: counted.group === "key" ? "share" : "total", down: true });
  const order = (a, b) => (typeof a === "number" ? a - b : String(a).localeCompare(String(b)));
  return rows.sort((a, b) => order(a[counted.sort], b[counted.sort]) * (counted.down ? -1 : 1));
};

const drawCounts = (matching) => {
  const columns = counted.group === "key" ? COLUMNS.key : COLUMNS.group;
  const rows = sortedRows(matching);
  byId("counts").classList.toggle("none", rows.length === 0);
  const heads = columns.map(([id, title]) => {
    const one = button(id === "name" && counted.group !== "key" ? GROUPS[counted.group] : title, () => {
      Object.assign(counted, { down: counted.sort === id ? !counted.down : !TEXTS.includes(id), sort: id });
      drawCounts(matching);
      byId("table").querySelector(`th[data-column="${id}"] button`).focus();
    });
    return el("th", { scope: "col", "data-column": id, "aria-sort": counted.sort === id ? (counted.down ? "descending" : "ascending") : "none" }, one);
  });
  byId("table").querySelector("thead").replaceChildren(el("tr", {}, ...heads));
  const some = rows.slice(0, counted.rows);
  const kind = (one) => (one.alerts ? "over" : one.near ? "near" : null);
  byId("table").querySelector("tbody").replaceChildren(...some.map((one) => el("tr", { class: kind(one) }, ...columns.map((column) => cell(one, column)))));
  byId("table-hint").textContent = counted.group === "key"
    ? "The busiest window holds the most that counts at once. A rule fires above its limit."
    : base ? `Denials as ${base.id} counts them, each once; combinations and alerts of every rule.` : "";
  more("more-rows", rows.length - some.length, "row");
  for (const one of byId("groups").children) one.setAttribute("aria-pressed", String(one.dataset.group === counted.group));
};
const allCounts = () => drawCounts(lanes.filter(laneMatches(filters())));

for (const [id, title] of Object.entries(GROUPS)) {
  byId("groups").append(button(title, () => { counted.group = id; allCounts(); }, { "data-group": id }));
}
byId("more-rows").addEventListener("click", () => { counted.rows *= 4; allCounts(); });
byId("counts-csv").addEventListener("click", () => {
  const rows = sortedRows(lanes.filter(laneMatches(filters())));
  const iso = (ms) => new Date(ms).toISOString();
  if (counted.group === "key") {
    const head = ["user", "model", "account", "rule", "busiest_window", "limit", "total", "total_is_lower_bound", "alerts", "first_utc", "last_utc", "seen_in"];
    csv("counts.csv", [head, ...rows.map(({ lane, ...one }) => [lane.user, lane.model, lane.account, one.rule, lane.peak, lane.threshold, one.total, one.bound, one.alerts, iso(one.first), iso(one.last), one.sources])]);
  } else {
    const head = [counted.group, "denials", "denials_is_lower_bound", "combinations", "alerts", "at_the_limit", "first_utc", "last_utc", "seen_in"];
    csv("counts.csv", [head, ...rows.map((one) => [one.title, one.total, one.bound, one.keys, one.alerts, one.near, iso(one.first), iso(one.last), one.sources])]);
  }
});

// --- denials by hour ---

const HOUR = 3_600_000;
const BARS = 96;
const WIDTHS = [1, 2, 3, 6, 12, 24, 48, 168, 720, 8760];

const drawHours = () => {
  byId("hours").hidden = data.hours.length === 0;
  if (data.hours.length === 0) return;
  const [first, last] = [data.hours[0][0], data.hours[data.hours.length - 1][0]];
  const size = WIDTHS.find((one) => Math.floor(last / one) - Math.floor(first / one) < BARS) ?? WIDTHS[WIDTHS.length - 1] * 10;
  const start = Math.floor(first / size);
  const bins = new Array(Math.floor(last / size) - start + 1).fill(0);
  for (const [hour, denials] of data.hours) bins[Math.floor(hour / size) - start] += denials;
  const most = Math.max(...bins);
  const from = (index) => (start + index) * size * HOUR;
  const words = (index) => `${between(from(index), from(index + 1))}: ${plural(bins[index], "denial")}`;
  const bars = bins.map((number, index) => {
    const own = localTime(from(index), from(index + 1));
    const bar = button("", () => { zoom(from(index), from(index + 1)); byId("timeline").scrollIntoView(); },
      { class: "bar-of", tabindex: index === bins.indexOf(most) ? "0" : "-1", "aria-label": `${words(index)}: show on the timeline`, title: words(index) + (own ? ` (${own})` : "") });
    bar.append(el("span"));
    bar.lastChild.style.height = number ? `max(2px, ${(number / most) * 100}%)` : "0";
    return bar;
  });
  const every = size === 1 ? "" : size % 24 ? `, ${size} hours a bar` : size === 24 ? ", a day a bar" : `, ${size / 24} days a bar`;
  byId("hours-hint").textContent = `As ${base.id} counts them${every}. Most: ${figure(most)}, ${between(from(bins.indexOf(most)), from(bins.indexOf(most) + 1))}.`;
  byId("hours-bars").replaceChildren(...bars);
  byId("hours-axis").replaceChildren(...[from(0), from(bins.length)].map((at) => el("span", {}, clock(at).slice(0, 16))));
};
byId("hours-bars").addEventListener("keydown", (event) => {
  const step = { ArrowLeft: "previousElementSibling", ArrowRight: "nextElementSibling" }[event.key];
  const next = step && event.target[step];
  if (!next) return;
  event.target.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
  event.preventDefault();
});

// --- failed calls by cause ---

const drawCauses = () => {
  byId("causes").hidden = data.causes.length === 0;
  const most = Math.max(...data.causes.map(([number]) => number));
  byId("cause-list").replaceChildren(...data.causes.map(([number, because]) => {
    const one = el("li", {}, el("strong", {}, figure(number)), " ", el("span", {}, capital(because)), el("div", { class: "meter" }, el("div")));
    one.querySelector(".meter div").style.width = `${(number / most) * 100}%`;
    return one;
  }));
};
