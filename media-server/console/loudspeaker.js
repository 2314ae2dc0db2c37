// How loud the return is in a site's room.
import { api } from "./api.js";
import { button, fault, h, notice, put } from "./dom.js";
import { t } from "./texts.js";

export function loudspeakerPart(site) {
  const { percent, muted } = site.health.loudspeaker;
  const shown = h("output", { for: "loudspeaker-percent" });
  const slider = h("input", { type: "range", id: "loudspeaker-percent", min: "0", max: "100", step: "5", value: String(percent), oninput: () => show() });
  const mute = h("input", { type: "checkbox", id: "loudspeaker-mute", checked: muted });
  const show = () => put(shown, `${slider.value} %`);
  show();
  const save = button(t("app.save"), async () => {
    save.disabled = true;
    try {
      await api.setLoudspeaker(site.code, { percent: Number(slider.value), muted: mute.checked });
      notice(t("loudspeaker.saved", site.name), "good");
    } catch (error) {
      fault(error);
    }
    save.disabled = false;
  }, { id: "loudspeaker-save" });
  return h("section", { id: "loudspeaker" }, h("h3", {}, t("loudspeaker.title")), h("p", { class: "quiet" }, t("loudspeaker.help")),
    h("div", { class: "row" }, h("label", { for: "loudspeaker-percent" }, t("loudspeaker.percent")), slider, shown),
    h("label", { class: "check" }, mute, h("span", {}, t("loudspeaker.mute"))), h("div", { class: "row" }, save));
}
