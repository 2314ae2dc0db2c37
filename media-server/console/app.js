// The console's frame: who is logged in, the top bar, which page is open.
import { api, whenLoggedOut } from "./api.js";
import { button, h, mark, put, fault } from "./dom.js";
import { Live } from "./live.js";
import { loginPage } from "./login.js";
import { recordPage, recordsPage } from "./records.js";
import { sessionPage } from "./session.js";
import { sessionsPage } from "./sessions.js";
import { sitesPage } from "./sites.js";
import { lang, setLang, t } from "./texts.js";

const PAGES = [
  ["sites", sitesPage, null],
  ["sessions", sessionsPage, sessionPage],
  ["records", recordsPage, recordPage],
];

let user = "";
let live = null;
let frame = null;
let page = null;

/** The address after `#/`: a section and perhaps an id in it. */
function route() {
  const [section, id] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  return PAGES.some(([name]) => name === section) ? { section, id: id || null } : { section: "sites", id: null };
}

function languages(changed) {
  const choice = (code, label, title) => h("button", {
    type: "button", lang: code, title, class: "lang", "aria-pressed": String(lang() === code), id: `lang-${code}`,
    onclick: () => {
      setLang(code);
      changed();
      document.getElementById(`lang-${code}`)?.focus();
    },
  }, label);
  return h("div", { class: "langs", role: "group", "aria-label": t("app.language") }, choice("vi", "Tiếng Việt", "Tiếng Việt"), choice("en", "English", "English"));
}

function showLogin(ended = false) {
  live?.stop();
  live = null;
  page?.close?.();
  page = null;
  document.title = `Bridgepoint · ${t("login.title")}`;
  document.body.replaceChildren(loginPage({
    ended,
    languages: languages(() => showLogin(ended)),
    done: enter,
  }));
}

function enter(name) {
  user = name;
  live?.stop();
  live = new Live(update, () => api.me().catch(() => {})); // refused: the handler below shows the login page
  live.start();
  build();
}

function build() {
  const server = h("span", { class: "server", role: "status" }, h("span", { class: "dot", "aria-hidden": "true" }), h("span", {}, ""));
  const lost = h("div", { class: "lost-bar", role: "alert", hidden: true });
  const links = PAGES.map(([name]) => h("a", { href: `#/${name}`, id: `nav-${name}` }, t(`nav.${name}`), name === "sessions" ? h("span", { class: "nav-live", hidden: true }) : null));
  const main = h("main", { id: "main", tabindex: "-1" });
  frame = { server, lost, links, main };
  document.body.replaceChildren(
    h("a", { class: "skip", href: "#main", onclick: (event) => { event.preventDefault(); main.focus(); } }, t("app.skip")),
    h("header", { class: "top" },
      h("a", { class: "brand", href: "#/sites" }, h("img", { src: "/assets/logo.svg", alt: "", width: "36", height: "36" }),
        h("span", { class: "brand-name" }, "Bridgepoint"), h("span", { class: "brand-sub" }, t("app.name"))),
      h("nav", { "aria-label": t("app.nav") }, links),
      h("div", { class: "top-right" }, server, languages(build),
        h("span", { class: "user", title: t("app.user", user), id: "who" }, user),
        button(t("app.logout"), async () => {
          try {
            await api.logout();
            showLogin();
          } catch (error) {
            fault(error);
          }
        }, { kind: "on-dark", id: "logout" }))),
    lost, main);
  open();
}

function open() {
  if (!frame) return;
  const { section, id } = route();
  page?.close?.();
  frame.main.replaceChildren();
  const [, list, one] = PAGES.find(([name]) => name === section);
  page = (id && one ? one : list)(frame.main, live, id);
  for (const link of frame.links) mark(link, "aria-current", link.id === `nav-${section}` ? "page" : null);
  document.title = `${t(`nav.${section}`)} · Bridgepoint`;
  update();
}

function update() {
  if (!frame || !live) return;
  const lost = live.state === "lost";
  mark(frame.server, "class", `server ${live.state}`);
  put(frame.server.lastChild, lost ? t("app.server_lost") : live.state === "live" ? t("app.server_live") : t("app.loading"));
  frame.lost.hidden = !lost;
  put(frame.lost, lost ? t("app.server_lost_long") : "");
  document.body.classList.toggle("stale", lost);
  const running = live.sessions.filter((session) => session.state !== "ended").length;
  const count = document.querySelector(".nav-live");
  if (count) {
    count.hidden = running === 0;
    put(count, running);
  }
  page?.update?.();
}

addEventListener("hashchange", () => {
  if (live) {
    open();
    frame.main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
});
whenLoggedOut(() => {
  if (live) showLogin(true);
});

// The cookie is not readable here: the server says whether it still counts, and for whom.
api.me().then((me) => enter(me.user), () => showLogin());
