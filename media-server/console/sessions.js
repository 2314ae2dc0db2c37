// Phiên: what runs, and starting a new session.
import { api } from "./api.js";
import { chip, faultNodes, h, mark, put, setChip } from "./dom.js";
import { duration, moment } from "./format.js";
import { startedBy } from "./events.js";
import { plannedCard } from "./planned.js";
import { banners } from "./sites.js";
import { t } from "./texts.js";

/** Nobody talks alone. */
const FEWEST = 2;

export function sessionsPage(main, live) {
  const running = h("div", { class: "banners" });
  const list = h("div", { class: "picks" });
  const says = h("div", { class: "form-says", role: "alert" });
  const hint = h("p", { class: "empty", hidden: true }, t("sessions.none_online"));
  const start = h("button", { type: "submit", class: "primary big", id: "start" }, t("sessions.start"));
  const recent = h("ul", { class: "recent" });
  const recentCard = h("section", { class: "card", hidden: true }, h("h2", {}, t("sessions.recent")), recent);
  /** What the person has decided: code → chosen. Sites not in it follow the rule *online and free*. */
  const decided = new Map();
  const picks = new Map();
  let starting = false;

  const free = (site) => site.state === "online" && !site.session;
  const chosen = () => live.sites.filter((site) => free(site) && (decided.get(site.code) ?? true)).map((site) => site.code);
  const all = (on) => () => {
    for (const site of live.sites) decided.set(site.code, on);
    update();
  };

  const form = h("form", {
    class: "card",
    onsubmit: async (event) => {
      event.preventDefault();
      says.replaceChildren();
      const sites = chosen();
      if (sites.length < FEWEST) {
        put(says, t("sessions.need_two"));
        return;
      }
      starting = true;
      update();
      try {
        const session = await api.start(sites);
        location.hash = `#/sessions/${encodeURIComponent(session.id)}`;
      } catch (error) {
        says.replaceChildren(...faultNodes(error));
      }
      starting = false;
      update();
    },
  },
  h("h2", {}, t("sessions.new")), h("p", { class: "quiet" }, t("sessions.choose")),
  h("div", { class: "row" },
    h("button", { type: "button", class: "small", onclick: all(true) }, t("sessions.all")),
    h("button", { type: "button", class: "small", onclick: all(false) }, t("sessions.no_one"))),
  hint, list, says, h("div", { class: "actions start" }, start));

  const planned = plannedCard(live);

  main.append(h("div", { class: "page-head" }, h("h1", {}, t("sessions.title"))), running, form, planned.node, recentCard);

  function pick(site) {
    const box = h("input", { type: "checkbox", value: site.code, onchange: () => {
      decided.set(site.code, box.checked);
      update();
    } });
    const state = chip(site.state, "");
    const node = h("label", { class: "pick", "data-site": site.code }, box, h("span", { class: "pick-name" }, h("span", { class: "strong" }, site.name), h("span", { class: "quiet" }, site.code)), state);
    return { node, box, state };
  }

  function update() {
    banners(running, live);
    const sites = [...live.sites].sort((a, b) => a.name.localeCompare(b.name, "vi"));
    for (const site of sites) {
      if (!picks.has(site.code)) {
        picks.set(site.code, pick(site));
        list.append(picks.get(site.code).node);
      }
      const { node, box, state } = picks.get(site.code);
      box.disabled = !free(site);
      box.checked = free(site) && (decided.get(site.code) ?? true);
      node.classList.toggle("disabled", box.disabled);
      if (site.session && site.state === "online") setChip(state, "busy", t("sessions.busy"));
      else setChip(state, site.state, t(`state.${site.state}`));
    }
    const count = chosen().length;
    hint.hidden = !live.known || sites.some(free);
    start.disabled = starting || count === 0 || !live.known || live.state === "lost";
    put(start, starting ? t("sessions.starting") : count > 0 ? t("sessions.start_n", count) : t("sessions.start"));
    planned.update();
    showRecent();
  }

  function showRecent() {
    const ended = live.sessions.filter((session) => session.state === "ended").sort((a, b) => b.origin_ms - a.origin_ms).slice(0, 5);
    recentCard.hidden = ended.length === 0;
    mark(recentCard, "data-count", ended.length);
    if (recent.dataset.ids === ended.map((session) => session.id).join()) return;
    recent.dataset.ids = ended.map((session) => session.id).join();
    recent.replaceChildren(...ended.map((session) => h("li", {},
      h("a", { href: `#/records/${encodeURIComponent(session.id)}` }, t("session.title", live.nameOf(session.caller))),
      h("span", { class: "quiet" }, `${moment(session.origin_ms)} · ${session.ended_at_ms ? duration(session.ended_at_ms - session.origin_ms) : ""} · ${startedBy(session, (code) => live.nameOf(code))}`))));
  }
  return { update };
}
