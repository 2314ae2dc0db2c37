// The server's HTTP interface (docs/ref/http.md). Every failure becomes one kind of error that says what to do.
import { has, lang, t } from "./texts.js";

/** What happened, what it means, what to do. `status` is 0 when the server was not reached. */
export class ApiError extends Error {
  constructor(status, { what, means = "", cure = "", detail = "" }) {
    super(what);
    Object.assign(this, { status, what, means, cure, detail });
  }
}

let onLoggedOut = () => {};
/** `handler` is called when the server no longer knows this login. */
export const whenLoggedOut = (handler) => { onLoggedOut = handler; };

const own = (key, detail) => ({ what: t(`error.${key}.what`), cure: t(`error.${key}.cure`), detail });

/** The server's own words in the language in use if it sent any; else ours, the closest that there are. */
function told(status, body, action) {
  const error = body?.error ?? body;
  const message = body?.message?.[lang()] ?? error;
  if (message?.what) return { what: message.what, means: message.means ?? "", cure: message.cure ?? "" };
  const detail = typeof error === "string" ? error : error?.message ?? "";
  const key = [`${status}.${action}`, String(status), status >= 500 ? "500" : "400"].find((key) => has(`error.${key}.what`));
  return own(key, detail);
}

async function send(method, path, { json, sdp, action = "", keepalive = false } = {}) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-Requested-With"] = "bridgepoint";
  let body;
  if (json !== undefined) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(json);
  } else if (sdp !== undefined) {
    headers["Content-Type"] = "application/sdp";
    headers.Accept = "application/sdp";
    body = sdp;
  }
  let response;
  try {
    response = await fetch(path, { method, headers, body, keepalive, credentials: "same-origin", cache: "no-store" });
  } catch (cause) {
    throw new ApiError(0, own("network", ""));
  }
  if (response.ok) return response;
  const text = await response.text().catch(() => "");
  let parsed = text;
  try {
    parsed = JSON.parse(text);
  } catch { /* a plain text is a detail */ }
  const error = new ApiError(response.status, told(response.status, parsed, action));
  if (response.status === 401 && path !== "/api/login") onLoggedOut();
  throw error;
}

async function json(method, path, body, action) {
  const response = await send(method, path, { json: body, action });
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

const at = encodeURIComponent;

export const api = {
  login: (user, password) => json("POST", "/api/login", { user, password }),
  logout: () => json("POST", "/api/logout"),
  me: () => json("GET", "/api/me"),
  sites: () => json("GET", "/api/sites"),
  addSite: (code, name) => json("POST", "/api/sites", { code, name }, "add"),
  makeCode: (site) => json("POST", `/api/sites/${at(site)}/code`),
  reports: (site) => json("GET", `/api/sites/${at(site)}/reports`),
  soundTests: (site) => json("GET", `/api/sites/${at(site)}/sound-tests`),
  testSound: (site, install) => json("POST", `/api/sites/${at(site)}/sound-test`, { install }),
  setLoudspeaker: (site, volume) => json("PUT", `/api/sites/${at(site)}/loudspeaker`, volume),
  planned: () => json("GET", "/api/planned"),
  plan: (at_ms, title, sites) => json("POST", "/api/planned", { at_ms, title, sites }),
  unplan: (id) => json("DELETE", `/api/planned/${id}`),
  setCalls: (site, calls) => json("PUT", `/api/sites/${at(site)}/calls`, calls),
  moveCamera: (site, action) => json("POST", `/api/sites/${at(site)}/camera`, action),
  openWhip: (site) => json("POST", `/api/sites/${at(site)}/whip`),
  closeWhip: (site) => json("DELETE", `/api/sites/${at(site)}/whip`),
  start: (sites) => json("POST", "/api/sessions", { sites }, "start"),
  session: (id) => json("GET", `/api/sessions/${at(id)}`),
  stop: (id) => json("POST", `/api/sessions/${at(id)}/stop`),
  layouts: () => json("GET", "/api/layouts"),
  stageSite: (id, change) => json("POST", `/api/sessions/${at(id)}/site`, change),
  floor: (id, sites) => json("POST", `/api/sessions/${at(id)}/floor`, { sites }),
  switchProgram: (id, program, on) => json("POST", `/api/sessions/${at(id)}/program`, { program, on }),
  recordProgram: (id, program) => json("POST", `/api/sessions/${at(id)}/recorded`, { program }),
  layOut: (id, change) => json("POST", `/api/sessions/${at(id)}/layout`, change),
  mute: (id, site, on) => json("POST", `/api/sessions/${at(id)}/mute`, { site, on }),
  records: () => json("GET", "/api/records"),
  verify: (id) => json("POST", `/api/records/${at(id)}/verify`),
  events: (limit) => json("GET", `/api/events?limit=${limit}`),
  fileUrl: (id, name) => `/api/records/${at(id)}/files/${name.split("/").map(at).join("/")}`,
  /** WHEP: sends an offer; gives the answer and the address that ends it. */
  async watch(id, offer) {
    const response = await send("POST", `/api/whep/${at(id)}`, { sdp: offer });
    return { answer: await response.text(), location: response.headers.get("Location") };
  },
  unwatch: (location) => send("DELETE", location, { keepalive: true }),
};
