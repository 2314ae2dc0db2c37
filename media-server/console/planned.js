// Sessions that are planned: the screens of their sites' boxes say so.
import { api } from "./api.js";
import { button, fault, faultNodes, h, notice } from "./dom.js";
import { moment } from "./format.js";
import { t } from "./texts.js";

const LONGEST_TITLE = 120;

export function plannedCard(live) {
  const list = h("ul", { class: "recent", id: "planned" });
  const none = h("p", { class: "quiet" }, t("planned.none"));
  const at = h("input", { type: "datetime-local", id: "planned-at", required: true });
  const title = h("input", { id: "planned-title", required: true, maxlength: String(LONGEST_TITLE), autocomplete: "off" });
  const sites = h("div", { class: "checks", id: "planned-sites", role: "group", "aria-label": t("planned.sites") });
  const chosen = () => [...sites.querySelectorAll("input:checked")].map((box) => box.value);
  const says = h("div", { class: "form-says", role: "alert" });
  const send = h("button", { type: "submit", id: "planned-add" }, t("planned.add"));

  async function load() {
    const planned = await api.planned();
    none.hidden = planned.length > 0;
    list.replaceChildren(...planned.map((one) => h("li", { "data-id": one.id },
      h("span", {}, h("strong", {}, moment(one.at_ms)), ` ${one.title}`),
      h("span", { class: "quiet" }, one.sites.map((code) => live.nameOf(code)).join(", ")),
      button(t("planned.remove"), async () => {
        try {
          await api.unplan(one.id);
          await load();
        } catch (error) {
          fault(error);
        }
      }, { kind: "small", "aria-label": t("planned.remove_of", one.title) }))));
  }

  const form = h("form", {
    onsubmit: async (event) => {
      event.preventDefault();
      says.replaceChildren();
      if (chosen().length === 0) {
        says.replaceChildren(t("planned.no_site"));
        return;
      }
      send.disabled = true;
      try {
        await api.plan(new Date(at.value).getTime(), title.value, chosen());
        form.reset();
        await load();
        notice(t("planned.added"), "good");
      } catch (error) {
        says.replaceChildren(...faultNodes(error));
      }
      send.disabled = false;
    },
  },
  h("label", { for: "planned-at" }, t("planned.at")), at,
  h("label", { for: "planned-title" }, t("planned.title")), title,
  h("p", { class: "strong" }, t("planned.sites")), sites, says, h("div", { class: "actions" }, send));

  load().catch(fault);
  function update() {
    const known = [...live.sites].sort((a, b) => a.name.localeCompare(b.name, "vi"));
    const codes = known.map((site) => site.code).join();
    if (sites.dataset.codes === codes) return;
    sites.dataset.codes = codes;
    const before = new Set(chosen());
    sites.replaceChildren(...known.map((site) => h("label", { class: "check" },
      h("input", { type: "checkbox", value: site.code, checked: before.has(site.code) }), h("span", {}, site.name), h("span", { class: "quiet" }, site.code))));
  }
  const node = h("section", { class: "card" }, h("h2", {}, t("planned.head")), h("p", { class: "quiet" }, t("planned.help")), none, list,
    h("details", {}, h("summary", {}, t("planned.new")), form));
  return { node, update };
}
