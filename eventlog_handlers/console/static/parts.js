// Parts that several views show: rows, times, sparklines, fields, copy buttons.

import { copy, h } from "./dom.js";
import { ago, iso, NAMES, statusOf, when } from "./format.js";
import { linkTo } from "./place.js";

const SVG = "http://www.w3.org/2000/svg";
const DEEPEST = 12;

export function time(seconds, { exact = false } = {}) {
  const text = exact ? when(seconds) : ago(seconds);
  return h("time", { datetime: iso(seconds), title: exact ? iso(seconds) : when(seconds), "data-at": exact ? null : seconds }, text);
}

// Only the times on the page, of which there are as many as rows.
export function renewTimes() {
  for (const element of document.querySelectorAll("time[data-at]")) {
    const text = ago(Number(element.dataset.at));
    if (element.textContent !== text) element.textContent = text;
  }
}

export function sparkline(bars, { width = 120, height = 26, wide = false } = {}) {
  const svg = document.createElementNS(SVG, "svg");
  const most = Math.max(1, ...bars);
  const step = width / bars.length;
  for (const [name, value] of Object.entries({ class: wide ? "spark wide" : "spark", width, height, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img" })) {
    svg.setAttribute(name, value);
  }
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", bars.map((bar, index) => {
    const tall = bar === 0 ? 1 : Math.max(3, Math.round((bar / most) * height));
    return `M${(index * step).toFixed(1)} ${height - tall}h${(step - 1).toFixed(1)}v${tall}h-${(step - 1).toFixed(1)}z`;
  }).join(""));
  const title = document.createElementNS(SVG, "title");
  title.textContent = `${bars.reduce((sum, bar) => sum + bar, 0)} events, ${most === 1 ? "at most 1" : `up to ${most}`} per bar`;
  svg.append(title, path);
  return svg;
}

export function light(status) {
  return h("span", { class: `light ${status}`, title: status || "no status" }, h("span", { class: "hidden" }, status));
}

export const chip = (text, kind = "") => h("span", { class: `chip ${kind}` }, text);
export const services = (names) => h("span", {}, names.map((name) => NAMES[name]).join(" · "));

// A type's own name; the modules before it say little in a row.
export const raised = (exception, kind = "") => h("span", { class: kind, title: exception }, exception.split(".").at(-1));

export function eventRow(event, { withService = true } = {}) {
  return h("a", { class: "row", href: linkTo(`event-${event.id}`), "data-open": `event-${event.id}` },
    light(event.status),
    h("span", { class: "main" },
      h("span", { class: "head" }, event.heading || event.title),
      h("span", { class: "sub" },
        withService && h("span", {}, NAMES[event.service]),
        event.exception && raised(event.exception),
        event.logger && h("span", {}, event.logger),
        event.heading !== event.title && event.title !== event.logger && h("span", {}, event.title),
        event.flags?.length > 0 && h("span", { class: "warning" }, event.flags.join(", ")))),
    h("span", { class: "side" }, event.times > 1 && h("span", { class: "count" }, `×${event.times}`), time(event.received)));
}

export function requestRow(request) {
  const taken = `${request.accepted} accepted${request.refused ? `, ${request.refused} refused` : ""}`;
  const bad = request.http_status === null || request.http_status >= 400;
  return h("a", { class: "row", href: linkTo(`request-${request.id}`), "data-open": `request-${request.id}` },
    light(bad ? "error" : request.refused ? "warning" : "ok"),
    h("span", { class: "main" },
      h("span", { class: "head" }, request.code ? `${statusOf(request)} ${request.code}` : `${statusOf(request)} · ${taken}`),
      h("span", { class: "sub" },
        h("span", {}, NAMES[request.service]),
        request.code && h("span", {}, taken),
        request.fault && h("span", { class: "warning" }, `fault: ${request.fault}`),
        h("span", {}, request.user_agent))),
    h("span", { class: "side" }, time(request.received)));
}

export function refusalRow(refusal) {
  return h("a", { class: "row", href: linkTo(`request-${refusal.request}`), "data-open": `request-${refusal.request}` },
    light("error"),
    h("span", { class: "main" },
      h("span", { class: "head" }, h("span", { class: "error" }, refusal.code), " ", refusal.message),
      h("span", { class: "sub" }, h("span", {}, NAMES[refusal.service]), refusal.heading && h("span", {}, refusal.heading))),
    h("span", { class: "side" }, time(refusal.received)));
}

export const rows = (items, make) => h("ul", { class: "rows" }, items.map((item) => h("li", {}, make(item))));

// A value as a table: a nested value has its path for a name. From some depth on it is JSON, since a path
// of a thousand names; so are lists.
export function fields(value) {
  const lines = [...pathsOf(value, "", 0)];
  return h("table", {}, h("tbody", {}, lines.map(([name, part]) =>
    h("tr", {}, h("th", { scope: "row" }, breakable(name)), h("td", {}, plain(part))))));
}

// A name may break behind its dots and underscores; one that is endless breaks anywhere.
const breakable = (name) => (name.length > 100 ? name : name.split(/(?<=[._])/).flatMap((part) => [h("wbr"), part]));

function* pathsOf(value, path, depth) {
  const isObject = value !== null && typeof value === "object" && !Array.isArray(value);
  if (!isObject || depth === DEEPEST || Object.keys(value).length === 0) {
    yield [path, value];
    return;
  }
  for (const [name, part] of Object.entries(value)) yield* pathsOf(part, path ? `${path}.${name}` : name, depth + 1);
}

export function plain(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

export function copyButton(label, text, what) {
  return h("button", { type: "button", class: "small", onclick: () => copy(typeof text === "function" ? text() : text, what) }, label);
}

export function download(name, text, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

export const more = (title, ...content) => h("details", { class: "more" }, h("summary", {}, title), ...content);
