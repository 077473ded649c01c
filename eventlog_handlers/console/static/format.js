// Numbers, times and names as they are read. No element, no request.

// Short names; a service that is not among them gets its title from the console.
export const NAMES = { cms: "CMS", guance: "Guance", cloudwatch: "CloudWatch" };
export const STATUSES = ["critical", "error", "warning", "info", "ok", "nodata"];

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });
const whole = new Intl.NumberFormat("en");

export const count = (number) => whole.format(number);

export function bytes(size) {
  if (size < 1024) return `${size} B`;
  return size < 1024 * 1024 ? `${(size / 1024).toFixed(1)} KiB` : `${(size / 1024 / 1024).toFixed(1)} MiB`;
}

const legible = (seconds) => Number.isFinite(seconds) && Math.abs(seconds) < 8.64e12;

export function iso(seconds) {
  return legible(seconds) ? new Date(seconds * 1000).toISOString() : "";
}

export function when(seconds) {
  if (!legible(seconds)) return `${seconds} s since 1970`;
  const moment = new Date(seconds * 1000);
  const milliseconds = String(moment.getUTCMilliseconds()).padStart(3, "0");
  return `${day.format(moment)}, ${clock.format(moment)}.${milliseconds}`;
}

// "12 s ago", and the time of day where that says more.
export function ago(seconds, now = Date.now() / 1000) {
  if (!legible(seconds)) return "–";
  const past = now - seconds;
  if (past < -5) return "ahead";
  if (past < 2) return "now";
  if (past < 60) return `${Math.floor(past)} s ago`;
  if (past < 3600) return `${Math.floor(past / 60)} min ago`;
  const moment = new Date(seconds * 1000);
  return past < 20 * 3600 ? clock.format(moment) : day.format(moment);
}

export function span(seconds) {
  return { 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h", 21600: "6 h", 86400: "1 day" }[seconds] ?? `${seconds} s`;
}

export function statusOf(request) {
  return request.http_status === null ? "cut" : String(request.http_status);
}
