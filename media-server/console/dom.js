// Small helpers around the document: elements, icons, dialogs, notices.
import { t } from "./texts.js";

/**
 * An element: `h("button", { class: "primary", onclick: f, disabled: true }, "text", node…)`.
 * Values `null` and `false` leave an attribute out; children `null` and `false` are skipped.
 */
export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Sets a text only when it changed: screen readers and selections are left alone. */
export function put(node, text) {
  const next = String(text);
  if (node.textContent !== next) node.textContent = next;
}

/** Sets a property or an attribute only when it changed. */
export function mark(node, name, value) {
  if (value === null || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value === true ? "" : value);
}

const ICONS = {
  alert: "M12 3 2.5 20h19L12 3zm0 6v5m0 3v.5",
  back: "M15 5l-7 7 7 7",
  check: "M4 12.5 10 18 20 6.5",
  download: "M12 4v11m-5-4 5 5 5-5M5 20h14",
  full: "M4 9V4h5m6 0h5v5m0 6v5h-5m-6 0H4v-5",
  mic: "M12 3a3 3 0 0 0-3 3v6a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3zM6 11.5a6 6 0 0 0 12 0M12 17.5V21",
  micoff: "M9 9.5V12a3 3 0 0 0 4.6 2.5M15 10V6a3 3 0 0 0-5.7-1.3M6 11.5a6 6 0 0 0 9.6 4.8M18 11.5c0 .9-.2 1.700-.5 2.500M12 17.500V21M4 3l16 18",
  play: "M8 5v14l11-7z",
  plus: "M12 5v14M5 12h14",
  sound: "M4 9.500v5h4l5 4v-13l-5 4zM16.500 9a4.500 4.500 0 0 1 0 6M19 6.500a8 8 0 0 1 0 11",
  soundoff: "M4 9.500v5h4l5 4v-13l-5 4zM17 9.500l5 5m0-5-5 5",
  seal: "M12 3l7 3v5c0 4.500-3 8-7 10-4-2-7-5.500-7-10V6zM8.500 12l2.500 2.500 4.500-5",
  stop: "M7 7h10v10H7z",
};
const SVG = "http://www.w3.org/2000/svg";

/** A decorative icon; the text beside it carries the meaning. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** A button with an optional icon. */
export function button(label, onclick, { kind = "", glyph = null, ...rest } = {}) {
  return h("button", { type: "button", class: kind, onclick, ...rest }, glyph && icon(glyph), h("span", {}, label));
}

/** A level bar for a sound level in dBFS; `set(null)` shows that nothing is measured. */
export function level(label) {
  const fill = h("div", { class: "level-cover" });
  const node = h("div", { class: "level", role: "meter", "aria-label": label, "aria-valuemin": "-60", "aria-valuemax": "0" }, fill);
  const set = (dbfs, muted = false) => {
    const known = dbfs !== null && dbfs !== undefined;
    const part = known ? Math.min(1, Math.max(0, (dbfs + 60) / 60)) : 0;
    fill.style.width = `${(100 - part * 100).toFixed(1)}%`;
    mark(node, "aria-valuenow", known ? Math.round(Math.max(-60, dbfs)) : null);
    node.classList.toggle("unknown", !known);
    node.classList.toggle("off", muted);
  };
  set(null);
  return { node, set };
}

/** A chip: a word with a colour and a shape, never colour alone. */
export function chip(kind, text) {
  return h("span", { class: `chip ${kind}` }, h("span", { class: "dot", "aria-hidden": "true" }), h("span", { class: "chip-text" }, text));
}

/** Changes a chip in place. */
export function setChip(node, kind, text) {
  mark(node, "class", `chip ${kind}`);
  put(node.lastChild, text);
}

/**
 * A modal dialog. `build(close)` returns the body's nodes; `close(value)` ends it.
 * Resolves with that value, or `null` when the person left it by Escape.
 */
export function dialog(title, build, { wide = false } = {}) {
  return new Promise((resolve) => {
    let result = null;
    const box = h("dialog", { class: wide ? "wide" : "", "aria-label": title });
    const close = (value = null) => {
      result = value;
      box.close();
    };
    box.append(h("h2", {}, title), ...build(close));
    box.addEventListener("close", () => {
      box.remove();
      resolve(result);
    });
    document.body.append(box);
    box.showModal();
  });
}

/** Asks once; resolves with true for yes. */
export async function ask(title, text, yes, no, kind = "danger") {
  const answer = await dialog(title, (close) => [
    h("p", {}, text),
    h("div", { class: "actions" }, button(no, () => close(false)), button(yes, () => close(true), { kind, id: "confirm" })),
  ]);
  return answer === true;
}

/** A short notice at the lower edge; goes away by itself. */
export function notice(text, kind = "") {
  let tray = document.getElementById("notices");
  if (!tray) {
    tray = h("div", { id: "notices", role: "status", "aria-live": "polite", popover: "manual" });
    document.body.append(tray);
  }
  const node = h("div", { class: `notice ${kind}` }, text);
  tray.append(node);
  if (tray.matches(":popover-open")) tray.hidePopover();
  tray.showPopover(); // above a dialog that is open, too
  setTimeout(() => node.remove(), 6000);
}

/** The nodes that say what happened and what to do: for dialogs and for places in a page. */
export function faultNodes(error) {
  return [
    h("p", { class: "fault-what" }, error.what ?? String(error)),
    error.means ? h("p", {}, error.means) : null,
    error.cure ? h("p", { class: "fault-cure" }, error.cure) : null,
    error.detail ? h("p", { class: "fault-detail" }, t("error.detail", error.detail)) : null,
  ].filter(Boolean);
}

/** Tells in a dialog that an action failed. */
export function fault(error) {
  if (error.status === 401) return Promise.resolve(null); // the login page says it
  return dialog(t("error.title"), (close) => [
    ...faultNodes(error),
    h("div", { class: "actions" }, button(t("app.close"), () => close(), { kind: "primary" })),
  ]);
}

/** The same as a place in a page, with a button that tries again. */
export function faultBox(error, again) {
  return h("div", { class: "fault-box", role: "alert" }, icon("alert"),
    h("div", {}, ...faultNodes(error), again ? button(t("app.retry"), again) : null));
}
