// The line as it is, and what can be tried before it is changed.

import { failed, may } from "../app.js";
import { ask, make } from "../dom.js";
import { moment, number } from "../format.js";
import { choice } from "../parts_of_pages.js";
import { say } from "../words.js";

export class Page {
  async load() {
    const [settings, audit] = await Promise.all([ask("settings"), may("engineer") ? ask("audit") : []]);
    const monitors = Object.keys(settings.AnomalyInference?.monitors ?? {});
    return [
      make("h1", { text: say("settings.title") }),
      monitors.length ? make("h2", { text: say("settings.try") }) : null,
      monitors.length ? this.trial(monitors) : null,
      make("p", { class: "soft", text: say("settings.how") }),
      ...Object.entries(settings).map(([name, values]) => make("details", {}, make("summary", { text: name }), tree(values))),
      audit.length ? make("h2", { text: say("settings.audit") }) : null,
      audit.length ? make("ul", {}, audit.slice(0, 50).map((e) => make("li", { text: [moment(e.time / 1e6), e.user, e.action, e.alarm ?? e.model ?? e.part ?? "", e.reason ?? e.label ?? e.text ?? ""].filter(Boolean).join(" · ") }))) : null,
    ].filter(Boolean);
  }

  trial(monitors) {
    let monitor = monitors[0];
    const budget = make("input", { name: "budget", value: "1 alarm/week", maxlength: "40", "aria-label": say("settings.budget") });
    const answer = make("div", { role: "status" });
    const count = async (event) => {
      event.preventDefault();
      try {
        const effect = await ask(`budget?${new URLSearchParams({ monitor, budget: budget.value })}`);
        const hours = number(effect.watched_minutes / 60);
        const overlay = `monitors:\n  ${monitor}:\n    budget: ${budget.value}`;
        answer.replaceChildren(
          make("p", { text: say("settings.effect", { alarms: effect.alarms, hours }) }),
          make("ul", {}, effect.beside.map((one) => make("li", { text: `${one.budget}: ${say("settings.effect", { alarms: one.alarms, hours })}` }))),
          make("p", { class: "soft", text: say("settings.paste") }), make("pre", {}, make("code", { text: overlay })));
      } catch (error) { failed(error); }
    };
    return make("div", {}, make("form", { class: "actions", onsubmit: count },
      choice(say("settings.monitor"), "monitor", monitors.map((m) => [m, m]), monitor, (value) => { monitor = value; }),
      make("label", {}, say("settings.budget"), budget), make("button", { text: say("settings.count") })), answer);
  }
}

function tree(values) {
  return make("dl", {}, Object.entries(values).flatMap(([name, value]) => [
    make("dt", { text: name }),
    make("dd", {}, value !== null && typeof value === "object" && !Array.isArray(value) ? tree(value) : String(Array.isArray(value) ? JSON.stringify(value) : value)),
  ]));
}
