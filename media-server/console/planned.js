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
  const sites = h("select", { id: "planned-sites", multiple: true, required: true, size: "6" });
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
      send.disabled = true;
      try {
        await api.plan(new Date(at.value).getTime(), title.value, [...sites.selectedOptions].map((option) => option.value));
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
  h("label", { for: "planned-sites" }, t("planned.sites")), sites, says, h("div", { class: "actions" }, send));

  load().catch(fault);
  function update() {
    const known = [...live.sites].sort((a, b) => a.name.localeCompare(b.name, "vi"));
    const codes = known.map((site) => site.code).join();
    if (sites.dataset.codes === codes) return;
    sites.dataset.codes = codes;
    const chosen = new Set([...sites.selectedOptions].map((option) => option.value));
    sites.replaceChildren(...known.map((site) => h("option", { value: site.code, selected: chosen.has(site.code) }, `${site.name} (${site.code})`)));
  }
  const node = h("section", { class: "card" }, h("h2", {}, t("planned.head")), h("p", { class: "quiet" }, t("planned.help")), none, list,
    h("details", {}, h("summary", {}, t("planned.new")), form));
  return { node, update };
}
