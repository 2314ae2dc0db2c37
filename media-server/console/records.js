// Bản ghi: ended sessions; playing a record's files and checking its integrity.
import { api } from "./api.js";
import { button, chip, fault, faultBox, h, icon, mark, put, setChip } from "./dom.js";
import { startedBy } from "./events.js";
import { bytes, duration, moment } from "./format.js";
import { t } from "./texts.js";

/** The verdict in a word: the server's state of a record, or a report's verdict (`"intact"`, `{ "not-anchored": … }`). */
function verdictOf(value) {
  const word = (typeof value === "string" ? value : Object.keys(value ?? {})[0] ?? "").toLowerCase().replaceAll("-", " ");
  const known = { intact: "intact", "not anchored": "not_anchored", unfinished: "unfinished", "": "unknown" };
  return known[word] ?? "damaged";
}
const KIND = { intact: "online", not_anchored: "busy", unfinished: "busy", damaged: "lost", unknown: "never" };
const verdictChip = (verdict) => chip(KIND[verdict], t(`verify.${verdict}`));

/** A file's name for people; the name itself stands beside it. */
function label(file, nameOf) {
  const { name } = file;
  const site = name.match(/^site-(.+?)(?:\.(\d+))?\.mp4$/);
  const program = name.match(/^program(?:\.(\d+))?\.mp4$/);
  const repair = name.match(/^repair\/site-(.+?)\.(\d+)\.mp4$/);
  const part = (text, n) => (n ? t("record.part", text, n) : text);
  if (program) return part(t("record.program"), program[1]);
  if (repair) return t("record.repair", nameOf(repair[1]), repair[2]);
  if (site) return part(t("record.site", nameOf(site[1])), site[2]);
  return { "journal.jsonl": t("record.journal"), "session.json": t("record.session"), "seal.json": t("record.seal"), "access.jsonl": t("record.access") }[name] ?? name;
}
const playable = (file) => /\.mp4$/.test(file.name);

export function recordsPage(main, live) {
  const body = h("div", {}, h("p", { class: "empty" }, t("app.loading")));
  main.append(h("div", { class: "page-head" }, h("div", {}, h("h1", {}, t("records.title")), h("p", { class: "quiet" }, t("records.help")))), body);
  const nameOf = (code) => live.nameOf(code);
  let endedCount = -1;

  async function load() {
    let records;
    try {
      records = await api.records();
    } catch (error) {
      body.replaceChildren(faultBox(error, load));
      return;
    }
    if (records.length === 0) {
      body.replaceChildren(h("p", { class: "card empty" }, t("records.none")));
      return;
    }
    records.sort((a, b) => b.origin_ms - a.origin_ms);
    const columns = ["when", "caller", "sites", "length", "size", "verify"];
    body.replaceChildren(h("div", { class: "card flush" }, h("table", { class: "records" },
      h("thead", {}, h("tr", {}, columns.map((name) => h("th", { scope: "col" }, t(`records.col.${name}`))), h("th", {}, h("span", { class: "unseen" }, t("records.open"))))),
      h("tbody", {}, records.map((record) => {
        const cell = (name, ...content) => h("td", { class: `r-${name}`, "data-label": t(`records.col.${name}`) }, content);
        const href = `#/records/${encodeURIComponent(record.id)}`;
        return h("tr", { "data-record": record.id },
          cell("when", h("a", { class: "strong", href }, moment(record.origin_ms)), h("div", { class: "quiet" }, record.id)),
          cell("caller", h("div", {}, nameOf(record.caller)), h("div", { class: "quiet" }, startedBy(record, nameOf))),
          cell("sites", record.sites.map((site) => site.name).join(", ")),
          cell("length", record.ended_at_ms ? duration(record.ended_at_ms - record.origin_ms) : "–"),
          cell("size", bytes((record.files ?? []).reduce((sum, file) => sum + file.bytes, 0))),
          cell("verify", verdictChip(verdictOf(record.verify))),
          h("td", { class: "c-act" }, h("a", { class: "button small", href, "aria-label": t("records.open_of", moment(record.origin_ms)) }, t("records.open"))));
      })))));
  }

  return {
    update() {
      const ended = live.sessions.filter((session) => session.state === "ended").length;
      if (ended !== endedCount) {
        endedCount = ended;
        load();
      }
    },
  };
}

/** Where a person was in a record: survives a change of the language. */
let place = { id: null, name: null, at: 0 };

