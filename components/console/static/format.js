// Numbers with units, times and ages as people write them.

import { language } from "./words.js";

const PRINTED = { Cel: "°C", "{rev}/min": "rpm", "[degF]": "°F", "m/s2": "m/s²", "mm/s2": "mm/s²", deg: "°", Ohm: "Ω", um: "µm", "1": "", "{count}": "" };

export function unit(code) {
  return PRINTED[code] ?? code ?? "";
}

export function number(value, code = "") {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  const digits = size !== 0 && (size < 1e-3 || size >= 1e7) ? { notation: "scientific", maximumSignificantDigits: 4 } : { maximumSignificantDigits: 5 };
  const text = new Intl.NumberFormat(language(), digits).format(value);
  const printed = unit(code);
  return printed ? `${text} ${printed}` : text;
}

export function bytes(value) {
  for (const [size, name] of [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]]) {
    if (value >= size) return `${new Intl.NumberFormat(language(), { maximumFractionDigits: 1 }).format(value / size)} ${name}`;
  }
  return `${value} B`;
}

export function age(seconds) {
  for (const [size, name] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${name}`;
  }
  return `${Math.max(0, Math.round(seconds))} s`;
}

export function moment(ms) {
  return new Intl.DateTimeFormat(language(), { dateStyle: "short", timeStyle: "medium" }).format(ms);
}
