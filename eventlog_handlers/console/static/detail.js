// What is open on the right: a problem, an event, or a request with the reasons it was refused for.

import { h } from "./dom.js";
import { sideBySide } from "./diff.js";
import { bytes, count, NAMES, statusOf } from "./format.js";
import { get } from "./net.js";
import {
  chip, copyButton, download, eventRow, fields, more, pretty, requestRow, rows, services, sparkline, time,
} from "./parts.js";
import { go, here, linkTo } from "./place.js";
import { traceback } from "./traceback.js";

const EVENTS_OF_PROBLEM = 20;

// False if something else was opened before the answer came. It is drawn once *ready* is.
export async function show(element, open, ready = () => {}) {
  const [kind, ...rest] = open.split("-");
  const key = rest.join("-");
  const views = { problem, event, request };
  try {
    const { head, body } = await views[kind](key);
    await ready();
    if (here().open !== open) return false;
    element.replaceChildren(h("header", {}, head), h("div", { class: "body" }, body));
  } catch (error) {
    if (here().open !== open) return false;
    element.replaceChildren(h("header", {}, crumbs()), h("div", { class: "body" }, h("p", { class: "wrong" }, error.message)));
  }
  element.dataset.open = open;
  return true;
}

const crumbs = (...parts) => h("div", { class: "crumbs" }, parts.map((part) => (typeof part === "string" ? h("span", {}, part) : part)),
  h("button", { type: "button", class: "plain close", title: "Close (Esc)", "aria-label": "Close", onclick: () => go({ open: "" }) }, "✕"));

const link = () => copyButton("Copy link", () => location.href, "the link");

// Whether an open problem's newest events are shown, so that new ones belong there.
export const showsNewest = (element) => !element.querySelector("[data-older]");

// --- a problem ---------------------------------------------------------------------------------------------

async function problem(key) {
  const [found, events] = await Promise.all([
    get("/api/problems", { problem: key }),
    get("/api/events", { problem: key, brief: 1, limit: EVENTS_OF_PROBLEM }),
  ]);
  const row = found.problems[0];
  if (!row) throw new Error("No event of this problem is kept any more.");
  const list = h("div", {});
  const draw = (page) => list.append(rows(page.events, (one) => eventRow(one)), page.next
    ? h("div", { class: "foot" }, h("button", { type: "button", class: "small", onclick: async (click) => {
      const older = await get("/api/events", { problem: key, brief: 1, limit: EVENTS_OF_PROBLEM, before: page.next });
      list.replaceChildren();
      draw(older);
      list.dataset.older = true;
    } }, "Older events"))
    : "");
  draw(events);
  return {
    head: [
      crumbs("Problem", h("code", {}, key)),
      h("h2", {}, row.heading || row.title),
      h("div", { class: "meta" }, chip(row.status || "no status", row.status), row.exception && h("span", {}, row.exception),
        row.logger && h("span", {}, row.logger), services(row.services)),
      h("div", { class: "tools" }, link()),
    ],
    body: [
      sparkline(row.bars, { width: 480, height: 56, wide: true }),
      h("table", {}, h("tbody", {},
        line("Events", count(row.count)), row.occurrences > row.count && line("Occurrences", count(row.occurrences)),
        line("First", time(row.first, { exact: true })), line("Last", time(row.last, { exact: true })))),
      h("h3", {}, "Its events, newest first"),
      list,
    ],
  };
}

const line = (name, value) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value));

// --- an event ----------------------------------------------------------------------------------------------

async function event(key) {
  const { event: one, facts, request, fellows, tries, copy: copies } = await get(`/api/events/${key}`);
  const described = { ...facts.fields };
  const first = { logger: facts.logger, level: facts.level, service: facts.service, env: facts.env };
  const told = Object.fromEntries(Object.entries(first).filter(([, value]) => value));
  const own = { event_id: one.uid, fingerprint: facts.fingerprint, occurrences: one.times > 1 ? one.times : "" };
  const last = Object.fromEntries(Object.entries(own).filter(([, value]) => value));
  return {
    head: [
      crumbs(h("a", { href: linkTo(`problem-${one.problem}`) }, "Problem"), "›", `Event ${one.id}`),
      h("h2", {}, one.heading || one.title),
      h("div", { class: "meta" }, chip(one.status || "no status", one.status), h("span", {}, NAMES[one.service]),
        facts.exception && h("span", {}, facts.exception), h("span", {}, one.title),
        time(one.time ?? one.received, { exact: true }), one.flags.map((flag) => chip(flag, "flag"))),
      h("div", { class: "tools" },
        copyButton("Copy JSON", copies.json, "the event as JSON"),
        copies.curl && copyButton("Copy curl", copies.curl, "the request as curl"),
        copyButton("Copy pytest", copies.pytest, "a test"),
        h("button", { type: "button", class: "small", onclick: () => download(`event-${one.id}.json`, copies.json, "application/json") }, "Download"),
        link()),
    ],
    body: [
      facts.message && facts.message.trim() !== one.heading && [h("h3", {}, "Message"), h("div", { class: "message" }, facts.message)],
      facts.traceback && [h("h3", {}, "Traceback"), traceback(facts.traceback),
        h("div", { class: "tools" }, copyButton("Copy traceback", facts.traceback, "the traceback"))],
      h("h3", {}, "Fields"), fields({ ...told, ...described, ...last }),
      tries.length > 0 && [h("h3", {}, tries.length === 1 ? "Sent once" : `Sent ${tries.length} times`),
        rows(tries, (call) => requestRow(call))],
      tries.length === 0 && request && [h("h3", {}, "Its request"), rows([request], (call) => requestRow(call))],
      fellows.length > 0 && [h("h3", {}, `${fellows.length} fellow ${fellows.length === 1 ? "entry" : "entries"} of the same request`),
        rows(fellows, (fellow) => eventRow(fellow, { withService: false }))],
      more("As it was sent", fields(one.body)),
      more("As the service hands it on", fields(one.stored)),
    ],
  };
}

