// The list on the left: one page of it, and the new rows that the stream adds to its top. Never more rows than one page.

import { h, reconcile } from "./dom.js";
import { count, span } from "./format.js";
import { get, queryOf } from "./net.js";
import { eventRow, light, raised, refusalRow, requestRow, services, sparkline, time } from "./parts.js";
import { addressOf, asked, go, here, linkTo } from "./place.js";

export const PAGE = 50;
const STREAM_ROWS = 50;

const KINDS = {
  problems: { path: "/api/problems", key: (row) => row.problem, by: "newest", make: problemRow, name: "problems" },
  events: { path: "/api/events", key: (row) => row.id, by: "id", make: (row) => eventRow(row), name: "events" },
  refused: { path: "/api/refused", key: (row) => row.id, by: "id", make: refusalRow, name: "refusals" },
  requests: { path: "/api/requests", key: (row) => row.id, by: "id", make: (row) => requestRow(row), name: "requests" },
};

export const isList = (view) => view in KINDS;

// What the list shows; the element is made anew only where something changed.
export class List {
  constructor(element) {
    this.element = element;
    this.rows = [];
    this.total = 0;
    this.next = null;
    this.bucket = 60;
    this.mark = "";
  }

  async load(place, current) {
    const kind = KINDS[place.view];
    const query = { ...asked(place.filters), limit: PAGE, brief: 1, before: place.before };
    const found = await get(kind.path, query);
    if (!current()) return;
    this.view = place.view;
    this.before = place.before;
    this.rows = found[place.view];
    this.total = found.total ?? null;
    this.next = found.next;
    this.bucket = found.bucket ?? this.bucket;
    this.mark = found.mark;
    this.draw();
  }

  // True if the message could be shown; false if it holds only a part of the new rows, and the list must be loaded.
  merge(message) {
    const kind = KINDS[this.view];
    if (!kind) return true;
    const fresh = message[this.view];
    if (this.total !== null) this.total += message.fresh;
    if (!fresh?.length) return true;
    if (this.before) return true;
    if (fresh.length === STREAM_ROWS && this.view === "problems") return false;
    const keys = new Set(fresh.map(kind.key));
    const merged = [...fresh, ...this.rows.filter((row) => !keys.has(kind.key(row)))];
    if (merged.length > PAGE) this.next = merged[PAGE - 1][kind.by];
    this.rows = merged.slice(0, PAGE);
    this.draw({ arrived: keys });
    return true;
  }

  draw({ arrived = new Set() } = {}) {
    if (this.rows.length === 0) {
      this.element.replaceChildren(this.nothing());
      return;
    }
    const kind = KINDS[this.view];
    let list = this.element.querySelector(":scope > ul");
    if (!list || list.dataset.view !== this.view) {
      list = h("ul", { class: "rows", "data-view": this.view });
      this.element.replaceChildren(...(this.view === "problems" ? [h("div", { class: "heads", "aria-hidden": "true" })] : []), list, h("div", { class: "foot" }));
    }
    const shown = this.rows.map((row) => ({ ...row, key: kind.key(row), print: JSON.stringify(row) + here().view }));
    reconcile(list, shown, (row, isNew) => {
      const made = kind.make(row, this.bucket);
      if (isNew && arrived.has(row.key)) made.classList.add("fresh");
      return h("li", {}, made);
    });
    this.markOpen();
    this.element.querySelector(":scope > .heads")?.replaceChildren(h("span", {}, "Problem"),
      h("span", { class: "side" }, h("span", { class: "bars" }, `Bars of ${span(this.bucket)}`), h("span", { class: "count" }, "Times"), h("span", { class: "last" }, "Last")));
    this.element.querySelector(":scope > .foot").replaceChildren(...this.foot());
  }

  // Links hold the filters, and the open row is marked: both follow the address.
  markOpen() {
    const { open } = here();
    for (const row of this.element.querySelectorAll(".row")) {
      if (row.dataset.open === open) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
      row.href = linkTo(row.dataset.open);
    }
  }

  foot() {
    const place = here();
    const kind = KINDS[this.view];
    const total = this.total === null ? `${count(this.rows.length)} ${kind.name}` : `${count(this.total)} events`;
    const title = this.before ? `${total}, an older page` : total;
    return [
      h("span", { class: "number" }, title),
      h("span", { class: "chips" },
        this.before && h("a", { href: addressOf({ ...place, before: "" }), "data-newest": true }, "Newest"),
        this.next && h("a", { href: addressOf({ ...place, before: this.next }), "data-older": true }, "Older")),
    ];
  }

  nothing() {
    const { filters } = here();
    if (Object.values(filters).some(Boolean) || this.before) {
      return h("div", { class: "empty" }, h("h2", {}, "Nothing matches"),
        h("p", {}, "No event is kept that these filters let through."),
        h("p", {}, h("button", { type: "button", class: "small", onclick: () => go({ filters: {}, before: "" }) }, "Show everything")));
    }
    if (this.view === "refused") {
      return h("div", { class: "empty" }, h("h2", {}, "Nothing was refused"), h("p", {}, "Every request so far kept to the services’ rules."));
    }
    return h("div", { class: "empty" }, h("h2", {}, "Nothing has arrived yet"),
      h("p", {}, "Start your application with its handlers pointed here:"),
      h("code", {}, `EVENTLOG_CONSOLE=${location.origin} python your_application.py`),
      h("p", {}, "Or see it filled: ", h("code", {}, "eventlog-handlers demo --keep")));
  }
}

export const exportAddress = (filters) => `/api/export${queryOf(asked(filters))}`;

function problemRow(problem) {
  return h("a", { class: "row", href: linkTo(`problem-${problem.problem}`), "data-open": `problem-${problem.problem}` },
    light(problem.status),
    h("span", { class: "main" },
      h("span", { class: "head" }, problem.heading || problem.title),
      h("span", { class: "sub" },
        problem.exception && raised(problem.exception, problem.status),
        problem.logger && h("span", {}, problem.logger),
        services(problem.services),
        h("span", {}, "first ", time(problem.first)))),
    h("span", { class: "side" },
      sparkline(problem.bars),
      h("span", { class: "count", title: `${problem.count} events, ${problem.occurrences} occurrences` }, count(problem.occurrences)),
      time(problem.last)));
}
