// The incidents as cards: what happened, whether anything succeeded, the minutes it took, and what to do.
const INCIDENTS = 50;
const LANES_OF_A_CARD = 6;
const SEVERITIES = ["low", "medium", "high", "critical"];

const byIncident = Map.groupBy(data.alerts, (alert) => alert.incident.id);
const firedOf = Map.groupBy(lanes.filter((lane) => lane.fired.length), (lane) => lane.callerNumber);
const totalOf = (alert) => Object.entries(alert).find(([name]) => name.startsWith("total_") && !name.endsWith("_at_least"));
const rank = (severity) => SEVERITIES.indexOf(severity);

const incidents = data.incidents.map((incident) => {
  const found = byIncident.get(incident.id) ?? [];
  const caller = data.callers[incident.caller];
  const [from, to] = [Date.parse(incident.first), Date.parse(incident.last)];
  const isOf = ({ at, alert }) => (alert ? alert.incident.id === incident.id : at >= from && at <= to);
  const own = () => (firedOf.get(incident.caller) ?? []).filter((lane) => lane.fired.some(isOf));
  let text = null;
  // Only a search needs it.
  const searched = () => (text ??= [caller.arn, caller.account, incident.id, incident.opening, ...found.map((alert) => JSON.stringify(alert))].join("\n").toLowerCase());
  return { ...incident, caller, found, from, to, isOf, lanes: own, text: searched };
});

const servedWords = ({ calls, calls_at_least: bound, models, tokens }) => {
  if (calls === 0) return "none seen so far";
  const detail = [models.map(short).join(", "), tokens ? plural(tokens, "token") : ""].filter(Boolean).join("; ");
  return `${orMore(calls, bound)}${detail ? ` (${detail})` : ""}`;
};

// --- one alert ---

const fact = (list, name, value) => {
  const values = (Array.isArray(value) ? value : [value]).filter((one) => one !== null && one !== undefined && one !== "");
  if (values.length === 0) return;
  const shown = values.flatMap((one, index) => [index ? el("br") : null, one instanceof Node ? one : String(one)]);
  list.append(el("dt", {}, name), el("dd", {}, ...shown));
};
const copied = (id, what) => id && el("span", {}, id, " ", copier(id, what));
const command = (title, text) => [el("div", { class: "command" }, el("strong", {}, title), copier(text, title.toLowerCase())), el("pre", {}, text)];

const TOOLS = { logs_insights: "CloudWatch Logs Insights", athena: "Athena", cloudtrail: "CloudTrail", replay: "these logs", caller: "the caller's story", story: "did they get in?" };
const article = (alert) => {
  const list = el("dl");
  const total = totalOf(alert);
  const bound = total && alert[`${total[0]}_at_least`];
  fact(list, "Rule", `${alert.rule.id}: ${alert.rule.name}`);
  fact(list, "Counted", total && `${orMore(total[1], bound)} ${total[0].slice(6).replaceAll("_", " ")}, limit ${figure(alert.threshold)} within ${minutes(alert.window_minutes * 60)}`);
  fact(list, "Seen", when(Date.parse(alert.first_seen), Date.parse(alert.last_seen)));
  fact(list, "User", alert.user.id ? copied(alert.user.id, "the user") : UNKNOWN);
  fact(list, "Model", alert.gen_ai.request.model.id ?? alert.models);
  fact(list, "Succeeded", alert.served && servedWords(alert.served));
  fact(list, "Sessions", alert.sessions);
  for (const [label, field] of data.evidence) fact(list, label, field.split(".").reduce((at, name) => at?.[name], alert));
  fact(list, "Request ids", alert.request_ids?.map((id) => copied(id, "the request id")));
  fact(list, "Objects", alert.objects);
  fact(list, "Alert id", copied(alert.id, "the alert id"));
  const notice = notices.get(alert.id);
  fact(list, "Notification", notice && `${notice.id}, about ${plural(notice.alerts, "alert")}`);
  const one = el("article", { id: `alert-${alert.id}`, tabindex: "-1" }, el("h4", {}, alert.opening || alert.event.reason, link(`alert-${alert.id}`, "this alert")), list);
  const triage = alert.triage ?? data.rules.find((rule) => rule.id === alert.rule.id)?.triage ?? [];
  if (alert.stop?.length) one.append(...command("Stop it now", alert.stop.join("\n")));
  if (triage.length) one.append(el("strong", {}, "Triage"), el("ol", {}, ...triage.map((step) => el("li", {}, step))));
  for (const [name, query] of Object.entries(alert.investigate ?? {})) one.append(...command(`Look closer: ${TOOLS[name] ?? name.replaceAll("_", " ")}`, query));
  return one;
};

