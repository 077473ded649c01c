// The place of the page: view, filters and the open row, all in the address, so that it can be sent to a colleague.

export const VIEWS = {
  problems: "Problems", events: "Events", refused: "Refused", requests: "Requests", faults: "Faults", rules: "Rules",
};
export const FILTERS = ["service", "status", "logger", "exception", "within", "since", "until", "q"];

export function here() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const parameters = new URLSearchParams(query);
  const view = path in VIEWS ? path : "problems";
  const place = { view, open: parameters.get("open") ?? "", before: parameters.get("before") ?? "", filters: {} };
  for (const name of FILTERS) place.filters[name] = parameters.get(name) ?? "";
  return place;
}

export function addressOf({ view, open = "", before = "", filters = {} }) {
  const set = [...FILTERS.map((name) => [name, filters[name]]), ["before", before], ["open", open]].filter(([, value]) => value);
  const query = new URLSearchParams(set).toString();
  return `#/${view}${query ? `?${query}` : ""}`;
}

export const linkTo = (open) => addressOf({ ...here(), open });

export function go(change, { replace = false } = {}) {
  const address = addressOf({ ...here(), ...change });
  if (address === location.hash) return;
  if (replace) {
    history.replaceState(null, "", address);
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else {
    location.hash = address;
  }
}

// The filters as the API has them; "within" is relative to now.
export function asked(filters) {
  const { within, ...rest } = filters;
  return within ? { ...rest, since: (Date.now() / 1000 - Number(within)).toFixed(3) } : rest;
}
