// A site's sound: its box plays a test signal in the room, and says what each microphone hears of it.
import { api } from "./api.js";
import { button, fault, h, notice } from "./dom.js";
import { soundTest } from "./events.js";
import { moment, number } from "./format.js";
import { t } from "./texts.js";

// The signal takes 2 s; what it brought comes as an event.
const LOOK_MS = 1000;
const PATIENCE_MS = 30000;

export function soundTestPart(site) {
  const body = h("div", { "aria-live": "polite" }, h("p", { class: "quiet" }, t("app.loading")));
  const install = h("input", { type: "checkbox", id: "sound-install" });
  let newest = null;
  const look = async () => {
    const [record] = await api.soundTests(site.code);
    const changed = record && (!newest || record.seq !== newest.seq || record.appliance !== newest.appliance);
    if (changed) {
      newest = record;
      body.replaceChildren(...shown(record));
    }
    return changed;
  };
  const run = button(t("soundtest.run"), async () => {
    run.disabled = true;
    try {
      await api.testSound(site.code, install.checked);
      notice(t("soundtest.begun", site.name));
      const end = Date.now() + PATIENCE_MS;
      while (!(await look()) && Date.now() < end) await new Promise((done) => setTimeout(done, LOOK_MS));
    } catch (error) {
      fault(error);
    }
    run.disabled = false;
  }, { id: "sound-test" });
  look().then((known) => {
    if (!known) body.replaceChildren(h("p", { class: "quiet" }, t("soundtest.none")));
  }).catch((error) => {
    body.replaceChildren();
    fault(error);
  });
  return h("section", { id: "soundtest" }, h("h3", {}, t("soundtest.title")), h("p", { class: "quiet" }, t("soundtest.help")), body,
    h("label", { class: "check" }, install, h("span", {}, t("soundtest.install"))), h("div", { class: "row" }, run));
}

function shown({ at_ms: at, event: { SoundTested: test } }) {
  const figure = (value, unit) => (value === null ? "–" : `${number(value)} ${unit}`);
  const head = ["soundtest.microphone", "soundtest.level", "soundtest.delay", "soundtest.echo", "soundtest.noise"];
  const row = (one) => h("tr", {}, h("th", { scope: "row" }, String(one.channel + 1)), h("td", {}, figure(one.level_dbfs, "dBFS")),
    h("td", {}, figure(one.delay_ms, "ms")), h("td", {}, figure(one.erl_db, "dB")), h("td", {}, figure(one.snr_db, "dB")));
  const against = test.compared_with_ms ? t("soundtest.against", moment(test.compared_with_ms)) : test.kept ? t("soundtest.kept") : "";
  return [
    h("p", { class: "quiet" }, `${moment(at)}. ${against}`),
    ...soundTest(test).map((text) => h("p", { class: test.good ? "hint good" : "hint" }, text)),
    test.microphones.length > 0 ? h("table", { class: "facts" }, h("thead", {}, h("tr", {}, head.map((key) => h("th", { scope: "col" }, t(key))))),
      h("tbody", {}, test.microphones.map(row))) : null,
  ].filter(Boolean);
}
