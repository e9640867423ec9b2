// What several pages show alike.

import { make } from "./dom.js";
import { number } from "./format.js";
import { known, language, say } from "./words.js";

export function state(name) {
  return make("span", { class: `state ${name}`, text: known(`state.${name}`) ? say(`state.${name}`) : name });
}

/** What an alarm says, in the page's language: its own words are English; others are made of its kind and cause. */
export function words(alarm) {
  if (language() === "en" || !known(`kind.${alarm.kind}`)) return alarm.text;
  const most = alarm.cause?.attribution?.[0];
  return most ? `${say(`kind.${alarm.kind}`)}: ${part(most)}` : say(`kind.${alarm.kind}`);
}

/** One channel's share in an alarm: how many times its normal, or how far from it. */
export function part(one) {
  const key = Math.abs(Math.log2(Math.max(one.ratio, 1e-9))) > 0.2 && one.ratio > 0 && one.ratio !== 1 ? "alarm.ratio" : "alarm.spreads";
  return say(key, { band: one.band, channel: one.channel, ratio: number(one.ratio), z: number(one.z) });
}

export function choice(label, name, options, chosen, changed) {
  const select = make("select", { name, onchange: (event) => changed(event.target.value) },
    options.map(([value, text]) => make("option", { value, selected: value === chosen, text })));
  return make("label", {}, label, select);
}
