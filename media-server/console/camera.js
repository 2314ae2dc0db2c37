// Moving a site's camera: a button that is held moves it, one that is let go of stops it.
import { api } from "./api.js";
import { button, dialog, fault, h, notice } from "./dom.js";
import { t } from "./texts.js";

// The box stops a camera that nobody asks for again within a second (docs/ref/camera.md).
const RENEW_MS = 250;
const SPEED = 40;
const PRESETS = [1, 2, 3, 4, 5, 6];
const MOVES = [
  ["left", "◀", { pan: -SPEED }], ["up", "▲", { tilt: SPEED }], ["down", "▼", { tilt: -SPEED }], ["right", "▶", { pan: SPEED }],
  ["wide", "−", { zoom: -SPEED }], ["tele", "+", { zoom: SPEED }],
];

/** A dialog with the controls alone. */
export function moveCamera(site) {
  return dialog(t("camera.of", site.name), (close) => [
    cameraPart(site),
    h("div", { class: "actions" }, button(t("app.close"), () => close(), { kind: "primary" })),
  ]);
}

/** The controls of one site's camera. */
export function cameraPart(site) {
  let said = "";
  // One refusal is told once, however long the button is held.
  const refused = (error) => {
    if (said !== error.message) fault(error);
    said = error.message;
  };
  const ask = (action) => api.moveCamera(site.code, action);
  const act = (action, done) => async () => {
    try {
      await ask(action);
      if (done) notice(done, "good");
    } catch (error) {
      fault(error);
    }
  };

  function held([name, sign, speeds]) {
    let timer = null;
    let open = false;
    const drive = async () => {
      if (open) return; // the line is slow: no more than one on its way
      open = true;
      try {
        await ask({ Drive: { pan: 0, tilt: 0, zoom: 0, ...speeds } });
      } catch (error) {
        end();
        refused(error);
      }
      open = false;
    };
    const begin = () => {
      if (timer !== null) return;
      said = "";
      timer = setInterval(drive, RENEW_MS);
      drive();
    };
    const end = () => {
      if (timer === null) return;
      clearInterval(timer);
      timer = null;
      ask("Stop").catch(refused);
    };
    const keys = new Set([" ", "Enter"]);
    return h("button", {
      type: "button", class: `move ${name}`, "data-move": name, "aria-label": t(`camera.${name}`), title: t(`camera.${name}`),
      onpointerdown: (event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        begin();
      },
      onpointerup: end, onpointercancel: end, onlostpointercapture: end, onblur: end,
      onkeydown: (event) => keys.has(event.key) && begin(),
      onkeyup: (event) => keys.has(event.key) && end(),
      oncontextmenu: (event) => event.preventDefault(),
    }, sign);
  }

  const chosen = h("select", { class: "preset", "aria-label": t("camera.preset") }, PRESETS.map((n) => h("option", { value: String(n) }, t("camera.preset_n", n))));
  const preset = () => Number(chosen.value);
  return h("section", { class: "camera" }, h("h3", {}, t("camera.title")), h("p", { class: "quiet" }, t("camera.help")),
    h("div", { class: "row pad" }, MOVES.map(held)),
    h("div", { class: "row" },
      button(t("camera.home"), act({ Recall: { preset: 0 } }), { kind: "small" }),
      chosen,
      button(t("camera.recall"), () => act({ Recall: { preset: preset() } })(), { kind: "small" }),
      button(t("camera.store"), () => act({ Store: { preset: preset(), name: "" } }, t("camera.stored", preset()))(), { kind: "small" }),
      button(t("camera.release"), act("Release"), { kind: "small" })));
}