// --- one card ---

// The minutes of the incident, whatever else the page shows.
const ownTimeline = (incident) => {
  const members = incident.lanes();
  if (members.length === 0) return null;
  const served = incident.served?.calls ? incident.served : null;
  const { from } = incident;
  const [first, last] = served ? [Date.parse(served.first), Date.parse(served.last)] : [from, from];
  // Calls that succeed for hours must not squeeze the minutes of the denials.
  const room = Math.max(incident.to - from, 300_000);
  const to = Math.max(incident.to, Math.min(last, incident.to + room));
  const margin = Math.max((to - from) * 0.03, 5_000);
  const range = { from: from - margin, to: to + margin };
  const rows = members.slice(0, LANES_OF_A_CARD).map((lane) => el("div", { class: "lane" },
    el("div", { class: "name", title: `${lane.user ?? UNKNOWN}\n${about(lane)}` }, el("span", {}, short(about(lane))),
      el("small", {}, el("span", { class: "rule" }, lane.rule.id), el("span", { class: "count" }, reached(lane)))),
    el("div", { class: "track fired" }, drawing(lane, range), ...lane.fired.filter(incident.isOf).map((one) => flag(one, lane.rule, range)))));
  if (served) {
    const picture = svg("svg", { viewBox: viewBox(range), preserveAspectRatio: "none", "aria-hidden": "true" });
    picture.append(svg("path", { d: `M${x(first)} 12V27M${x(last)} 12V27M${x(first)} 19.5H${x(last)}` }));
    rows.push(el("div", { class: "lane" }, el("div", { class: "name", title: served.models.join("\n") },
      el("span", {}, "Succeeded ", el("span", { class: "count" }, orMore(served.calls, served.calls_at_least))), el("small", {}, `${clock(first).slice(5)} to ${clock(last).slice(5)}`)),
    el("div", { class: "track served" }, picture)));
  }
  const rest = members.length - LANES_OF_A_CARD;
  const ends = el("div", { class: "ends", "aria-hidden": "true" }, ...[from, to].map((at) => el("span", {}, `${clock(at).slice(5)}`)));
  return el("div", { class: "own" }, ...rows, ends, rest > 0 ? el("p", { class: "hint" }, `${plural(rest, "more combination")} with alerts, on the timeline below.`) : null);
};

