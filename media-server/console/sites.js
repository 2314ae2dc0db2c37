// Điểm cầu: every box with its figures, live; adding a site, its enrolment code, whom its button calls, WHIP.
import { api } from "./api.js";
import { cameraPart } from "./camera.js";
import { reportPart } from "./report.js";
import { loudspeakerPart } from "./loudspeaker.js";
import { soundTestPart } from "./soundtest.js";
import { button, chip, dialog, fault, faultNodes, h, level, mark, notice, put, setChip } from "./dom.js";
import { age, bytes, duration, moment, number, plain } from "./format.js";
import { t } from "./texts.js";

const COLUMNS = ["site", "state", "link", "fps", "mic", "cpu", "disk", "clock", "version"];
const MIB = 1024 * 1024;

export function sitesPage(main, live) {
  const counts = h("p", { class: "counts" });
  const search = h("input", { type: "search", class: "search", placeholder: t("sites.search"), "aria-label": t("sites.search"), oninput: () => update() });
  const banner = h("div", { class: "banners" });
  const body = h("tbody");
  const empty = h("p", { class: "empty", hidden: true });
  const table = h("table", { class: "sites" },
    h("thead", {}, h("tr", {}, COLUMNS.map((name) => h("th", { scope: "col", class: `c-${name}` }, t(`sites.col.${name}`))),
      h("th", { class: "c-act" }, h("span", { class: "unseen" }, t("sites.manage"))))),
    body);
  const rows = new Map();

  main.append(
    h("div", { class: "page-head" },
      h("div", {}, h("h1", {}, t("sites.title")), counts),
      h("div", { class: "actions" }, search,
        button(t("sites.add"), () => addSite(live), { glyph: "plus", id: "add-site" }),
        h("a", { class: "button primary", href: "#/sessions" }, t("sessions.start")))),
    banner, h("div", { class: "card flush" }, table, empty));

  function update() {
    const wanted = plain(search.value.trim());
    const sites = [...live.sites].sort((a, b) => a.name.localeCompare(b.name, "vi"));
    const shown = sites.filter((site) => plain(`${site.name} ${site.code}`).includes(wanted));
    const count = (state) => sites.filter((site) => site.state === state).length;
    const parts = [t("sites.online", count("online")), t("sites.lost", count("lost"))];
    if (count("never") > 0) parts.push(t("sites.never", count("never")));
    put(counts, live.known ? parts.join(" · ") : t("app.loading"));
    empty.hidden = shown.length > 0 || !live.known;
    table.hidden = shown.length === 0;
    put(empty, sites.length === 0 ? t("sites.none") : t("sites.nomatch"));
    banners(banner, live);
    const keep = new Set(shown.map((site) => site.code));
    for (const [code, row] of rows) {
      if (!keep.has(code)) {
        row.node.remove();
        rows.delete(code);
      }
    }
    shown.forEach((site, place) => {
      let row = rows.get(site.code);
      if (!row) {
        row = siteRow(live, site);
        rows.set(site.code, row);
      }
      if (body.children[place] !== row.node) body.insertBefore(row.node, body.children[place] ?? null);
      row.update(site);
    });
  }
  return { update };
}

/** One line for each running session, with the way into it. */
export function banners(node, live) {
  const running = live.sessions.filter((session) => session.state !== "ended");
  const have = new Map([...node.children].map((child) => [child.dataset.session, child]));
  for (const [id, child] of have) if (!running.some((session) => session.id === id)) child.remove();
  for (const session of running) {
    let line = have.get(session.id);
    if (!line) {
      line = h("div", { class: "banner", "data-session": session.id }, h("span", { class: "rec", "aria-hidden": "true" }), h("span", { class: "banner-text" }),
        h("a", { class: "button", href: `#/sessions/${encodeURIComponent(session.id)}` }, t("sessions.open")));
      node.append(line);
    }
    mark(line.firstChild, "class", session.on_record ? "rec on" : "rec");
    put(line.children[1], `${t("sessions.banner", session.sites.length, duration(live.now() - session.origin_ms))} · ${session.on_record ? t("session.on_record") : t("session.not_on_record")}`);
  }
}