export function recordPage(main, live, id) {
  const nameOf = (code) => live.nameOf(code);
  if (place.id !== id) place = { id, name: null, at: 0 };
  let closed = false;
  main.append(h("p", { class: "empty" }, t("app.loading")));

  async function load() {
    let record;
    try {
      record = (await api.records()).find((one) => one.id === id);
    } catch (error) {
      if (!closed) main.replaceChildren(faultBox(error, load));
      return;
    }
    if (closed) return;
    if (!record) main.replaceChildren(h("div", { class: "page-head" }, h("h1", {}, t("records.gone"))), h("a", { href: "#/records" }, t("records.back")));
    else show(record);
  }

  function show(record) {
    const files = record.files ?? [];
    const video = h("video", { id: "player", controls: true, playsinline: true, preload: "metadata" });
    const says = h("div", { class: "form-says", role: "alert" });
    const playing = h("div", { class: "now-playing" });
    const choices = new Map();

    const media = files.filter(playable);
    const other = files.filter((file) => !playable(file));
    const select = (file, at = 0, start = false) => {
      place = { id, name: file.name, at };
      put(says, "");
      put(playing, label(file, nameOf));
      video.setAttribute("aria-label", label(file, nameOf));
      video.src = api.fileUrl(id, file.name);
      if (at > 0) video.addEventListener("loadedmetadata", () => { video.currentTime = at; }, { once: true });
      if (start) video.play().catch(() => {});
      for (const [name, node] of choices) mark(node, "aria-current", name === file.name ? "true" : null);
    };
    video.addEventListener("timeupdate", () => { place.at = video.currentTime; });
    video.addEventListener("error", () => put(says, t("record.unplayable", place.name)));

    const entry = (file) => {
      const text = h("span", { class: "file-text" }, h("span", { class: "strong" }, label(file, nameOf)), h("span", { class: "quiet" }, `${file.name} · ${bytes(file.bytes)}`));
      const main = playable(file)
        ? h("button", { type: "button", class: "file-main", title: t("record.play_of", label(file, nameOf)), onclick: () => select(file, 0, true) }, icon("play"), text)
        : h("div", { class: "file-main" }, icon("seal"), text);
      const node = h("li", { "data-file": file.name }, main,
        h("a", { class: "button small icon-only", href: api.fileUrl(id, file.name), download: file.name.split("/").pop(), title: t("record.download"), "aria-label": t("record.download_of", file.name) }, icon("download")));
      if (playable(file)) choices.set(file.name, node);
      return node;
    };

    const seal = verdictChip(verdictOf(record.verify));
    const report = h("div", { class: "report", "aria-live": "polite" });
    const check = button(t("record.verify"), async () => {
      check.disabled = true;
      put(check.lastChild, t("record.verifying"));
      try {
        const result = await api.verify(id);
        const verdict = verdictOf(result.verdict);
        setChip(seal, KIND[verdict], t(`verify.${verdict}`));
        report.replaceChildren(...reportNodes(result, verdict));
      } catch (error) {
        fault(error);
      }
      check.disabled = false;
      put(check.lastChild, t("record.verify"));
    }, { kind: "primary", glyph: "seal", id: "verify" });

    const facts = [
      ["session.started_at", moment(record.origin_ms)],
      ["records.col.length", record.ended_at_ms ? duration(record.ended_at_ms - record.origin_ms) : "–"],
      ["session.started_by", startedBy(record, nameOf)],
      ["records.col.sites", record.sites.map((site) => site.name).join(", ")],
      ["session.id", record.id],
    ];
    main.replaceChildren(h("div", { class: "session" },
      h("div", { class: "page-head" }, h("div", {}, h("a", { class: "back", href: "#/records" }, icon("back"), t("records.back")), h("h1", {}, t("record.title", nameOf(record.caller))))),
      h("div", { class: "session-grid" },
        h("div", { class: "session-left" },
          h("div", { class: "player" }, video), playing, says,
          h("dl", { class: "facts card" }, facts.map(([key, value]) => h("div", {}, h("dt", {}, t(key)), h("dd", {}, value))))),
        h("div", { class: "session-right" },
          h("section", { class: "card" }, h("div", { class: "title-row" }, h("h2", {}, t("record.integrity")), seal), report, check),
          h("section", { class: "card" }, h("h2", {}, t("record.media")), h("ul", { class: "files" }, media.map(entry)),
            other.length > 0 ? [h("h2", {}, t("record.files")), h("ul", { class: "files" }, other.map(entry))] : null)))));
    document.title = `${t("record.title", nameOf(record.caller))} · Bridgepoint`;
    const start = media.find((file) => file.name === place.name) ?? media.find((file) => file.name.startsWith("program")) ?? media[0];
    if (start) select(start, start.name === place.name ? place.at : 0);
  }

  // Names of sites come with the live stream: wait for it, so that the page is built once.
  let asked = false;
  return {
    update() {
      if (asked || !live.known) return;
      asked = true;
      load();
    },
    close() {
      closed = true;
      document.getElementById("player")?.pause();
    },
  };
}

function reportNodes(result, verdict) {
  const findings = (result.findings ?? []).map((finding) => {
    const what = typeof finding.what === "string" ? finding.what : JSON.stringify(finding.what);
    return finding.second === null || finding.second === undefined
      ? t("record.finding_file", finding.file ?? "–", what)
      : t("record.finding", finding.file ?? "–", finding.second, what);
  });
  return [
    h("p", { class: `verdict ${KIND[verdict]}` }, icon(verdict === "damaged" ? "alert" : "check"), t(`verify.${verdict}_long`)),
    findings.length > 0 ? h("ul", { class: "findings" }, findings.map((text) => h("li", {}, text))) : null,
    h("p", { class: "quiet" }, [result.files ? t("record.report_files", result.files.length) : null, result.gaps?.length ? t("record.gaps", result.gaps.length) : null].filter(Boolean).join(" ")),
    h("details", {}, h("summary", {}, t("record.details")), h("pre", {}, JSON.stringify(result, null, 2))),
  ].filter(Boolean);
}
