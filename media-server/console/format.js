// Numbers, sizes and times as people of the language in use read them.
import { lang, t } from "./texts.js";

const locale = () => (lang() === "en" ? "en-GB" : "vi-VN");

/** A number with at most `digits` decimals; a dash for what is not measured. */
export function number(value, digits = 0) {
  if (value === null || value === undefined || Number.isNaN(value)) return t("sites.none_value");
  return new Intl.NumberFormat(locale(), { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

/** How old something is: `3 s`, `5 min`. */
export function age(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 120) return t("unit.s", s);
  if (s < 7200) return t("unit.min", Math.round(s / 60));
  if (s < 172800) return t("unit.h", Math.round(s / 3600));
  return t("unit.d", Math.round(s / 86400));
}

/** A length of time: `1:02:03`. */
export function duration(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  const two = (n) => String(n).padStart(2, "0");
  return `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}

/** Time of day. */
export const clock = (ms) => new Date(ms).toLocaleTimeString(locale(), { hour12: false });

/** Day and time. */
export function moment(ms) {
  const at = new Date(ms);
  return `${at.toLocaleDateString(locale(), { day: "2-digit", month: "2-digit", year: "numeric" })} ${at.toLocaleTimeString(locale(), { hour: "2-digit", minute: "2-digit", hour12: false })}`;
}

/** A size of a file or a disk. */
export function bytes(count) {
  if (count === null || count === undefined) return t("sites.none_value");
  const units = ["B", "KB", "MB", "GB", "TB"];
  let value = count;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${number(value, unit === 0 || value >= 100 ? 0 : 1)} ${units[unit]}`;
}

/** For searching: lower case, without tone marks, đ as d. */
export const plain = (text) => text.toLowerCase().normalize("NFD").replace(/[\u0300-\u036f]/g, "").replaceAll("đ", "d");
