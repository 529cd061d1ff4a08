// What all pages use: elements, words, times, copies, colours.
// Text from logs reaches a page through text nodes and attributes only.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const UNKNOWN = "unknown";

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
const button = (text, act, attributes = {}) => {
  const one = el("button", { type: "button", ...attributes }, text);
  one.addEventListener("click", act);
  return one;
};
const chip = (severity) => el("span", { class: `chip ${severity}` }, severity);

// --- words ---

const figure = (number) => number.toLocaleString("en-US");
const plural = (number, one) => `${figure(number)} ${one}${number === 1 ? "" : "s"}`;
const orMore = (number, bound) => `${figure(number)}${bound ? " or more" : ""}`;
const minutes = (seconds) => (seconds % 3600 === 0 && seconds > 3600 ? `${seconds / 3600} hours` : plural(seconds / 60, "minute"));
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const say = (text) => { byId("said").textContent = text; };
// The end of an ARN names the identity or the model.
const short = (id) => (id === null || id === undefined ? UNKNOWN : id.replace(/^arn:[^:]*:[^:]*:[^:]*:[^:]*:(assumed-role\/|user\/)?/, "") || id);

// --- times ---

const clock = (ms) => new Date(ms).toISOString().slice(0, 19).replace("T", " ");
const zone = (ms) => new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" }).formatToParts(ms).find((part) => part.type === "timeZoneName").value;
const isLocalUtc = (ms) => new Date(ms).getTimezoneOffset() === 0;
// Swedish dates are those of ISO 8601.
const localClock = (ms) => new Date(ms).toLocaleString("sv-SE");
const localTime = (from, to = from) => {
  if (isLocalUtc(from) && isLocalUtc(to)) return "";
  const [first, last] = [localClock(from), localClock(to)];
  const end = first.slice(0, 10) === last.slice(0, 10) ? last.slice(11) : last;
  return `${first}${from === to ? "" : ` to ${end}`} ${zone(to)}`;
};
const span = (from, to) => {
  const seconds = Math.round((to - from) / 1000);
  if (seconds < 2) return "a second";
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
};
const between = (from, to) => {
  const [first, last] = [clock(from), clock(to)];
  if (first === last) return `${first} UTC`;
  return `${first} to ${first.slice(0, 10) === last.slice(0, 10) ? last.slice(11) : last} UTC`;
};
// UTC, and beside it the reader's own time.
const when = (from, to = from) => {
  const own = localTime(from, to);
  return el("span", { class: "when" }, between(from, to), own ? el("small", { class: "local" }, ` (${own})`) : null);
};
const stamp = (text) => {
  const [, ...parts] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)/.exec(text) ?? [];
  return parts.length ? Date.UTC(parts[0], parts[1] - 1, ...parts.slice(2)) : null;
};

// --- copies ---

const copy = async (text, what) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Some browsers have no clipboard for a file.
    const area = el("textarea", { class: "hidden", "aria-hidden": "true" }, text);
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(`Copied: ${what}`);
};
const copier = (text, what) => {
  const one = button("Copy", async () => {
    await copy(text, what);
    one.textContent = "Copied";
    setTimeout(() => { one.textContent = "Copy"; }, 1500);
  }, { class: "copy", "aria-label": `Copy ${what}` });
  return one;
};
const address = (hash) => `${location.href.split("#")[0]}#${hash}`;
const link = (hash, what) => el("a", { class: "anchor", href: `#${hash}`, "aria-label": `Link to ${what}`, title: `Link to ${what}` }, "#");

// A spreadsheet would compute what begins like a formula.
const csvCell = (value) => {
  const text = value === null || value === undefined ? "" : String(value);
  const safe = typeof value !== "number" && /^[\s]*[=+\-@]|^[\t\r]/.test(text) ? `'${text}` : text;
  return `"${safe.replaceAll('"', '""')}"`;
};
const csv = (name, rows) => {
  const text = rows.map((row) => row.map(csvCell).join(",")).join("\r\n") + "\r\n";
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
  say(`${name}: ${plural(rows.length - 1, "row")}`);
};

// --- what each page has ---

const tile = (number, text, kind) => el("li", { class: kind }, el("strong", {}, typeof number === "number" ? figure(number) : number), el("span", {}, text));

// What was read, of which time, and what was not.
const written = ({ written: stamps }) => {
  const [first, last] = (stamps ?? []).map(stamp);
  return first && last ? [" Log files written from ", when(first, last), "."] : [];
};
const showExamined = ({ scope, unread }) => {
  byId("scope").append(`${capital(scope)}.`);
  byId("unread").hidden = unread.length === 0;
  byId("unread").append(...unread.map((sentence) => el("li", {}, `Not everything could be read: ${sentence}`)));
};

const dark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
const labelTheme = () => { byId("theme").textContent = isDark() ? "Light" : "Dark"; };
byId("theme").addEventListener("click", () => { document.documentElement.dataset.theme = isDark() ? "light" : "dark"; labelTheme(); });
dark.addEventListener("change", labelTheme);
labelTheme();
