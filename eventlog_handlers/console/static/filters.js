// The line of filters: every choice goes into the address, and from there to everything else.

import { h } from "./dom.js";
import { NAMES, STATUSES } from "./format.js";
import { get } from "./net.js";
import { go, here } from "./place.js";
import { exportAddress } from "./lists.js";

const TIMES = { "": "Any time", 300: "Last 5 minutes", 3600: "Last hour", 86400: "Last 24 hours" };
const CHOSEN = "chosen";
const TYPING_MS = 150;
const fits = { problems: true, events: true, refused: ["service"], requests: ["service"] };

export class FilterLine {
  constructor(form, { onClear }) {
    this.form = form;
    this.search = h("input", { type: "search", name: "q", placeholder: "Search titles and contents", "aria-label": "Search", autocomplete: "off" });
    this.selects = {
      service: this.select("service", "Service", "All services", NAMES),
      status: this.select("status", "Status", "Any status", Object.fromEntries(STATUSES.map((name) => [name, name]))),
      logger: this.select("logger", "Logger", "Any logger", {}),
      exception: this.select("exception", "Exception", "Any exception", {}),
      within: this.select("within", "Time", TIMES[""], { ...Object.fromEntries(Object.entries(TIMES).filter(([seconds]) => seconds)), [CHOSEN]: "From … to …" }),
    };
    this.moments = { since: this.moment("since", "From"), until: this.moment("until", "To") };
    this.export = h("a", { class: "quiet", download: "events.jsonl", title: "All events that match, a line of JSON each" }, "Export");
    this.clear = h("button", { type: "button", class: "small danger", onclick: onClear }, "Clear all");
    this.fold = h("button", { type: "button", class: "fold", "aria-expanded": "false", onclick: () => this.unfold() }, "Filters");
    form.replaceChildren(this.search, this.fold, ...Object.values(this.selects), ...Object.values(this.moments), h("span", { class: "end chips" }, this.export, this.clear));
    form.addEventListener("submit", (event) => event.preventDefault());
    let timer;
    this.search.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.change("q", this.search.value), TYPING_MS);
    });
  }

  select(name, label, none, options) {
    const select = h("select", { name, "aria-label": label }, h("option", { value: "" }, none), Object.entries(options).map(([value, text]) => h("option", { value }, text)));
    select.addEventListener("change", () => this.change(name, select.value));
    if (name === "logger" || name === "exception") {
      for (const kind of ["pointerdown", "focus"]) select.addEventListener(kind, () => this.renew());
    }
    return select;
  }

  // A time of the local clock; in the address it is seconds since 1970.
  moment(name, label) {
    const input = h("input", { type: "datetime-local", name, step: 1, "aria-label": label, hidden: true });
    input.addEventListener("change", () => this.change(name, input.value ? String(new Date(input.value).getTime() / 1000) : ""));
    return input;
  }

  // Only on a narrow screen are the filters folded.
  unfold() {
    const unfolded = this.form.classList.toggle("unfolded");
    this.fold.setAttribute("aria-expanded", String(unfolded));
  }

  change(name, value) {
    const filters = { ...here().filters, [name]: value };
    if (name === "within") {
      if (value === CHOSEN) Object.assign(filters, { within: "", since: String(Math.floor(Date.now() / 1000) - 3600), until: "" });
      else Object.assign(filters, { since: "", until: "" });
    }
    go({ filters, before: "" }, { replace: name === "q" });
  }

  // The loggers and exceptions there are by now.
  async renew() {
    const facets = await get("/api/facets").catch(() => null);
    if (!facets) return;
    for (const [service, title] of Object.entries(facets.services)) {
      if (service in NAMES) continue;
      NAMES[service] = title;
      this.selects.service.append(h("option", { value: service }, title));
    }
    for (const name of ["logger", "exception"]) {
      const chosen = here().filters[name];
      const values = [...new Set([...facets[name], chosen].filter(Boolean))].sort();
      const select = this.selects[name];
      const there = [...select.options].slice(1).map((option) => option.value);
      if (there.join("\n") === values.join("\n")) continue;
      select.replaceChildren(select.options[0], ...values.map((value) => h("option", { value }, value)));
      select.value = chosen;
    }
  }

  follow(place) {
    const which = fits[place.view];
    this.form.hidden = !which;
    if (!which) return;
    for (const [name, select] of Object.entries(this.selects)) {
      const value = place.filters[name];
      if (value && ![...select.options].some((option) => option.value === value)) select.append(h("option", { value }, value));
      select.value = name === "within" && !value && (place.filters.since || place.filters.until) ? CHOSEN : value;
      select.classList.toggle("set", Boolean(select.value));
      select.hidden = which !== true && !which.includes(name);
    }
    for (const [name, input] of Object.entries(this.moments)) {
      input.hidden = which !== true || this.selects.within.value !== CHOSEN;
      if (document.activeElement !== input) input.value = localOf(place.filters[name]);
    }
    const set = Object.values(this.selects).filter((select) => !select.hidden && select.value).length;
    this.fold.textContent = set ? `Filters (${set})` : "Filters";
    if (document.activeElement !== this.search) this.search.value = place.filters.q;
    this.search.hidden = which !== true;
    this.export.hidden = which !== true;
    this.export.href = exportAddress(place.filters);
  }
}

// Seconds since 1970 as a datetime-local input has them.
function localOf(seconds) {
  const moment = new Date(Number(seconds) * 1000);
  if (!seconds || Number.isNaN(moment.getTime())) return "";
  return new Date(moment.getTime() - moment.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
}