function siteRow(live, first) {
  const cells = Object.fromEntries(COLUMNS.map((name) => [name, h("td", { class: `c-${name}`, "data-label": t(`sites.col.${name}`) })]));
  const line = (kind) => h("div", { class: kind });
  const name = line("strong");
  const code = h("span", { class: "quiet" });
  const inSession = h("a", { class: "in-session", hidden: true }, t("sites.in_session"));
  cells.site.append(name, h("div", { class: "row tight" }, code, inSession));
  const state = chip("", "");
  const since = line("quiet age");
  cells.state.append(state, since);
  const delay = line("");
  const rate = line("quiet");
  cells.link.append(delay, rate);
  const meter = level(t("sites.mic_level", first.name));
  const said = line("quiet");
  cells.mic.append(meter.node, said);
  const used = line("");
  const free = line("quiet");
  cells.disk.append(used, free);
  let current = first;
  const act = h("td", { class: "c-act" }, button(t("sites.manage"), () => manage(live, current), { kind: "small", "aria-label": t("sites.manage_of", first.name) }));
  const node = h("tr", { "data-site": first.code }, Object.values(cells), act);

  function update(site) {
    current = site;
    const health = site.state === "never" ? null : site.health;
    const link = health?.link ?? null;
    mark(node, "class", site.state);
    put(name, site.name);
    put(code, site.code);
    setChip(state, site.state, t(`state.${site.state}`));
    const old = live.ageOf(site);
    put(since, old === null ? "" : t("sites.age", age(old)));
    put(delay, !link ? t("sites.none_value") : link.up ? `${t("sites.link.rtt", number(link.rtt_ms))} · ${t("sites.link.loss", number(link.loss_percent, 1))}` : t("sites.link.down"));
    put(rate, link ? t("sites.link.rate", number(link.up_kbps), number(link.down_kbps)) : "");
    cells.link.classList.toggle("warn", Boolean(link) && (!link.up || link.loss_percent > 2));
    const fps = health?.encoder_fps;
    put(cells.fps, fps === null || fps === undefined ? t("sites.none_value") : t("sites.fps", number(fps, 1)));
    const dbfs = site.state === "online" ? health?.mic_dbfs ?? null : null;
    meter.set(dbfs, site.muted);
    put(said, site.muted ? t("sites.muted") : dbfs === null ? "" : `${number(dbfs)} dBFS`);
    put(cells.cpu, health ? `${number(health.cpu_percent)} %` : t("sites.none_value"));
    put(used, health ? `${number(health.disk_used_percent)} %` : t("sites.none_value"));
    put(free, health ? t("sites.disk_free", bytes(health.disk_free_mib * MIB)) : "");
    cells.disk.classList.toggle("warn", Boolean(health) && health.disk_used_percent > 90);
    const off = health?.clock_offset_ms;
    put(cells.clock, off === null || off === undefined ? t("sites.none_value") : `${off > 0 ? "+" : ""}${number(off)} ms`);
    cells.clock.classList.toggle("warn", Math.abs(off ?? 0) > 100);
    put(cells.version, site.version || health?.version || t("sites.none_value"));
    inSession.hidden = !site.session;
    if (site.session) mark(inSession, "href", `#/sessions/${encodeURIComponent(site.session)}`);
  }
  return { node, update };
}

/** A form in a dialog: `fields` are nodes, `act` does it; a failure stays in the dialog. */
function formDialog(title, fields, submit, act) {
  return dialog(title, (close) => {
    const says = h("div", { class: "form-says", role: "alert" });
    const send = h("button", { type: "submit", class: "primary" }, submit);
    const form = h("form", {
      onsubmit: async (event) => {
        event.preventDefault();
        send.disabled = true;
        says.replaceChildren();
        try {
          await act();
          close(true);
        } catch (error) {
          says.replaceChildren(...faultNodes(error));
          send.disabled = false;
        }
      },
    }, fields, says, h("div", { class: "actions" }, button(t("app.cancel"), () => close()), send));
    return [form];
  });
}

