// The view of the fault buttons: a press makes a service do wrong, for a count or for a while.

import { h, toast } from "./dom.js";
import { NAMES } from "./format.js";
import { ask, get, post } from "./net.js";

const TITLES = {
  throttle: "Throttle", 500: "Error 500", slow: "Answer late", cut: "Cut the connection", half: "Fail half the entries",
  wrong_clock: "Wrong clock", garbage: "Garbage 200",
};

let kinds = null;

export async function show(element, lasting) {
  kinds ??= (await get("/api/faults")).kinds;
  const number = h("input", { type: "number", id: "howmany", min: 1, max: 1000000, value: "1" });
  const unit = h("select", { "aria-label": "Requests or seconds" }, h("option", { value: "count" }, "requests"), h("option", { value: "seconds" }, "seconds"), h("option", { value: "" }, "until stopped"));
  const delay = h("input", { type: "number", id: "delay", min: 0.1, max: 300, step: 0.1, value: "5" });
  unit.addEventListener("change", () => { number.disabled = unit.value === ""; });
  const start = async (service, kind) => {
    const wanted = { service, kind };
    if (unit.value) wanted[unit.value] = Number(number.value);
    if (kind === "slow") wanted.delay = Number(delay.value);
    try {
      draw(list, (await post("/api/faults", wanted)).faults);
      toast(`${NAMES[service]}: ${TITLES[kind]}`);
    } catch (error) {
      toast(error.message);
    }
  };
  const list = h("ul", { class: "on", id: "lasting" });
  element.replaceChildren(h("div", { class: "panel" },
    h("h2", {}, "Faults on demand"),
    h("p", {}, "What does your application do when a service fails? Each press makes a service fail, for as long as chosen here."),
    list,
    h("div", { class: "howlong" },
      h("label", { for: "howmany" }, "For"), number, unit, h("label", { for: "delay" }, "Late answers take"), delay, h("span", { class: "quiet" }, "seconds")),
    h("div", { class: "grid" }, Object.entries(NAMES).map(([service, name]) =>
      h("section", { class: "card", "aria-label": name }, h("h3", {}, name), h("div", { class: "buttons" },
        kinds.filter((one) => one.services.includes(service)).map((one) =>
          h("button", { type: "button", "data-fault": `${service}:${one.kind}`, onclick: () => start(service, one.kind) },
            TITLES[one.kind] ?? one.kind, h("small", {}, one.text)))))))));
  draw(list, lasting);
}

export function renew(lasting) {
  const list = document.getElementById("lasting");
  if (list) draw(list, lasting);
}

function draw(list, lasting) {
  list.replaceChildren(...lasting.map((fault) => h("li", {}, describe(fault),
    h("button", { type: "button", class: "small", onclick: async () => draw(list, (await ask(`/api/faults/${fault.id}`, { method: "DELETE" })).faults) }, "Stop"))));
}

export function describe(fault) {
  const rest = fault.left !== null ? `${fault.left} more ${fault.left === 1 ? "request" : "requests"}` : fault.seconds !== null ? `${fault.seconds} s more` : "until stopped";
  return `${NAMES[fault.service]}: ${TITLES[fault.kind] ?? fault.kind}, ${rest}`;
}
