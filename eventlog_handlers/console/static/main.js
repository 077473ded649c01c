// The page as a whole: it shows the view that the address names, the stream brings new rows, the keys move about.

import { byId, h, toast } from "./dom.js";
import { count, NAMES } from "./format.js";
import { ask, listen } from "./net.js";
import { renewTimes } from "./parts.js";
import { addressOf, asked, go, here, VIEWS } from "./place.js";
import { released } from "./press.js";
import { isList, List } from "./lists.js";
import { FilterLine } from "./filters.js";
import * as detail from "./detail.js";
import * as faults from "./faults.js";
import * as rules from "./rules.js";

const TIMES_MS = 5000;
const list = new List(byId("list"));
const state = { paused: false, waiting: 0, unread: 0, refusedSeen: null, totals: {}, faults: [], shown: "" };
const filters = new FilterLine(byId("filters"), { onClear: clearAll });

// --- the address -------------------------------------------------------------------------------------------

async function render() {
  const place = here();
  drawTabs(place);
  filters.follow(place);
  byId("columns").classList.toggle("open", Boolean(place.open));
  const listed = addressOf({ ...place, open: "" });
  if (listed !== state.shown) {
    state.shown = listed;
    await showView(place, () => state.shown === listed);
  } else if (isList(place.view)) {
    list.markOpen();
  }
  await showDetail(here().open);  // by now something else may be open
}

// *current* tells whether the address still asks for this view once an answer is there.
async function showView(place, current) {
  const element = byId("list");
  if (place.view === "faults") await faults.show(element, state.faults);
  else if (place.view === "rules") rules.show(element);
  else {
    try {
      await list.load(place, current);
    } catch (error) {
      if (!current()) return;
      element.replaceChildren(h("div", { class: "empty" }, h("h2", {}, "That can’t be shown"), h("p", {}, error.message)));
    }
  }
  if (!current()) return;
  if (place.view === "refused") seeRefused();
  follow(place);
}

async function showDetail(open) {
  const element = byId("detail");
  element.hidden = !open;
  if (!open || element.dataset.open === open) {
    if (!open) element.dataset.open = "";
    return;
  }
  if (!await detail.show(element, open)) return;
  element.scrollTop = 0;
  if (matchMedia("(max-width: 62rem)").matches) {  // there it takes the list's place
    scrollTo(0, 0);
    element.focus({ preventScroll: true });
  }
}

function drawTabs(place) {
  const badges = { refused: badge(unseenRefusals(), "not seen yet"), faults: badge(state.faults.length, "on", "fault") };
  const tabs = Object.entries(VIEWS).map(([view, name]) => h("a", {
    href: addressOf({ view, filters: isList(view) ? place.filters : {} }), "aria-current": view === place.view ? "page" : null, "data-view": view,
  }, name, badges[view]));
  const print = tabs.map((tab) => tab.outerHTML).join("");
  const nav = byId("tabs");
  if (nav.dataset.print === print) return;
  const focused = nav.contains(document.activeElement) ? document.activeElement.dataset.view : null;
  nav.dataset.print = print;
  nav.replaceChildren(...tabs);
  if (focused) nav.querySelector(`[data-view="${focused}"]`)?.focus();
}

const badge = (number, what, kind = "") => number > 0 ? h("span", { class: `badge ${kind}`, title: `${number} ${what}` }, number > 99 ? "99+" : String(number)) : null;
const refusedInAll = () => Object.values(state.totals).reduce((sum, one) => sum + one.refused, 0);
const unseenRefusals = () => (state.refusedSeen === null ? 0 : Math.max(0, refusedInAll() - state.refusedSeen));
function seeRefused() { state.refusedSeen = refusedInAll(); drawTabs(here()); }

// --- the stream -------------------------------------------------------------------------------------------

function follow(place) {
  const want = isList(place.view) ? place.view : "none";
  listen({ ...asked(place.filters), want, bucket: list.bucket, mark: isList(place.view) ? list.mark : "" }, hear, (connected) => {
    byId("pause").classList.toggle("lost", !connected);
    drawPause(connected);
  });
}

async function hear(message) {
  await released();
  state.totals = message.totals;
  state.faults = message.faults;
  if (state.refusedSeen === null || message.cleared) state.refusedSeen = here().view === "refused" ? refusedInAll() : message.cleared ? 0 : refusedInAll();
  drawTotals();
  faults.renew(state.faults);
  drawNotice();
  if (document.hidden) state.unread += message.fresh;
  drawTitle();
  if (state.paused) {
    state.waiting += message.fresh;
    drawPause();
    return drawTabs(here());
  }
  const place = here();
  if (isList(place.view)) {
    if (message.cleared) await reload();
    else if (!list.merge(message)) await reload();
  }
  if (place.view === "refused") seeRefused();
  drawTabs(here());
  await renewDetail(message);
}