async function addSite(live) {
  const code = h("input", { id: "new-code", required: true, pattern: "[0-9A-Za-z][0-9A-Za-z\\-]{0,31}", inputmode: "numeric", autocomplete: "off", "aria-describedby": "new-code-help" });
  const name = h("input", { id: "new-name", required: true, maxlength: "80", autocomplete: "off" });
  const added = await formDialog(t("sites.add"), [
    h("label", { for: "new-code" }, t("add.code")), code, h("p", { class: "quiet help", id: "new-code-help" }, t("add.code_help")),
    h("label", { for: "new-name" }, t("add.name")), name,
  ], t("add.submit"), () => api.addSite(code.value.trim(), name.value.trim()));
  if (!added) return;
  const known = live.sites.find((site) => site.code === code.value.trim());
  manage(live, known ?? { code: code.value.trim(), name: name.value.trim(), appliance: null, calls: [] });
  notice(t("add.done", name.value.trim()), "good");
}

/** A value to be read, copied or typed elsewhere. */
function secret(label, value, kind = "") {
  return h("div", { class: `secret ${kind}` }, h("span", { class: "quiet" }, label), h("output", {}, value),
    button(t("app.copy"), async () => {
      await navigator.clipboard?.writeText(value).catch(() => {});
      notice(t("app.copied"));
    }, { kind: "small" }));
}

function manage(live, site) {
  return dialog(t("sites.manage_of", `${site.name} (${site.code})`), (close) => [
    site.appliance ? cameraPart(site) : null, enrolPart(site), reportPart(site), site.health?.loudspeaker ? loudspeakerPart(site) : null, site.appliance ? soundTestPart(site) : null, callsPart(live, site), whipPart(site),
    h("div", { class: "actions" }, button(t("app.close"), () => close(), { kind: "primary" })),
  ].filter(Boolean), { wide: true });
}

function enrolPart(site) {
  const shown = h("div", { "aria-live": "polite" });
  const make = button(t("manage.enrol_make"), async () => {
    make.disabled = true;
    try {
      const { code, expires_at_ms: expires } = await api.makeCode(site.code);
      shown.replaceChildren(secret(t("manage.enrol_code", site.name), code, "code"), h("p", { class: "quiet" }, t("manage.enrol_expires", moment(expires))));
    } catch (error) {
      fault(error);
    }
    make.disabled = false;
  }, { id: "make-code" });
  return h("section", {}, h("h3", {}, t("manage.enrol")), h("p", { class: "quiet" }, t("manage.enrol_help")),
    site.appliance ? h("p", { class: "hint" }, t("manage.enrol_replaces", site.appliance)) : null, shown, make);
}

function callsPart(live, site) {
  const others = live.sites.filter((other) => other.code !== site.code).sort((a, b) => a.name.localeCompare(b.name, "vi"));
  const boxes = others.map((other) => h("input", { type: "checkbox", value: other.code, checked: (site.calls ?? []).includes(other.code) }));
  const save = button(t("app.save"), async () => {
    save.disabled = true;
    try {
      await api.setCalls(site.code, boxes.filter((box) => box.checked).map((box) => box.value));
      notice(t("manage.calls_saved", site.name), "good");
    } catch (error) {
      fault(error);
    }
    save.disabled = false;
  });
  return h("section", {}, h("h3", {}, t("manage.calls")), h("p", { class: "quiet" }, t("manage.calls_help")),
    others.length === 0 ? h("p", {}, t("manage.calls_nobody")) : [
      h("div", { class: "checks" }, others.map((other, place) => h("label", { class: "check" }, boxes[place], h("span", {}, other.name), h("span", { class: "quiet" }, other.code)))),
      save,
    ]);
}

function whipPart(site) {
  const shown = h("div", { "aria-live": "polite" });
  const act = (work) => async (event) => {
    event.currentTarget.disabled = true;
    const pressed = event.currentTarget;
    try {
      await work();
    } catch (error) {
      fault(error);
    }
    pressed.disabled = false;
  };
  return h("section", {}, h("h3", {}, t("manage.whip")), h("p", { class: "quiet" }, t("manage.whip_help")), shown,
    h("div", { class: "row" },
      button(t("manage.whip_open"), act(async () => {
        const { url, token } = await api.openWhip(site.code);
        shown.replaceChildren(secret(t("manage.whip_url"), new URL(url, location.href).href), secret(t("manage.whip_token"), token));
      })),
      button(t("manage.whip_close"), act(async () => {
        await api.closeWhip(site.code);
        shown.replaceChildren();
        notice(t("manage.whip_closed", site.name));
      }))));
}
