// Elements out of values. Text is only ever set as text: nothing that an event holds can become markup.

export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

// Puts rows in place of those that are there, keeping elements whose key and content are the same, and the focus.
export function reconcile(list, rows, make) {
  const kept = new Map([...list.children].map((child) => [child.dataset.key, child]));
  const focused = list.contains(document.activeElement) ? document.activeElement.closest("li")?.dataset.key : null;
  const children = rows.map((row) => {
    const before = kept.get(String(row.key));
    if (before && before.dataset.print === row.print) return before;
    const child = make(row, before === undefined);
    child.dataset.key = row.key;
    child.dataset.print = row.print;
    return child;
  });
  if (children.length !== list.children.length || children.some((child, index) => child !== list.children[index])) {
    list.replaceChildren(...children);
  }
  if (focused) {
    const row = [...list.children].find((child) => child.dataset.key === focused);
    row?.querySelector("a, button")?.focus({ preventScroll: true });
  }
}

let toastTimer;
export function toast(text) {
  const place = byId("toast");
  place.textContent = text;
  place.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { place.hidden = true; }, 2500);
}

export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Beyond loopback a page over plain http has no clipboard of that kind.
    const field = h("textarea", { class: "hidden", value: text });
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  toast(`Copied ${what}`);
}
