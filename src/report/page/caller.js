// The page of one caller: whether they got in, when, with which models, at what cost, and what was not read.
const { story, timeline, because } = data;
const isAnswered = { "served-after-denial": "yes", "served-elsewhere": "yes", "others-served": "partly" };

const named = (name, what) => name ?? `unknown ${what}`;
const seenCells = (row) => [figure(row.calls), when(Date.parse(row.first), Date.parse(row.last))];
const causeLines = (causes) => el("ul", { class: "plain" }, ...causes.map(({ cause, calls }) =>
  el("li", {}, `${figure(calls)}: ${cause === null ? "cause unknown, only CloudTrail records it" : because[cause] ?? cause}`)));
const dollars = (usd) => (usd > 0 && usd < 0.01 ? "less than 0.01 USD" : `${usd.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })} USD`);
const tokenWords = ({ input, output, cache_read: read, cache_write: written }) => [`${figure(input)} in`, `${figure(output)} out`,
  read ? `${figure(read)} from the cache` : "", written ? `${figure(written)} to the cache` : ""].filter(Boolean).join(", ");
const total = (tokens) => tokens.input + tokens.output + tokens.cache_read + tokens.cache_write;

// --- timeline ---

const KINDS = ["served", "failed", "denied"];
const tracks = timeline.lanes.map((lane) => {
  const marks = Object.fromEntries(KINDS.map((kind) => {
    let at = 0;
    return [kind, lane[kind].map(([after, calls]) => ({ at: (at += after) * timeline.step, calls }))];
  }));
  return { ...lane, marks, all: KINDS.flatMap((kind) => marks[kind].map((mark) => ({ ...mark, kind }))).sort((a, b) => a.at - b.at) };
});

const counts = (lane) => KINDS.toReversed().filter((kind) => lane.marks[kind].length)
  .map((kind) => `${figure(lane.marks[kind].reduce((sum, mark) => sum + mark.calls, 0))} ${kind}`).join(", ");
const readMark = (mark) => {
  const own = localTime(mark.at);
  return `${clock(mark.at)} UTC${own ? ` (${own})` : ""}: ${figure(mark.calls)} ${mark.kind}${timeline.step > 1000 ? ` within ${span(0, timeline.step)}` : ""}`;
};
const chosen = new Map();
const choose = (lane, track, index) => {
  const at = Math.min(Math.max(index, 0), lane.all.length - 1);
  chosen.set(lane, at);
  const mark = lane.all[at];
  if (mark.at < view.from || mark.at > view.to) zoom(mark.at - width() / 2, mark.at + width() / 2);
  track.setAttribute("aria-valuenow", at + 1);
  track.setAttribute("aria-valuetext", readMark(mark));
  byId("reading").textContent = readMark(mark);
};

const drawLane = (lane) => {
  const picture = svg("svg", { viewBox: viewBox(), preserveAspectRatio: "none", "aria-hidden": "true" });
  for (const [index, kind] of KINDS.entries()) {
    // Each outcome has a height of its own, so that none hides another.
    picture.append(svg("path", { class: kind, d: lane.marks[kind].map(({ at }) => `M${x(at)} ${21 - index * 9}v8`).join("") }));
  }
  const name = named(lane.model, "model");
  const track = el("div", {
    class: "track", tabindex: "0", role: "slider", "aria-label": `${name}: ${counts(lane)}`, "aria-valuemin": "1",
    "aria-valuemax": String(lane.all.length), "aria-valuenow": "1", "aria-valuetext": readMark(lane.all[0]),
  }, picture);
  track.addEventListener("focus", () => choose(lane, track, chosen.get(lane) ?? 0));
  track.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    choose(lane, track, (chosen.get(lane) ?? 0) + step);
    event.preventDefault();
  });
  track.addEventListener("pointermove", (event) => {
    const box = track.getBoundingClientRect();
    const at = moment(event, box);
    const closest = lane.all.reduce((best, mark) => (Math.abs(mark.at - at) < Math.abs(best.at - at) ? mark : best));
    if (drag?.shade || Math.abs(closest.at - at) > width() * (8 / box.width)) { tip.hidden = true; return; }
    showTip(event, readMark(closest));
  });
  track.addEventListener("pointerleave", () => { tip.hidden = true; });
  return el("div", { class: "lane" }, el("div", { class: "name", title: name }, el("span", {}, short(name)), el("small", {}, el("span", { class: "count" }, counts(lane)))), track);
};
const drawTimeline = () => {
  byId("timeline").hidden = tracks.length === 0;
  setPeriod(tracks.flatMap((lane) => [lane.all[0].at, lane.all[lane.all.length - 1].at + timeline.step]));
  byId("lanes").replaceChildren(...tracks.map(drawLane));
  if (timeline.more) byId("lanes").append(el("p", { class: "hint" }, `${plural(timeline.more, "model")} with fewer calls not drawn.`));
  axis();
  onZoom.push(() => { for (const one of document.querySelectorAll("#lanes svg")) one.setAttribute("viewBox", viewBox()); });
};

// --- tables ---

const table = (id, title, heads, { rows, more }, cells, file) => {
  if (rows.length === 0) return;
  const labelled = (parts) => parts.map((part, index) =>
    el("td", { class: heads[index].number ? "number" : "id", "data-label": heads[index].title }, ...[part].flat()));
  const body = rows.map((one) => el("tr", {}, ...labelled(cells(one))));
  const head = el("tr", {}, ...heads.map((one) => el("th", { scope: "col" }, one.title)));
  byId("tables").append(el("section", { id, "aria-labelledby": `${id}-title` },
    el("div", { class: "bar" }, el("h2", { id: `${id}-title` }, title), button("CSV", () => csv(`${id}.csv`, file(rows)), { "aria-label": `${title} as CSV` })),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": `${id}-title` }, el("table", {}, el("thead", {}, head), el("tbody", {}, ...body))),
    more ? el("p", { class: "hint" }, `${figure(more)} more with fewer calls.`) : null));
};
const CALLS = [{ title: "Calls", number: true }, { title: "Seen" }];
const withCopy = (name, what) => (name === null ? [`unknown ${what}`] : [name, " ", copier(name, `the ${what}`)]);
const timesOf = (row) => [row.calls, row.first, row.last];