// An open problem's events follow the stream; the place one reads at stays.
async function renewDetail(message) {
  const { open } = here();
  const element = byId("detail");
  const changed = message.problems?.some((row) => `problem-${row.problem}` === open);
  if (!changed || element.dataset.open !== open || element.contains(document.activeElement) || !detail.showsNewest(element)) return;
  const { scrollTop } = element;
  if (await detail.show(element, open, released)) element.scrollTop = scrollTop;
}

async function reload() {
  state.shown = "";
  byId("detail").dataset.open = "";
  await render();
}

function drawTotals() {
  byId("totals").replaceChildren(...Object.entries(NAMES).map(([service, name]) => {
    const one = state.totals[service] ?? { accepted: 0, refused: 0, requests: 0 };
    return h("div", { "data-service": service }, h("span", { class: "name" }, name), h("span", {}, h("b", {}, count(one.accepted)), " accepted"),
      h("span", { class: one.refused ? "bad" : "" }, h("b", {}, count(one.refused)), " refused"),
      h("span", { class: "requests" }, h("b", {}, count(one.requests)), one.requests === 1 ? " request" : " requests"));
  }));
}

function drawNotice() {
  const notice = byId("notice");
  notice.hidden = state.faults.length === 0 || here().view === "faults";
  notice.className = "notice fault";
  notice.replaceChildren(...state.faults.map((fault) => h("span", {}, faults.describe(fault))), h("a", { href: "#/faults" }, "Faults"));
}

function drawTitle() {
  document.title = state.unread > 0 ? `(${count(state.unread)}) Event console` : "Event console";
}

function drawPause(connected = true) {
  const button = byId("pause");
  button.setAttribute("aria-pressed", String(state.paused));
  button.title = state.paused ? "Go on (p)" : "Pause (p)";
  const waiting = state.waiting ? ` · ${count(state.waiting)} new` : "";
  button.querySelector(".label").textContent = state.paused ? `Paused${waiting}` : connected ? "Live" : "No connection";
}

async function pause() {
  state.paused = !state.paused;
  const missed = state.waiting;
  state.waiting = 0;
  drawPause();
  if (!state.paused && missed) await reload();
}

async function clearAll() {
  if (!confirm("Forget all events, refusals and requests?")) return;
  await ask("/api/events", { method: "DELETE" });
  go({ open: "", before: "" });
  toast("Forgotten");
}

// --- keys, theme, focus ------------------------------------------------------------------------------------

function move(step) {
  const detailRows = byId("detail").contains(document.activeElement) ? byId("detail") : byId("list");
  const all = [...detailRows.querySelectorAll("a.row")];
  if (all.length === 0) return;
  const at = all.indexOf(document.activeElement);
  const open = all.findIndex((row) => row.hasAttribute("aria-current"));
  all[Math.min(all.length - 1, Math.max(0, at >= 0 ? at + step : open >= 0 ? open + step : 0))].focus();
}

const KEYS = {
  j: () => move(1), ArrowDown: () => move(1), k: () => move(-1), ArrowUp: () => move(-1),
  "/": () => filters.search.focus(), p: pause, "?": () => byId("keys").showModal(),
};

addEventListener("keydown", (press) => {
  if (press.ctrlKey || press.metaKey || press.altKey || byId("keys").open) return;
  const typing = press.target.matches("input, select, textarea");
  if (press.key === "Escape") {
    if (typing) press.target.blur();
    else if (here().open) {
      const { open } = here();
      go({ open: "" });
      byId("list").querySelector(`[data-open="${CSS.escape(open)}"]`)?.focus();
    }
    return;
  }
  const views = Object.keys(VIEWS);
  const action = press.key in KEYS ? KEYS[press.key] : views[Number(press.key) - 1] ? () => go({ view: views[Number(press.key) - 1], open: "", before: "" }) : null;
  if (typing || !action) return;
  if (press.key.startsWith("Arrow") && !press.target.matches("a.row")) return;
  press.preventDefault();
  action();
});

const THEMES = ["", "dark", "light"];
function useTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  try { localStorage.setItem("theme", theme); } catch { /* a private window */ }
}
byId("theme").addEventListener("click", () => {
  const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? "") + 1) % THEMES.length];
  useTheme(next);
  toast(next ? `Always ${next}` : "As the system is");
});
byId("pause").addEventListener("click", pause);
byId("help").addEventListener("click", () => byId("keys").showModal());
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); byId("list").focus(); });
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) { state.unread = 0; drawTitle(); }
});
addEventListener("hashchange", render);
setInterval(() => { if (!document.hidden) renewTimes(); }, TIMES_MS);

try { useTheme(localStorage.getItem("theme") ?? ""); } catch { /* a private window */ }
drawTotals();
await filters.renew();
render();
