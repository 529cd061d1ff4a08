// The page of all incidents: filters, tiles, links into the page, print.
const filters = () => ({
  text: byId("search").value.trim().toLowerCase(),
  account: byId("account").value,
  rule: byId("rule").value,
  severity: byId("severity").value,
  fired: byId("fired").checked,
});
const laneMatches = (filter) => (lane) =>
  (!filter.text || lane.text.includes(filter.text)) && (!filter.account || named(lane.account) === filter.account) &&
  (!filter.rule || lane.rule.id === filter.rule) && (!filter.severity || lane.severities.has(filter.severity)) &&
  (!filter.fired || lane.fired.length > 0);
const incidentMatches = (filter) => (incident) =>
  (!filter.text || incident.text().includes(filter.text)) && (!filter.account || named(incident.caller.account) === filter.account) &&
  (!filter.rule || incident.found.some((alert) => alert.rule.id === filter.rule)) &&
  (!filter.severity || incident.severity === filter.severity);

const drawTiles = () => {
  const near = lanes.filter(isNear).length;
  const served = incidents.filter((incident) => incident.served?.calls).length;
  const fired = alerts.size + data.more_alerts;
  byId("tiles").replaceChildren(
    tile(incidents.length, incidents.length === 1 ? "incident" : "incidents", incidents.length ? "high" : null),
    tile(served, "where calls succeeded since", served ? "high" : null),
    tile(fired, fired === 1 ? "alert" : "alerts", null),
    tile(data.notices.length, data.notices.length === 1 ? "notification" : "notifications", null),
    tile(near, near === 1 ? "combination at its limit" : "combinations at their limit", near ? "near" : null),
    tile(lanes.length + data.more_keys, "combinations counted", null));
};

let zoomed = "";
const refresh = () => {
  const filter = filters();
  const matching = lanes.filter(laneMatches(filter));
  const found = incidents.filter(incidentMatches(filter));
  byId("found").textContent = `${plural(matching.length, "combination")} and ${plural(found.length, "incident")} shown.` +
    (data.more_keys ? ` ${plural(data.more_keys, "combination")} further from their limit are not on this page.` : "") +
    (data.undrawn ? ` Marks not drawn: ${figure(data.undrawn)}.` : "") +
    (data.more_alerts ? ` Alerts without details here: ${figure(data.more_alerts)}.` : "");
  drawTimeline(matching);
  drawIncidents(found);
  drawCounts(matching);
  // A search shows the time of what it finds.
  if (filter.text !== zoomed) {
    zoomed = filter.text;
    const ranges = found.length ? found.map(({ from, to }) => [from, to]) : matching.map(({ start, end }) => [start, end]);
    const times = filter.text ? ranges.flat() : [];
    if (times.length) zoomAround(times.reduce((a, b) => Math.min(a, b)), times.reduce((a, b) => Math.max(a, b)));
    else zoom(period.from, period.to);
  }
};
let waiting = 0;
const clearFilters = () => { clearTimeout(waiting); byId("filters").reset(); refresh(); };

// A link to an incident, an alert or a lane: #incident-…, #alert-…, #lane-…
const follow = () => {
  const [, kind, id] = /^#(incident|alert|lane)-(\w+)$/.exec(location.hash) ?? [];
  if (kind === "incident") { const shown = showIncident(id); if (shown) { shown.unfold(); goTo(shown); } }
  if (kind === "alert" && alerts.has(id)) openAlert(alerts.get(id));
  const lane = kind === "lane" && lanes.find((one) => one.id === id);
  if (lane) showLane(lane);
};

const options = (id, values) => byId(id).append(...[...new Set(values)].sort().map((value) => el("option", { value }, value)));
options("account", lanes.map((lane) => named(lane.account)));
options("rule", data.rules.map((rule) => rule.id));
options("severity", [...data.rules, ...data.alerts].map((one) => one.severity));

byId("filters").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(refresh, 80); });
byId("clear").addEventListener("click", () => setTimeout(refresh));
byId("filters").addEventListener("submit", (event) => event.preventDefault());
addEventListener("hashchange", follow);
addEventListener("beforeprint", () => { for (const one of document.querySelectorAll(".card")) one.unfold(); });

showExamined(data.examined);
if (lanes.length) byId("scope").append(" Counted from ", when(...[Math.min, Math.max].map((pick, index) => lanes.reduce((at, lane) => pick(at, index ? lane.end : lane.start), index ? -Infinity : Infinity))), ".");
byId("about").textContent = `bedrock-denial-watch ${data.version}, rules: ${data.rules.map((rule) => rule.id).join(", ")}. Times are UTC${isLocalUtc(Date.now()) ? "" : "; yours stand in brackets"}.`;
drawTiles();
drawHours();
drawCauses();
refresh();
follow();
