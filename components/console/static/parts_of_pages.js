// What several pages show alike.

import { make } from "./dom.js";
import { known, say } from "./words.js";

export function state(name) {
  return make("span", { class: `state ${name}`, text: known(`state.${name}`) ? say(`state.${name}`) : name });
}

export function choice(label, name, options, chosen, changed) {
  const select = make("select", { name, onchange: (event) => changed(event.target.value) },
    options.map(([value, text]) => make("option", { value, selected: value === chosen, text })));
  return make("label", {}, label, select);
}
