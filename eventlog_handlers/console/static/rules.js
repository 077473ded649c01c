// The rule tester: a rule in, the events that it would match, and for the others the reason why not.

import { h } from "./dom.js";
import { count, NAMES } from "./format.js";
import { post } from "./net.js";
import { eventRow } from "./parts.js";

const KINDS = {
  eventbridge: {
    name: "EventBridge pattern",
    hint: "The pattern of a rule, as put-rule takes it.",
    example: '{\n  "source": [{"prefix": "shop."}],\n  "detail": {\n    "severity_number": [{"numeric": [">=", 17]}],\n    "status": ["error", "critical"]\n  }\n}',
  },
  cms: {
    name: "CMS alarm rule",
    hint: "EventName and GroupId, and how often within a period, as PutCustomEventRule takes them.",
    example: '{\n  "EventName": "shop.orders",\n  "GroupId": "0",\n  "Threshold": 2,\n  "Period": 300,\n  "Level": "CRITICAL"\n}',
  },
  guance: {
    name: "Guance filter",
    hint: "The filter of a monitor over events, or of the event explorer.",
    example: "status:(error OR critical) AND service:shop -exc_type:Timeout*",
  },
};
const texts = Object.fromEntries(Object.entries(KINDS).map(([kind, { example }]) => [kind, example]));
let chosen = "eventbridge";

export function show(element) {
  const text = h("textarea", { id: "rule", spellcheck: "false", "aria-label": "Rule", value: texts[chosen] });
  const hint = h("p", { class: "quiet" }, KINDS[chosen].hint);
  const result = h("div", { id: "verdict", "aria-live": "polite" });
  const kind = h("select", { id: "kind", "aria-label": "Kind of rule", value: chosen },
    Object.entries(KINDS).map(([name, one]) => h("option", { value: name, selected: name === chosen }, one.name)));
  const test = async () => {
    texts[chosen] = text.value;
    try {
      result.replaceChildren(...verdict(await post("/api/rules", { kind: chosen, rule: text.value })));
    } catch (error) {
      result.replaceChildren(h("p", { class: "wrong", role: "alert" }, error.message));
    }
  };
  kind.addEventListener("change", () => {
    texts[chosen] = text.value;
    chosen = kind.value;
    text.value = texts[chosen];
    hint.textContent = KINDS[chosen].hint;
    result.replaceChildren();
  });
  text.addEventListener("keydown", (press) => {
    if (press.key === "Enter" && (press.ctrlKey || press.metaKey)) test();
  });
  element.replaceChildren(h("div", { class: "panel" },
    h("h2", {}, "Rule tester"),
    h("p", {}, "Would this rule wake somebody? It is tried on the newest 1,000 events that are kept here."),
    h("div", { class: "tester" },
      h("div", { class: "line" }, kind, hint), text,
      h("div", { class: "line" }, h("button", { type: "button", class: "main", id: "try", onclick: test }, "Test the rule"), h("span", { class: "quiet" }, "or Ctrl+Enter"))),
    result));
}

function verdict(found) {
  const name = NAMES[found.service];
  const head = found.tested === 0
    ? `No event of ${name} is kept yet.`
    : `${count(found.matched)} of ${count(found.tested)} events of ${name} match${found.summary ? `: the rule ${found.summary}` : ""}.`;
  return [
    h("p", { class: "verdict" }, head),
    found.matching.length > 0 && [h("h3", {}, "They match"), list(found.matching)],
    found.others.length > 0 && [h("h3", {}, "They don’t, and why"), list(found.others)],
  ].flat().filter(Boolean);
}

const list = (events) => h("ul", { class: "rows" }, events.map((event) =>
  h("li", {}, eventRow(event), event.why_not && h("ul", { class: "reasons" }, event.why_not.slice(0, 8).map((reason) => h("li", {}, reason))))));
