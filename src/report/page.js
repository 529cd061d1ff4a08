"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const LANES = 40;
  const LANES_OF_A_CALLER = 5;
  const ROWS = 25;
  const UNKNOWN = "unknown";

  // Text from the log reaches the page through text nodes and attributes only.
  const el = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  };
  const svg = (tag, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const chip = (severity) => el("span", { class: `chip ${severity}` }, severity);
  const plural = (number, one) => `${number.toLocaleString("en-US")} ${one}${number === 1 ? "" : "s"}`;
  const clock = (ms) => new Date(ms).toISOString().slice(0, 19).replace("T", " ");
  const atLeast = (number, bound) => `${number.toLocaleString("en-US")}${bound ? "+" : ""}`;
  const minutes = (seconds) => (seconds % 3600 === 0 && seconds > 3600 ? `${seconds / 3600} hours` : plural(seconds / 60, "minute"));
  // The end of an ARN names the identity or the model.
  const short = (id) => (id === null ? UNKNOWN : id.replace(/^arn:[^:]*:[^:]*:[^:]*:[^:]*:(assumed-role\/|user\/)?/, "") || id);

  // --- data ---

  const alerts = new Map(data.alerts.map((alert) => [alert.id, alert]));
  const notices = new Map(data.notices.map((notice) => [notice.alert, notice]));
  const lanes = data.keys.map((key) => {
    const rule = data.rules[key.rule];
    const caller = data.callers[key.caller];
    const start = Date.parse(key.first);
    let at = start;
    const times = key.marks.map((delta) => (at += delta));
    const fired = key.alerts.map(([after, id]) => ({ at: start + after, id, alert: alerts.get(id) }));
    const severities = new Set(fired.length ? fired.map(({ alert }) => alert?.severity ?? rule.severity) : [rule.severity]);
    const lane = { ...key, rule, severities, start, end: Date.parse(key.last), times, fired, callerNumber: key.caller, caller };
    lane.floods = key.floods.map(([after, length, count]) => ({ from: start + after, to: start + after + length, count }));
    const requests = fired.flatMap(({ alert }) => (alert && alert.request_ids) || []);
    lane.text = [key.user, key.model, key.account, caller.arn, rule.id, rule.name, ...key.models, ...key.names, ...requests]
      .filter(Boolean).join("\n").toLowerCase();
    return lane;
  });
  const grouped = Map.groupBy(data.alerts, (alert) => alert.incident.id);
  const incidents = data.incidents.map((incident) => {
    const found = grouped.get(incident.id) ?? [];
    const caller = data.callers[incident.caller];
    // Only a search needs it.
    const text = () => [caller.arn, caller.account, incident.id, ...found.map((alert) => JSON.stringify(alert))].join("\n").toLowerCase();
    return { ...incident, caller, found, text, from: Date.parse(incident.first), to: Date.parse(incident.last) };
  });
  const isNear = (lane) => lane.fired.length === 0 && lane.threshold > 0 && lane.peak >= lane.threshold;

  // --- what is shown ---

  const period = (() => {
    const from = Math.min(...lanes.map((lane) => lane.start));
    const to = Math.max(...lanes.map((lane) => lane.end));
    if (!Number.isFinite(from)) return { from: 0, to: 1 };
    const margin = Math.max((to - from) * 0.02, 60_000);
    return { from: from - margin, to: to + margin };
  })();
  const view = { ...period };
  const state = { group: "key", sort: "share", down: true, lanes: LANES, rows: ROWS, whole: new Set() };
  let shownLanes = [];

  const filters = () => ({
    text: byId("search").value.trim().toLowerCase(),
    account: byId("account").value,
    rule: byId("rule").value,
    severity: byId("severity").value,
    fired: byId("fired").checked,
  });
  const named = (account) => account ?? UNKNOWN;
  const laneMatches = (filter) => (lane) =>
    (!filter.text || lane.text.includes(filter.text)) && (!filter.account || named(lane.account) === filter.account) &&
    (!filter.rule || lane.rule.id === filter.rule) && (!filter.severity || lane.severities.has(filter.severity)) &&
    (!filter.fired || lane.fired.length > 0);
  const incidentMatches = (filter) => (incident) =>
    (!filter.text || incident.text().includes(filter.text)) && (!filter.account || named(incident.caller.account) === filter.account) &&
    (!filter.rule || incident.found.some((alert) => alert.rule.id === filter.rule)) &&
    (!filter.severity || incident.severity === filter.severity);

  // --- time line ---

  const share = (ms) => ((ms - view.from) / (view.to - view.from)) * 100;
  const viewBox = () => `${(view.from - period.from) / 1000} 0 ${(view.to - view.from) / 1000} 30`;

  const drawing = (lane) => {
    const picture = svg("svg", { viewBox: viewBox(), preserveAspectRatio: "none", "aria-hidden": "true" });
    for (const flood of lane.floods) {
      picture.append(svg("rect", { x: (flood.from - period.from) / 1000, y: 9, width: (flood.to - flood.from) / 1000, height: 20 }));
    }
    let d = "";
    for (const at of lane.times) d += `M${(at - period.from) / 1000} 12V27`;
    picture.append(svg("path", { d }));
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
    const noun = count === 1 ? nouns.replace(/s$/, "") : nouns;
    const fires = lane.rule.sums
      ? `fires above ${lane.rule.threshold.toLocaleString("en-US")} ${lane.rule.noun}`
      : `fires above ${lane.rule.threshold.toLocaleString("en-US")}`;
    return `${clock(at)} UTC: ${bound ? "at least " : ""}${count} ${noun} in the ${minutes(lane.rule.window)} before; ${fires}`;
  };

  const shade = (lane, at) => {
    for (const old of document.querySelectorAll(".window")) old.remove();
    if (!lane) return;
    const { from } = within(lane, at);
    const window = el("div", { class: "window" });
    const left = Math.max(share(from), 0);
    window.style.left = `${left}%`;
    window.style.width = `${Math.max(share(at) - left, 0)}%`;
    lane.track.append(window);
  };

  const flags = (lane) => {
    for (const old of lane.track.querySelectorAll(".flag")) old.remove();
    for (const { at, id, alert } of lane.fired) {
      if (at < view.from || at > view.to) continue;
      const told = notices.has(id);
      const label = `Alert ${clock(at)} UTC${told ? ", with a notice" : ""}: show its incident`;
      const flag = el("button", { type: "button", class: `flag ${alert?.severity ?? lane.rule.severity}${told ? " told" : ""}`, "aria-label": label, title: label }, told ? "✉" : "▼");
      flag.style.left = `${share(at)}%`;
      flag.addEventListener("click", () => alert && open(alert));
      lane.track.append(flag);
    }
  };

  const axis = () => {
    const holder = byId("axis");
    holder.replaceChildren();
    if (lanes.length === 0) return;
    const width = holder.clientWidth || 800;
    const steps = [1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10800, 21600, 43200, 86400, 172800, 604800, 2592000, 31536000].map((s) => s * 1000);
    const most = Math.max(Math.floor(width / 120), 2);
    const step = steps.find((one) => (view.to - view.from) / one <= most) ?? steps[steps.length - 1] * 10;
    for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) {
      const text = clock(at);
      const tick = el("span", {}, step >= 86_400_000 ? text.slice(0, 10) : step < 60_000 ? text.slice(5) : text.slice(5, 16));
      tick.style.left = `${share(at)}%`;
      holder.append(tick);
    }
  };

  const redraw = () => {
    axis();
    for (const lane of shownLanes) {
      lane.track.querySelector("svg").setAttribute("viewBox", viewBox());
      flags(lane);
    }
    shade(null);
  };

  const zoom = (from, to) => {
    const least = 10_000;
    const span = Math.min(Math.max(to - from, least), period.to - period.from);
    const middle = (from + to) / 2;
    view.from = Math.min(Math.max(middle - span / 2, period.from), period.to - span);
    view.to = view.from + span;
    redraw();
  };

  const describe = (lane) => `${lane.rule.id}, ${short(lane.user)}, ${lane.model === null ? "all models" : lane.model}, ${plural(lane.times.length, "mark")}`;

  const select = (lane, index) => {
    lane.selected = Math.min(Math.max(index, 0), lane.times.length - 1);
    const at = lane.times[lane.selected];
    if (at === undefined) return;
    if (at < view.from || at > view.to) zoom(at - (view.to - view.from) / 2, at + (view.to - view.from) / 2);
    lane.track.setAttribute("aria-valuenow", lane.selected + 1);
    lane.track.setAttribute("aria-valuetext", reading(lane, at));
    shade(lane, at);
    byId("reading").textContent = reading(lane, at);
  };

  const row = (lane) => {
    const what = lane.model ?? (lane.rule.id === "model-sweep" ? "all models" : lane.user && lane.user !== lane.caller.arn ? "all its calls" : "all calls");
    const session = lane.user && lane.caller.arn && lane.user.startsWith(`${lane.caller.arn}/`) ? ` · ${lane.user.slice(lane.caller.arn.length + 1)}` : "";
    const name = el("div", { class: "name", title: `${lane.user ?? UNKNOWN}\n${what}` },
      el("span", {}, short(what) + session),
      el("small", {}, `${lane.rule.id} · ${atLeast(lane.peak, lane.at_least && lane.fired.length > 0)} of >${lane.threshold.toLocaleString("en-US")}`));
    lane.track = el("div", {
      class: lane.fired.length ? "track fired" : "track", tabindex: "0", role: "slider", "aria-label": describe(lane),
      "aria-valuemin": "1", "aria-valuemax": String(Math.max(lane.times.length, 1)), "aria-valuenow": "1",
      "aria-valuetext": lane.times.length ? reading(lane, lane.times[0]) : "no denial drawn",
    }, drawing(lane));
    lane.track.lane = lane;
    flags(lane);
    return el("div", { class: "lane" }, name, lane.track);
  };

  const timeline = (matching) => {
    const groups = new Map();
    for (const lane of matching) {
      if (!groups.has(lane.callerNumber)) groups.set(lane.callerNumber, []);
      groups.get(lane.callerNumber).push(lane);
    }
    const holder = byId("lanes");
    holder.replaceChildren();
    shownLanes = [];
    let left = 0;
    for (const [number, members] of groups) {
      const whole = state.whole.has(number) ? members.length : LANES_OF_A_CALLER;
      const some = members.slice(0, Math.min(whole, Math.max(state.lanes - shownLanes.length, 0)));
      if (some.length === 0) { left += members.length; continue; }
      const { arn, account } = some[0].caller;
      const fired = members.reduce((sum, lane) => sum + lane.fired.length, 0);
      const head = el("h3", {}, el("span", { title: arn ?? UNKNOWN }, short(arn)),
        el("small", {}, `account ${named(account)} · ${plural(members.length, "key")} · ${fired ? plural(fired, "alert") : "no alert"}`));
      const group = el("div", { class: "group" }, head, ...some.map(row));
      if (members.length > some.length) {
        const rest = el("button", { type: "button", class: "link rest" }, `${plural(members.length - some.length, "more key")} of this caller`);
        rest.addEventListener("click", () => { state.whole.add(number); state.lanes += members.length; timeline(matching); });
        group.append(rest);
      }
      holder.append(group);
      shownLanes.push(...some);
    }
    if (matching.length === 0) holder.append(el("p", { class: "empty" }, lanes.length ? "No denial matches these filters." : "No rule counted anything in these logs."));
    more("more-lanes", left, "key");
    redraw();
  };

  const more = (id, number, one) => {
    byId(id).hidden = number <= 0;
    byId(id).textContent = `Show more (${plural(number, one)} not shown)`;
  };

  // --- incidents ---

  const fact = (list, name, value) => {
    const values = (Array.isArray(value) ? value : [value]).filter((one) => one !== null && one !== undefined && one !== "");
    if (values.length === 0) return;
    list.append(el("dt", {}, name), el("dd", {}, ...values.flatMap((one, index) => (index ? [el("br"), String(one)] : [String(one)]))));
  };

  const article = (alert) => {
    const list = el("dl");
    const total = Object.entries(alert).find(([name]) => name.startsWith("total_") && !name.endsWith("_at_least"));
    const bound = total && alert[`${total[0]}_at_least`];
    fact(list, "Rule", `${alert.rule.id}: ${alert.rule.name}`);
    fact(list, "Counted", total && `${atLeast(total[1], bound)} ${total[0].slice(6).replaceAll("_", " ")}; fires above ${alert.threshold.toLocaleString("en-US")} within ${minutes(alert.window_minutes * 60)}`);
    fact(list, "Seen (UTC)", `${clock(Date.parse(alert.first_seen))} to ${clock(Date.parse(alert.last_seen))}`);
    fact(list, "User", alert.user.id ?? UNKNOWN);
    fact(list, "Model", alert.gen_ai.request.model.id ?? alert.models);
    fact(list, "Sessions", alert.sessions);
    for (const [label, field] of data.evidence) fact(list, label, field.split(".").reduce((at, name) => at?.[name], alert));
    fact(list, "Request ids", alert.request_ids);
    fact(list, "Objects", alert.objects);
    fact(list, "Alert id", alert.id);
    const notice = notices.get(alert.id);
    fact(list, "Notice", notice && `${notice.id}, about ${plural(notice.alerts, "alert")}`);
    const one = el("article", { id: `alert-${alert.id}`, tabindex: "-1" }, el("h3", {}, alert.event.reason), list);
    const triage = alert.triage ?? data.rules.find((rule) => rule.id === alert.rule.id)?.triage ?? [];
    if (triage.length) one.append(el("strong", {}, "What to do first"), el("ol", {}, ...triage.map((step) => el("li", {}, step))));
    for (const [name, query] of Object.entries(alert.investigate ?? {})) {
      one.append(el("strong", {}, `Look further: ${name.replaceAll("_", " ")}`), el("pre", {}, query));
    }
    return one;
  };

  const detail = (incident) => {
    const told = incident.found.filter((alert) => notices.has(alert.id)).length;
    const summary = el("summary", {}, incident.severity ? chip(incident.severity) : null,
      el("span", { class: "who", title: incident.caller.arn ?? UNKNOWN }, short(incident.caller.arn)),
      el("span", { class: "quiet" }, `account ${named(incident.caller.account)} · ${plural(incident.alerts, "alert")} · ${plural(told, "notice")} · ${clock(incident.from)} to ${clock(incident.to)} UTC`));
    const one = el("details", { id: `incident-${incident.id}` }, summary);
    // Built when it is opened: there may be thousands.
    one.fill = () => {
      if (one.filled) return;
      one.filled = true;
      const show = el("button", { type: "button" }, "Show on the time line");
      show.addEventListener("click", () => {
        const margin = Math.max((incident.to - incident.from) * 0.25, 900_000);
        zoom(incident.from - margin, incident.to + margin);
        byId("timeline-title").scrollIntoView();
      });
      one.append(el("p", {}, show), ...incident.found.map(article));
      if (incident.found.length < incident.alerts) one.append(el("p", { class: "hint" }, `${plural(incident.alerts - incident.found.length, "alert")} of it did not fit on this page; replay --format json prints all.`));
    };
    one.addEventListener("toggle", () => one.open && one.fill());
    return one;
  };

  const listIncidents = (matching) => {
    const holder = byId("incident-list");
    holder.replaceChildren(...matching.map(detail));
    if (matching.length === 0) holder.append(el("p", { class: "empty" }, incidents.length ? "No incident matches these filters." : "No alert fired."));
  };

  const open = (alert) => {
    const one = byId(`incident-${alert.incident.id}`);
    if (!one) return;
    one.fill();
    one.open = true;
    const target = byId(`alert-${alert.id}`);
    target.scrollIntoView({ block: "center" });
    target.focus({ preventScroll: true });
  };

  // --- table ---

  const GROUPS = { key: "Key", caller: "Caller", model: "Model", account: "Account" };
  // Of several rules that count the same denials, one: the first that counts requests.
  const counting = data.rules.findIndex((rule) => rule.id === "denied-model");
  const base = counting >= 0 ? counting : 0;

  const keyRows = (matching) => matching.map((lane) => ({
    lane, name: short(lane.user), title: lane.user ?? UNKNOWN, detail: `account ${named(lane.account)}`, model: lane.model ?? "–", rule: lane.rule.id,
    share: lane.peak / (lane.threshold + 1), peak: lane.peak, threshold: lane.threshold, total: lane.total, bound: lane.at_least,
    first: lane.start, last: lane.end, sources: lane.sources.join(", "), alerts: lane.fired.length, bounded: lane.at_least && lane.fired.length > 0, near: isNear(lane),
  }));
  const groupRows = (matching, group) => {
    const value = { caller: (lane) => lane.caller.arn, model: (lane) => lane.model, account: (lane) => lane.account }[group];
    const rows = new Map();
    for (const lane of matching) {
      if (group === "model" && lane.model === null && lane.rule.id !== data.rules[base]?.id) continue;
      const id = value(lane);
      const key = group === "caller" ? `${lane.callerNumber}` : `${id}`;
      if (!rows.has(key)) {
        const detail = group === "caller" ? `account ${named(lane.caller.account)}` : "";
        rows.set(key, { name: short(id), title: id ?? UNKNOWN, detail, total: 0, bound: false, keys: 0, alerts: 0, near: 0, first: Infinity, last: -Infinity, sources: new Set() });
      }
      const one = rows.get(key);
      if (lane.rule === data.rules[base]) { one.total += lane.total; one.bound ||= lane.at_least; }
      one.keys += 1;
      one.alerts += lane.fired.length;
      one.near += isNear(lane) ? 1 : 0;
      one.first = Math.min(one.first, lane.start);
      one.last = Math.max(one.last, lane.end);
      lane.sources.forEach((source) => one.sources.add(source));
    }
    return [...rows.values()].map((one) => ({ ...one, sources: [...one.sources].join(", ") }));
  };
  const COLUMNS = {
    key: [["name", "User"], ["model", "Model"], ["rule", "Rule"], ["share", "Busiest window"], ["total", "Total"], ["alerts", "Alerts"], ["first", "First (UTC)"], ["last", "Last (UTC)"], ["sources", "Seen in"]],
    group: [["name", "Name"], ["total", "Denials"], ["keys", "Keys"], ["alerts", "Alerts"], ["near", "At the threshold"], ["first", "First (UTC)"], ["last", "Last (UTC)"], ["sources", "Seen in"]],
  };

  const cell = (row, column) => {
    if (column === "name") {
      const name = row.lane ? el("button", { type: "button", class: "link", title: row.title }, row.name) : el("span", { title: row.title }, row.name);
      if (row.lane) name.addEventListener("click", () => show(row.lane));
      return el("td", { class: "id" }, name, row.detail ? el("small", {}, row.detail) : null);
    }
    if (column === "share") {
      const meter = el("div", { class: "meter" }, el("div"));
      meter.firstChild.style.width = `${Math.min(row.share, 1) * 100}%`;
      const note = row.alerts ? "" : row.near ? ", one more fires" : "";
      return el("td", { class: "number" }, el("span", { class: "count" }, `${atLeast(row.peak, row.bounded)} of >${row.threshold.toLocaleString("en-US")}${row.share > 1 || !row.near ? "" : note}`), meter);
    }
    if (column === "first" || column === "last") return el("td", { class: "number" }, clock(row[column]));
    if (column === "total") return el("td", { class: "number" }, atLeast(row.total, row.bound));
    return el("td", { class: typeof row[column] === "number" ? "number" : "id" }, String(row[column]));
  };

  const table = (matching) => {
    const columns = state.group === "key" ? COLUMNS.key : COLUMNS.group;
    const rows = state.group === "key" ? keyRows(matching) : groupRows(matching, state.group);
    if (!columns.some(([id]) => id === state.sort)) Object.assign(state, { sort: state.group === "key" ? "share" : "total", down: true });
    const order = (a, b) => (typeof a === "number" ? a - b : String(a).localeCompare(String(b)));
    rows.sort((a, b) => order(a[state.sort], b[state.sort]) * (state.down ? -1 : 1));
    const heads = columns.map(([id, title]) => {
      const button = el("button", { type: "button" }, id === "name" ? GROUPS[state.group] === "Key" ? "User" : GROUPS[state.group] : title);
      button.addEventListener("click", () => {
        Object.assign(state, { down: state.sort === id ? !state.down : !["name", "model", "rule", "sources", "first"].includes(id), sort: id });
        table(matching);
        byId("table").querySelector(`th[data-column="${id}"] button`).focus();
      });
      return el("th", { scope: "col", "data-column": id, "aria-sort": state.sort === id ? (state.down ? "descending" : "ascending") : "none" }, button);
    });
    byId("table").querySelector("thead").replaceChildren(el("tr", {}, ...heads));
    const some = rows.slice(0, state.rows);
    const class_of = (one) => (one.alerts ? "over" : one.near ? "near" : null);
    byId("table").querySelector("tbody").replaceChildren(...some.map((one) => el("tr", { class: class_of(one) }, ...columns.map(([id]) => cell(one, id)))));
    const rule = data.rules[base];
    byId("table-hint").textContent = state.group === "key"
      ? "The busiest window holds the most that counts at once. A rule fires above its threshold."
      : rule ? `Denials as ${rule.id} counts them, each once; keys and alerts of every rule.` : "";
    more("more-rows", rows.length - some.length, "row");
    for (const button of byId("groups").children) button.setAttribute("aria-pressed", String(button.dataset.group === state.group));
  };

  const show = (lane) => {
    while (!shownLanes.includes(lane) && !(state.whole.has(lane.callerNumber) && state.lanes > 2 * lanes.length)) {
      state.whole.add(lane.callerNumber);
      state.lanes *= 4;
      timeline(lanes.filter(laneMatches(filters())));
    }
    if (!lane.track) return;
    lane.track.scrollIntoView({ block: "center" });
    lane.track.focus({ preventScroll: true });
  };

  // --- the whole page ---

  const tiles = () => {
    const near = lanes.filter(isNear).length;
    const fired = alerts.size + data.more_alerts;
    const tile = (number, text, kind) => el("li", { class: kind }, el("strong", {}, number.toLocaleString("en-US")), el("span", {}, text));
    byId("tiles").replaceChildren(
      tile(incidents.length, incidents.length === 1 ? "incident" : "incidents", incidents.length ? "high" : null),
      tile(fired, fired === 1 ? "alert" : "alerts", null),
      tile(data.notices.length, data.notices.length === 1 ? "notice to people" : "notices to people", null),
      tile(near, near === 1 ? "key at its threshold" : "keys at their threshold", near ? "near" : null),
      tile(lanes.length + data.more_keys, "keys counted", null));
  };

  const refresh = () => {
    const filter = filters();
    const matching = lanes.filter(laneMatches(filter));
    const found = incidents.filter(incidentMatches(filter));
    byId("found").textContent = `${plural(matching.length, "key")} and ${plural(found.length, "incident")} shown.` +
      (data.more_keys ? ` ${plural(data.more_keys, "key")} further from their threshold are not on this page.` : "") +
      (data.undrawn ? ` Marks not drawn: ${data.undrawn.toLocaleString("en-US")}.` : "") +
      (data.more_alerts ? ` Alerts without details here: ${data.more_alerts.toLocaleString("en-US")}.` : "");
    timeline(matching);
    listIncidents(found);
    table(matching);
  };

  const options = (id, values) => byId(id).append(...[...new Set(values)].sort().map((value) => el("option", { value }, value)));

  byId("scope").textContent = `${data.scope}.` + (lanes.length ? ` From ${clock(Math.min(...lanes.map((lane) => lane.start)))} to ${clock(Math.max(...lanes.map((lane) => lane.end)))} UTC.` : "");
  byId("causes").textContent = data.causes.map((cause) => `${cause}.`).join(" ");
  byId("about").textContent = `bedrock-denial-watch ${data.version}, rules: ${data.rules.map((rule) => rule.id).join(", ")}. Times are UTC.`;
  options("account", lanes.map((lane) => named(lane.account)));
  options("rule", data.rules.map((rule) => rule.id));
  options("severity", [...data.rules, ...data.alerts].map((one) => one.severity));
  for (const [id, title] of Object.entries(GROUPS)) {
    const button = el("button", { type: "button", "data-group": id }, title);
    button.addEventListener("click", () => { state.group = id; table(lanes.filter(laneMatches(filters()))); });
    byId("groups").append(button);
  }

  let waiting = 0;
  byId("filters").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(refresh, 80); });
  byId("filters").addEventListener("reset", () => setTimeout(refresh));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("more-lanes").addEventListener("click", () => { state.lanes *= 4; timeline(lanes.filter(laneMatches(filters()))); });
  byId("more-rows").addEventListener("click", () => { state.rows *= 4; table(lanes.filter(laneMatches(filters()))); });
  const span = () => view.to - view.from;
  byId("zoom-in").addEventListener("click", () => zoom(view.from + span() / 4, view.to - span() / 4));
  byId("zoom-out").addEventListener("click", () => zoom(view.from - span() / 2, view.to + span() / 2));
  byId("earlier").addEventListener("click", () => zoom(view.from - span() / 2, view.to - span() / 2));
  byId("later").addEventListener("click", () => zoom(view.from + span() / 2, view.to + span() / 2));
  byId("zoom-all").addEventListener("click", () => zoom(period.from, period.to));

  const holder = byId("lanes");
  const tip = byId("tip");
  holder.addEventListener("pointermove", (event) => {
    const track = event.target.closest(".track");
    if (!track) { tip.hidden = true; return; }
    const { lane } = track;
    const box = track.getBoundingClientRect();
    const at = view.from + ((event.clientX - box.left) / box.width) * (view.to - view.from);
    const near = (view.to - view.from) * (6 / box.width);
    const closest = lane.times.reduce((best, time) => (Math.abs(time - at) < Math.abs(best - at) ? time : best), Infinity);
    const moment = Math.abs(closest - at) <= near ? closest : Math.round(at);
    shade(lane, moment);
    tip.textContent = reading(lane, moment);
    tip.hidden = false;
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 8)}px`;
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
      open(shown.reduce((best, one) => (Math.abs(one.at - at) < Math.abs(best.at - at) ? one : best)).alert);
    } else {
      return;
    }
    event.preventDefault();
  });

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const themed = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
  const labelled = () => { byId("theme").textContent = themed() ? "Light" : "Dark"; };
  byId("theme").addEventListener("click", () => { document.documentElement.dataset.theme = themed() ? "light" : "dark"; labelled(); });
  dark.addEventListener("change", labelled);
  addEventListener("resize", axis);
  addEventListener("beforeprint", () => { for (const one of document.querySelectorAll("details")) { one.fill(); one.open = true; } });

  labelled();
  tiles();
  refresh();
})();
