// What a technician proved when a box was put up: the site's newest commissioning report, and how many there were.
import { api } from "./api.js";
import { fault, h } from "./dom.js";
import { bytes, moment, number } from "./format.js";
import { t } from "./texts.js";

export function reportPart(site) {
  const body = h("div", { "aria-live": "polite" }, h("p", { class: "quiet" }, t("app.loading")));
  api.reports(site.code).then((reports) => {
    if (reports.length === 0) body.replaceChildren(h("p", { class: "quiet" }, t("report.none")));
    else body.replaceChildren(...shown(site, reports));
  }).catch((error) => {
    body.replaceChildren();
    fault(error);
  });
  return h("section", { id: "report" }, h("h3", {}, t("report.title")), body);
}

function shown(site, [record, ...earlier]) {
  const { report } = record;
  const { proofs } = report;
  const rows = [
    ["report.box", `${report.appliance} (${report.serial})`],
    ["report.occasion", occasion(report.occasion)],
    ["report.took", `${t("unit.min", number(report.took_s / 60, 1))} · ${t("report.failures", report.failures)}`],
    ["report.address", `${proofs.address.address} (${proofs.address.how === "Dhcp" ? "DHCP" : t("report.stick")})`],
    ["report.centre", t("report.ms", number(proofs.centre_rtt_ms))],
    ["report.clock", t("report.ms", number(proofs.clock_offset_ms))],
    ["report.sound", proofs.sound.map((heard) => `${number(heard.dbfs)} dBFS`).join(" · ")],
    ["report.encoder", `${proofs.encoder.name} ${proofs.encoder.pictures_out}/${proofs.encoder.pictures_in}`],
    ["report.line", `${t("sites.link.rate", number(proofs.line.up_kbps), number(proofs.line.down_kbps))} · ${t("sites.link.loss", number(proofs.line.loss_permille / 10, 1))}`],
    ["report.call", t("report.ms", number(proofs.call.delay_ms))],
    ["report.playback", `${number(proofs.playback.recorded_ms / 1000, 1)} s, ${bytes(proofs.playback.bytes)}`],
  ];
  const replaced = site.appliance && site.appliance !== report.appliance;
  return [
    h("p", { class: "quiet" }, t("report.at", moment(record.at_ms)), earlier.length > 0 ? ` ${t("report.earlier", earlier.length)}` : ""),
    replaced ? h("p", { class: "hint" }, t("report.replaced", site.appliance)) : null,
    h("table", { class: "facts" }, h("tbody", {}, rows.map(([key, value]) => h("tr", {}, h("th", { scope: "row" }, t(key)), h("td", {}, value))))),
  ].filter(Boolean);
}

function occasion(of) {
  if (of === "First") return t("report.first");
  if (of.Exchange) return t("report.exchange", of.Exchange.replaces);
  return t("report.move", of.Move.from);
}
