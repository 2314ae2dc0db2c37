// The login page.
import { api } from "./api.js";
import { h, put } from "./dom.js";
import { t } from "./texts.js";

/** Shows the form; `done(user)` is called when the server has accepted. */
export function loginPage({ ended, languages, done }) {
  const user = h("input", { id: "user", name: "user", autocomplete: "username", required: true, autocapitalize: "none", spellcheck: "false" });
  const password = h("input", { id: "password", name: "password", type: "password", autocomplete: "current-password", required: true });
  const submit = h("button", { class: "primary big", type: "submit", id: "login" }, t("login.submit"));
  const says = h("p", { class: "form-says", role: "alert" }, ended ? t("login.ended") : "");
  const form = h("form", {
    class: "login-form",
    onsubmit: async (event) => {
      event.preventDefault();
      submit.disabled = true;
      put(says, "");
      try {
        const { user: name } = (await api.login(user.value.trim(), password.value)) ?? {};
        done(name ?? user.value.trim());
      } catch (error) {
        const text = { 401: t("login.wrong"), 403: t("login.wrong"), 429: t("login.locked") }[error.status];
        put(says, text ?? `${error.what} ${error.cure}`);
        submit.disabled = false;
        password.select();
        password.focus();
      }
    },
  },
  h("h1", {}, t("login.title")),
  h("label", { for: "user" }, t("login.user")), user,
  h("label", { for: "password" }, t("login.password")), password,
  says, submit,
  h("p", { class: "quiet" }, t("login.note")));

  const page = h("div", { class: "login-page" },
    h("div", { class: "login-side" },
      h("div", { class: "login-brand" }, h("img", { src: "/assets/logo.svg", alt: "", width: "72", height: "72" }),
        h("div", {}, h("div", { class: "login-name" }, "Bridgepoint"), h("div", { class: "login-sub" }, t("app.name")))),
      h("p", { class: "login-purpose" }, t("app.purpose"))),
    h("main", { class: "login-main" }, h("div", { class: "login-top" }, languages), form));
  queueMicrotask(() => user.focus());
  return page;
}