const card = (incident) => {
  const { caller, id, found } = incident;
  const show = button("Show on the timeline", () => {
    zoomAround(incident.from, incident.to);
    byId("timeline").scrollIntoView();
  });
  const evidence = el("details", {}, el("summary", {}, `Evidence and what to do · ${plural(incident.alerts, "alert")} · ${plural(incident.notices, "notification")}`));
  const one = el("section", { class: `card ${incident.severity ?? ""}`, id: `incident-${id}`, tabindex: "-1", "aria-labelledby": `who-${id}` },
    el("div", { class: "bar" },
      el("h3", { id: `who-${id}`, title: caller.arn ?? UNKNOWN }, incident.severity ? chip(incident.severity) : null, " ", el("span", { class: "who" }, short(caller.arn)), link(`incident-${id}`, "this incident")),
      el("div", { class: "buttons" }, show, button("Copy link", () => copy(address(`incident-${id}`), "the link")), caller.arn ? button("Copy ARN", () => copy(caller.arn, "the ARN")) : null)),
    incident.opening ? el("p", { class: "lead" }, incident.opening) : null,
    incident.denied ? el("p", { class: incident.served?.calls ? "served yes" : "served", title: "Counted for 24 hours after the incident begins" }, "Successful calls since the first denial: ", el("strong", {}, incident.served ? servedWords(incident.served) : "not known")) : null,
    el("p", { class: "quiet" }, `account ${named(caller.account)} · `, when(incident.from, incident.to), ` · ${span(incident.from, incident.to)}`),
    ownTimeline(incident), evidence);
  // Built when it is opened: there may be thousands.
  one.fill = () => {
    if (one.filled) return;
    one.filled = true;
    evidence.append(...found.map(article));
    if (found.length < incident.alerts) evidence.append(el("p", { class: "hint" }, `${plural(incident.alerts - found.length, "alert")} of it did not fit on this page; replay --format json prints all.`));
  };
  one.unfold = () => { one.fill(); evidence.open = true; };
  evidence.addEventListener("toggle", () => evidence.open && one.fill());
  return one;
};

// --- all cards ---

let shownIncidents = INCIDENTS;
let matchingIncidents = [];
const ORDERS = {
  worst: (a, b) => rank(b.severity) - rank(a.severity) || (b.served?.calls ? 1 : 0) - (a.served?.calls ? 1 : 0) || b.alerts - a.alerts || b.to - a.to,
  newest: (a, b) => b.to - a.to,
};

// Silence would leave open whether anything was read.
const nothingFired = () => el("div", { class: "empty" }, el("p", { class: "lead" }, "No alert fired."),
  el("p", {}, `Examined: ${data.examined.scope}.`, ...written(data.examined)), el("p", {}, `Rules: ${data.rules.map((rule) => rule.id).join(", ")}.`));

const drawIncidents = (matching) => {
  matchingIncidents = [...matching].sort(ORDERS[byId("order").value]);
  const some = matchingIncidents.slice(0, shownIncidents);
  byId("incident-list").replaceChildren(...some.map(card));
  if (incidents.length === 0) byId("incident-list").append(nothingFired());
  else if (matching.length === 0) byId("incident-list").append(el("p", { class: "empty" }, "No incident matches these filters."));
  more("more-incidents", matching.length - some.length, "incident");
  byId("incidents-csv").hidden = matching.length === 0;
};

// Shows the card of an incident, wherever it is.
const showIncident = (id) => {
  const incident = incidents.find((one) => one.id === id);
  if (!incident) return null;
  if (!byId(`incident-${id}`)) {
    if (!matchingIncidents.includes(incident)) clearFilters();
    shownIncidents = Math.max(shownIncidents, matchingIncidents.indexOf(incident) + 1);
    drawIncidents(matchingIncidents);
  }
  return byId(`incident-${id}`);
};
const goTo = (target) => {
  target.scrollIntoView({ block: "start" });
  target.focus({ preventScroll: true });
};
const openAlert = (alert) => {
  const shown = showIncident(alert.incident.id);
  if (!shown) return;
  shown.unfold();
  goTo(byId(`alert-${alert.id}`));
};

byId("more-incidents").addEventListener("click", () => { shownIncidents += INCIDENTS; drawIncidents(matchingIncidents); });
byId("order").addEventListener("change", () => drawIncidents(matchingIncidents));
byId("incidents-csv").addEventListener("click", () => csv("incidents.csv", [
  ["incident", "severity", "caller", "account", "first_utc", "last_utc", "alerts", "notifications", "what", "successful_calls_since", "served_models", "served_tokens"],
  ...matchingIncidents.map(({ id, severity, caller, first, last, alerts: number, notices: told, opening, served }) =>
    [id, severity, caller.arn, caller.account, first, last, number, told, opening, served?.calls, served?.models.join(" "), served?.tokens]),
]));
