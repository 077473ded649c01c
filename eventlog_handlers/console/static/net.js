// The console's API: answers as values, refusals as errors with their words; and the stream of new rows.

export async function get(path, parameters = {}) {
  return ask(`${path}${queryOf(parameters)}`);
}

export async function ask(path, options = {}) {
  const answer = await fetch(path, { cache: "no-store", ...options });
  if (answer.status === 204) return null;
  const content = await answer.json().catch(() => ({ error: `the console answered ${answer.status}` }));
  if (!answer.ok) throw new Error(content.error ?? `the console answered ${answer.status}`);
  return content;
}

export function post(path, content) {
  return ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(content) });
}

export function queryOf(parameters) {
  const set = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return set.length ? `?${new URLSearchParams(set)}` : "";
}

// One stream at a time: a new one ends the one before. The browser itself connects again after a loss.
let source = null;
export function listen(parameters, onMessage, onState) {
  source?.close();
  const opened = new EventSource(`/api/stream${queryOf(parameters)}`);
  source = opened;
  opened.onopen = () => onState(true);
  opened.onerror = () => { if (source === opened) onState(false); };
  opened.onmessage = (event) => { if (source === opened) onMessage(JSON.parse(event.data)); };
}