const drawTables = () => {
  const text = { title: "Model" };
  table("denied", "Denied", [text, ...CALLS, { title: "Why" }, { title: "Policies" }], story.denied,
    (row) => [withCopy(row.model, "model"), ...seenCells(row), causeLines(row.causes),
      row.policies.rows.flatMap((policy, index) => [index ? el("br") : null, policy].filter(Boolean))],
    (rows) => [["model", "calls", "first", "last", "causes", "policies"], ...rows.map((row) => [row.model, ...timesOf(row), row.causes.map(({ cause, calls }) => `${calls} ${cause ?? UNKNOWN}`).join("; "), row.policies.rows.join(" ")])]);
  table("failed", "Failed otherwise", [text, { title: "Error" }, ...CALLS, { title: "Why" }], story.failed,
    (row) => [withCopy(row.model, "model"), row.error_code ?? UNKNOWN, ...seenCells(row), causeLines(row.causes)],
    (rows) => [["model", "error_code", "calls", "first", "last"], ...rows.map((row) => [row.model, row.error_code, ...timesOf(row)])]);
  table("served", "Served", [text, ...CALLS, { title: "Tokens", number: true }, { title: "Estimated cost", number: true }], story.served,
    (row) => [withCopy(row.model, "model"), ...seenCells(row), [figure(total(row.tokens)), el("small", {}, ` ${tokenWords(row.tokens)}`)], row.estimated_usd === null ? "not priced" : dollars(row.estimated_usd)],
    (rows) => [["model", "calls", "first", "last", "tokens_in", "tokens_out", "cache_read", "cache_write", "estimated_usd"],
      ...rows.map((row) => [row.model, ...timesOf(row), row.tokens.input, row.tokens.output, row.tokens.cache_read, row.tokens.cache_write, row.estimated_usd])]);
  const identities = { rows: story.identities.flatMap((one) => one.rows.map((row) => ({ kind: one.kind, ...row }))), more: story.identities.reduce((sum, one) => sum + one.more, 0) };
  table("identities", "Who, and from where", [{ title: "What" }, { title: "Name" }, ...CALLS], identities,
    (row) => [capital(row.kind.replaceAll("_", " ").replace(/ies$/, "y").replace(/sses$/, "ss").replace(/([^s])s$/, "$1")), row.name === null ? "others" : withCopy(row.name, "name"), ...seenCells(row)],
    (rows) => [["what", "name", "calls", "first", "last"], ...rows.map((row) => [row.kind, row.name, ...timesOf(row)])]);
  table("operations", "Other operations", [{ title: "Operation" }, ...CALLS, { title: "Failed", number: true }], story.operations,
    (row) => [named(row.operation, "operation"), ...seenCells(row), figure(row.failed)],
    (rows) => [["operation", "calls", "first", "last", "failed"], ...rows.map((row) => [row.operation, ...timesOf(row), row.failed])]);
};

// --- the whole page ---

const paragraphs = (id, lines) => byId(id).append(...lines.filter(Boolean).map((line) => el("p", {}, line)));
const drawCost = () => {
  const { tokens, estimated_usd: usd, prices_of: dates, sources, not_priced: missing, without_cache: partly } = story.cost;
  byId("cost").hidden = total(tokens) === 0;
  paragraphs("cost-lines", [
    `${plural(total(tokens), "token")} of calls that succeeded: ${tokenWords(tokens)}.`,
    dates.length ? `About ${dollars(usd)} by an estimate: AWS's on-demand list prices in US regions as of ${dates.join(" and ")}.` : "",
    sources.length ? `Source of the prices: ${sources.join(", ")}` : "",
    missing.length ? `Not priced, and not in the estimate: ${missing.join(", ")}.` : "",
    partly.length ? `Priced without the tokens of the prompt cache: ${partly.join(", ")}.` : ""]);
};

const number = (list) => list.rows.reduce((sum, row) => sum + row.calls, 0);
const drawSummary = () => {
  document.title = `Bedrock: ${story.asked}`;
  document.querySelector("h1").textContent = `Bedrock calls of ${story.asked}`;
  byId("answer-text").textContent = story.answer.text;
  byId("answer").classList.add(isAnswered[story.answer.kind] ?? "no");
  if (story.seen) byId("seen").append(`${plural(story.seen.calls, "call")}, `, when(Date.parse(story.seen.first), Date.parse(story.seen.last)));
  const served = total(story.cost.tokens);
  byId("tiles").append(
    tile(number(story.denied), "denied", story.denied.rows.length ? "high" : null), tile(number(story.failed), "failed otherwise", null),
    tile(number(story.served), "served", null), tile(served, "tokens", null),
    ...(story.cost.prices_of.length ? [tile(dollars(story.cost.estimated_usd), "estimated cost", null)] : []));
  byId("gap-list").append(...[...story.gaps, "Regions and accounts whose logs lie elsewhere were not read."].map((gap) => el("li", {}, gap)));
  byId("about").textContent = `bedrock-denial-watch ${data.version}. Times are UTC${isLocalUtc(Date.now()) ? "" : "; yours stand in brackets"}.`;
};

showExamined({ ...data.examined, unread: [] });
byId("scope").append(...written(data.examined));
drawSummary();
drawTimeline();
drawTables();
drawCost();
