// One session while it runs: the live program, who is in, what happens; muting and ending.
import { api } from "./api.js";
import { moveCamera } from "./camera.js";
import { ask, button, chip, fault, faultBox, h, icon, level, mark, put, setChip } from "./dom.js";
import { alarming, milestones, sentence, sessionOf, startedBy } from "./events.js";
import { clock, duration, number } from "./format.js";
import { has, t } from "./texts.js";
import { Viewer } from "./whep.js";

const EVENTS = 200;
/** The picture survives a change of the page's language: the new page takes it over within this time. */
const HAND_OVER_MS = 300;
let stage = null;

function takeStage(id) {
  if (stage && stage.id === id) {
    clearTimeout(stage.ending);
    return stage;
  }
  stage?.viewer?.end();
  const video = h("video", { id: "live", autoplay: true, playsinline: true });
  video.muted = true;
  stage = { id, video, viewer: null, state: "connecting", detail: "", changed: () => {} };
  return stage;
}

export function sessionPage(main, live, id) {
  const nameOf = (code) => live.nameOf(code);
  const picture = takeStage(id);
  const { video } = picture;
  video.setAttribute("aria-label", t("live.program"));
  let session = null;
  let stopping = false;
  let closed = false;

  const title = h("h1", {}, "…");
  const state = chip("", "");
  const stop = button(t("session.stop"), end, { kind: "danger", glyph: "stop", id: "stop" });
  const record = h("span", { class: "on-record", id: "on-record", role: "status" }, h("span", { class: "rec", "aria-hidden": "true" }), h("span", {}, ""));
  const waiting = h("div", { class: "stage-says", role: "status" });
  const soundText = h("span", {}, "");
  const soundIcons = [icon("soundoff"), icon("sound")];
  const sound = h("button", { type: "button", class: "small", id: "sound", onclick: () => {
    video.muted = !video.muted;
    showSound();
  } }, soundIcons, soundText);
  const full = button(t("live.fullscreen"), () => (document.fullscreenElement ? document.exitFullscreen() : frame.requestFullscreen()), { kind: "small", glyph: "full" });
  const layout = h("select", { id: "layout", "aria-label": t("session.layout"), onchange: () => layOut({ layout: layout.value }) });
  api.layouts().then((names) => {
    layout.replaceChildren(...names.map((name) => h("option", { value: name }, has(`layout.${name}`) ? t(`layout.${name}`) : name)));
    update();
  }, fault);
  const follow = h("input", { type: "checkbox", id: "follow", onchange: () => layOut({ follow: follow.checked }) });
  const followRow = h("label", { class: "check" }, follow, t("session.follow"));
  const program = h("select", { id: "program", "aria-label": t("session.program"), onchange: () => update() },
    ["main", "officials", "interpreters"].map((name) => h("option", { value: name }, t(`program.${name}`))));
  const programOn = h("button", { type: "button", class: "small", id: "program-on", onclick: () => order(() => api.switchProgram(id, program.value, !orders())) }, t("session.program_on"));
  const programRecorded = h("button", { type: "button", class: "small", id: "program-recorded", onclick: () => order(() => api.recordProgram(id, program.value)) }, t("session.program_recorded"));
  const programRow = h("div", { class: "row" }, program, programOn, programRecorded);
  /** What was ordered of the chosen program; undefined while there is no such program. */
  const orders = () => (program.value === "main" ? session : session.programs?.[program.value]);
  const floorText = h("span", { class: "quiet", id: "floor-text" }, "");
  const floorOpen = h("button", { type: "button", class: "small", id: "floor-open", onclick: () => order(() => api.floor(id, [])) }, t("session.floor_open_again"));
  const frame = h("div", { class: "stage" }, video, waiting);
  const ended = h("div", { class: "banner ended", hidden: true }, h("span", { class: "banner-text" }), h("a", { class: "button primary", id: "to-record", href: `#/records/${encodeURIComponent(id)}` }, t("session.to_record")));

  const facts = Object.fromEntries(["elapsed", "started_at", "started_by"].map((name) => [name, h("dd", { id: `fact-${name}` }, "–")]));
  const shed = h("p", { class: "banner shed", role: "status", hidden: true });
  const siteList = h("ul", { class: "members" });
  const members = new Map();
  const events = h("ol", { class: "events" });
  const noEvents = h("p", { class: "empty" }, t("session.events_none"));
  let shownEvents = "";

  const page = h("div", { class: "session" },
    h("div", { class: "page-head" },
      h("div", {}, h("div", { class: "row" }, h("a", { class: "back", href: "#/sessions" }, icon("back"), t("session.back")), h("span", { class: "quiet", title: t("session.id") }, id)), h("div", { class: "title-row" }, title, record, state)),
      h("div", { class: "actions" }, stop)),
    ended,
    h("div", { class: "session-grid" },
      h("div", { class: "session-left" }, frame,
        h("div", { class: "card under" },
          shed, h("dl", { class: "facts" }, Object.entries(facts).map(([name, node]) => h("div", {}, h("dt", {}, t(`session.${name}`)), node))),
          programRow, h("div", { class: "row" }, layout, followRow, sound, full))),
      h("div", { class: "session-right" },
        h("section", { class: "card" }, h("h2", {}, t("session.sites")), h("div", { class: "row" }, floorText, floorOpen), siteList),
        h("section", { class: "card" }, h("h2", {}, t("session.events")), noEvents, events))));
  main.append(page);
  if (video.srcObject) video.play().catch(() => {});

  picture.changed = () => {
    const text = { connecting: t("live.connecting"), waiting: t("live.waiting"), retry: t("live.retry", picture.detail) }[picture.state] ?? "";
    put(waiting, session?.state === "ended" ? t("session.state.ended") : text);
    waiting.hidden = waiting.textContent === "";
    mark(frame, "data-state", picture.state);
  };
  picture.changed();

  function showSound() {
    put(soundText, video.muted ? t("live.sound_on") : t("live.sound_off"));
    mark(sound, "aria-pressed", String(!video.muted));
    soundIcons[0].classList.toggle("gone", !video.muted);
    soundIcons[1].classList.toggle("gone", video.muted);
  }
  showSound();

  async function order(send) {
    try {
      await send();
    } catch (error) {
      fault(error);
      update();
    }
  }
  const layOut = (change) => order(() => api.layOut(id, { program: program.value, ...change }));

  async function end() {
    if (!session || !(await ask(t("session.stop"), t("session.stop_ask", session.sites.length), t("session.stop_yes"), t("session.stop_no")))) return;
    stopping = true;
    update();
    try {
      await api.stop(id);
    } catch (error) {
      fault(error);
    }
    stopping = false;
    update();
  }

  function member(site) {
    const up = chip("", "");
    const meter = level(t("sites.mic_level", site.name));
    const figures = h("span", { class: "quiet" });
    const muteText = h("span", {}, "");
    const icons = [icon("mic"), icon("micoff")];
    let current = site;
    const mute = h("button", { type: "button", class: "mute", onclick: async () => {
      mute.disabled = true;
      try {
        await api.mute(id, site.code, !current.muted);
      } catch (error) {
        fault(error);
      }
      mute.disabled = false;
    } }, icons, muteText);
    const pin = h("button", { type: "button", class: "pin", onclick: () => layOut({ front: orders()?.front === site.code ? null : site.code }) }, t("session.pin"));
    const of = (change) => order(() => api.stageSite(id, { site: site.code, ...change }));
    const spotlight = h("button", { type: "button", class: "spotlight", onclick: () => layOut({ spotlight: orders()?.spotlight === site.code ? null : site.code }) }, t("session.spotlight"));
    const floor = h("button", { type: "button", class: "floor", onclick: () => {
      const now = session.floor ?? [];
      order(() => api.floor(id, now.includes(site.code) ? now.filter((code) => code !== site.code) : [...now, site.code]));
    } }, t("session.floor"));
    const hide = h("button", { type: "button", class: "hide", onclick: () => of({ hidden: !current.hidden }) }, t("session.hidden"));
    const camera = h("button", { type: "button", class: "camera-of", onclick: () => moveCamera(site) }, t("camera.title"));
    const role = h("select", { class: "role", "aria-label": t("session.role"), onchange: () => of({ role: role.value }) },
      ["ordinary", "chair", "official", "interpreter", "document"].map((name) => h("option", { value: name }, t(`role.${name}`))));
    const gainText = h("span", {}, "");
    const gain = h("input", { type: "range", class: "gain", min: "-30", max: "12", step: "1", onchange: () => of({ gain_db: Number(gain.value) }) });
    const more = h("details", { class: "member-more" }, h("summary", { "aria-label": t("session.more_of", site.name) }, "⋯"),
      h("div", { class: "row" }, spotlight, floor, hide, camera, role), h("label", { class: "row" }, gainText, gain));
    const sound = h("div", { class: "member-sound" }, meter.node, pin, mute);
    const node = h("li", { "data-site": site.code },
      h("div", { class: "member-name" }, h("span", { class: "strong" }, site.name), up),
      sound, figures, more);
    const show = (next) => {
      current = next;
      const over = session?.state === "ended";
      up.hidden = over;
      setChip(up, next.up ? "online" : "lost", next.up ? t("session.site_up") : t("session.site_down"));
      meter.set(next.up && !over ? next.dbfs : null, next.muted);
      put(figures, [next.code, over || next.fps === null || next.fps === undefined ? null : t("sites.fps", number(next.fps, 1)), next.muted ? t("sites.muted") : next.up && !over && next.dbfs !== null && next.dbfs !== undefined ? `${number(next.dbfs)} dBFS` : null].filter(Boolean).join(" · "));
      const label = next.muted ? t("session.unmute_of", next.name) : t("session.mute_of", next.name);
      put(muteText, next.muted ? t("session.unmute") : t("session.mute"));
      mark(mute, "aria-label", label);
      mark(mute, "aria-pressed", String(Boolean(next.muted)));
      const pinned = orders()?.front === next.code;
      mark(pin, "aria-label", t(pinned ? "session.unpin_of" : "session.pin_of", next.name));
      mark(pin, "aria-pressed", String(pinned));
      mark(spotlight, "aria-pressed", String(orders()?.spotlight === next.code));
      mark(floor, "aria-pressed", String((session.floor ?? []).includes(next.code)));
      mark(hide, "aria-pressed", String(Boolean(next.hidden)));
      if (document.activeElement !== role) role.value = next.role;
      if (document.activeElement !== gain) gain.value = String(next.gain_db);
      put(gainText, t("session.gain", number(next.gain_db)));
      more.hidden = over;
      icons[0].classList.toggle("gone", Boolean(next.muted));
      icons[1].classList.toggle("gone", !next.muted);
      sound.hidden = over;
    };
    return { node, show };
  }

  async function readEvents() {
    if (!session || closed || live.state === "lost") return;
    let entries;
    try {
      entries = await api.events(EVENTS);
    } catch {
      return; // the bar for a lost connection says it; the list stays as it was
    }
    const here = new Set(session.sites.map((site) => site.code));
    const until = (session.ended_at_ms ?? Infinity) + 10_000;
    const rows = milestones(session, nameOf).map(([at, text]) => ({ at, text, who: t("event.centre"), alarm: false }));
    for (const entry of entries) {
      const named = sessionOf(entry.event);
      const during = entry.at_ms >= session.origin_ms - 15_000 && entry.at_ms <= until;
      if (named ? named !== id : !during || (entry.site && !here.has(entry.site))) continue;
      rows.push({ at: entry.at_ms, text: sentence(entry.event, nameOf), who: entry.site ? nameOf(entry.site) : entry.appliance ?? "", alarm: alarming(entry.event) });
    }
    rows.sort((a, b) => b.at - a.at);
    const key = JSON.stringify(rows);
    if (key === shownEvents) return;
    shownEvents = key;
    noEvents.hidden = rows.length > 0;
    events.replaceChildren(...rows.map((row) => h("li", { class: row.alarm ? "alarm" : "" },
      h("time", {}, clock(row.at)), h("div", {}, h("span", { class: "who" }, row.who), h("span", {}, row.text)))));
  }
  const eventTimer = setInterval(readEvents, 2500);

  function update() {
    const found = live.sessions.find((one) => one.id === id) ?? session;
    if (!found) return;
    const first = session === null;
    session = found;
    const over = session.state === "ended";
    put(title, t("session.title", nameOf(session.caller)));
    setChip(state, over ? "never" : session.state === "running" ? "online" : "busy", t(`session.state.${session.state}`));
    document.title = `${title.textContent} · Bridgepoint`;
    mark(record, "class", session.on_record && !over ? "on-record on" : "on-record");
    put(record.lastChild, session.on_record && !over ? t("session.on_record") : t("session.not_on_record"));
    record.hidden = over;
    state.hidden = session.state === "running"; // the sign beside it says more
    stop.hidden = over;
    layout.hidden = over;
    const made = orders();
    programRow.hidden = over || (session.most_programs ?? 1) < 2;
    mark(programOn, "aria-pressed", String(Boolean(made)));
    programOn.disabled = program.value === "main";
    mark(programRecorded, "aria-pressed", String(session.recorded === program.value));
    for (const control of [layout, follow, programRecorded]) control.disabled = !made;
    if (made?.layout && document.activeElement !== layout) layout.value = made.layout;
    follow.checked = Boolean(made?.follow);
    followRow.hidden = over;
    const speakers = session.floor ?? [];
    put(floorText, speakers.length === 0 ? t("session.floor_open") : `${t("session.floor")}: ${speakers.map(nameOf).join(", ")}`);
    floorText.hidden = over;
    floorOpen.hidden = over || speakers.length === 0;
    stop.disabled = stopping;
    put(stop.lastChild, stopping ? t("session.stopping") : t("session.stop"));
    ended.hidden = !over;
    if (over) put(ended.firstChild, t("session.ended", clock(session.ended_at_ms ?? live.now())));
    put(facts.elapsed, duration((over ? session.ended_at_ms ?? live.now() : live.now()) - session.origin_ms));
    const without = over ? "nothing" : session.figures?.shed ?? "nothing";
    shed.hidden = without === "nothing";
    put(shed, shed.hidden ? "" : t(`session.shed.${without}`));
    put(facts.started_at, clock(session.origin_ms));
    put(facts.started_by, startedBy(session, nameOf));
    for (const site of session.sites) {
      if (!members.has(site.code)) {
        members.set(site.code, member(site));
        siteList.append(members.get(site.code).node);
      }
      members.get(site.code).show(site);
    }
    if (over) picture.viewer?.end();
    else if (!picture.viewer && session.state === "running") { // before, there is no program to watch
      picture.viewer = new Viewer(video, id, (next, detail) => {
        picture.state = next;
        picture.detail = detail;
        picture.changed();
      });
    }
    picture.changed();
    if (first) readEvents();
  }

  // A session older than what the live stream tells: ask for it.
  const asking = setTimeout(async () => {
    if (session) return;
    try {
      session = await api.session(id);
      update();
      readEvents();
    } catch (error) {
      if (!closed && !session) main.replaceChildren(faultBox(error.status === 404 ? { what: t("session.gone"), cure: "" } : error, null), h("a", { href: "#/sessions" }, t("session.back")));
    }
  }, 1500);

  return {
    update,
    close() {
      closed = true;
      clearTimeout(asking);
      clearInterval(eventTimer);
      picture.changed = () => {};
      picture.ending = setTimeout(() => {
        picture.viewer?.end();
        if (stage === picture) stage = null;
      }, HAND_OVER_MS);
    },
  };
}