// --- a request ---------------------------------------------------------------------------------------------

async function request(key) {
  const { request: one, exchange, events, refusals } = await get(`/api/requests/${key}`);
  const status = statusOf(one);
  return {
    head: [
      crumbs(`Request ${one.id}`),
      h("h2", {}, `${one.method} ${one.path.slice(0, 200)}`),
      h("div", { class: "meta" },
        chip(status, one.http_status === null || one.http_status >= 400 ? "error" : "ok"), h("span", {}, NAMES[one.service]),
        h("span", {}, `${one.accepted} accepted, ${one.refused} refused`), h("span", {}, bytes(one.size)),
        h("span", {}, `connection ${one.connection}`), one.fault && chip(`fault: ${one.fault}`, "flag"), time(one.received, { exact: true })),
      h("div", { class: "tools" }, exchange && copyButton("Copy curl", exchange.curl, "the request as curl"),
        exchange && h("a", { class: "quiet", href: `/api/requests/${one.id}/body`, download: true }, "Download body"), link()),
    ],
    body: [
      refusals.map(whyRefused),
      events.length > 0 && [h("h3", {}, `${events.length} accepted ${events.length === 1 ? "event" : "events"}`), rows(events, (event) => eventRow(event, { withService: false }))],
      exchange
        ? [
          h("h3", {}, "Headers"), table(exchange.headers),
          exchange.query && [h("h3", {}, "Query"), parameters(exchange.query)],
          h("h3", {}, "Body"), body(exchange.headers, exchange.body),
          h("h3", {}, "Answer"), exchange.answer_headers.length > 0 && table(exchange.answer_headers), h("pre", { class: "box scroll" }, pretty(exchange.answer.text) || "no body"),
        ]
        : h("p", { class: "quiet" }, "The bytes of this request are no longer kept."),
    ],
  };
}

function whyRefused(refusal) {
  return h("section", { class: "why", "aria-label": "Why it was refused" },
    h("h4", {}, refusal.code),
    refusal.message && h("p", {}, shortened(refusal.message, refusal.signing ? 120 : 600)),
    refusal.rule && h("p", { class: "rule" }, refusal.rule.text, " ",
      refusal.rule.page && h("a", { href: refusal.rule.page, target: "_blank", rel: "noreferrer noopener" }, "The document")),
    refusal.signing && [h("p", {}, h("b", {}, refusal.signing.note)), sideBySide(refusal.signing.expected, refusal.signing.received),
      h("div", { class: "tools" }, copyButton("Copy expected", refusal.signing.expected, "the string to sign"),
        copyButton("Copy received", refusal.signing.received, "what the client signed"))],
    refusal.body !== null && more("The entry", fields(refusal.body)));
}

const shortened = (text, most) => (text.length > most ? `${text.slice(0, most)}…` : text);
const table = (pairs) => h("table", {}, h("tbody", {}, pairs.map(([name, value]) => line(name, value))));
const parameters = (text) => table([...new URLSearchParams(text)]);

function body(headers, sent) {
  const kind = headers.find(([name]) => name === "content-type")?.[1] ?? "";
  if (sent.size === 0) return h("p", { class: "quiet" }, "none");
  const shown = kind.includes("x-www-form-urlencoded") ? parameters(sent.text) : h("pre", { class: "box scroll" }, pretty(sent.text));
  const rest = sent.size > sent.text.length ? h("p", { class: "quiet" }, `The beginning of ${bytes(sent.size)}: download it to read all.`) : null;
  return [kind.includes("x-www-form-urlencoded") ? h("div", { class: "scroll" }, shown) : shown, rest];
}
