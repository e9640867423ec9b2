// Models: what is wanted, what is active, what became of it where it is used.

import { announce, failed, may } from "../app.js";
import { ask, make } from "../dom.js";
import { moment, number } from "../format.js";
import { say } from "../words.js";

export class Page {
  async load() {
    const models = await ask("models");
    return [
      make("h1", { text: say("models.title") }),
      models.length ? make("ul", { class: "cards" }, models.map((model) => this.card(model))) : make("p", { text: say("models.none") }),
    ];
  }

  card(model) {
    const rows = [
      [say("models.desired"), model.desired ? [model.desired.version, model.desired.uri].filter(Boolean).join(" · ") : "–"],
      [say("models.active"), model.active?.version ?? say("model.default")],
      [say("models.previous"), model.previous?.version ?? "–"],
      [say("models.since"), model.since_ms ? moment(model.since_ms) : "–"],
    ];
    const hold = (version) => async () => {
      try { await ask(`models/${encodeURIComponent(model.name)}/hold`, { version }); announce(say("models.sent")); } catch (error) { failed(error); }
    };
    return make("li", { class: `card ${model.state === "rolled_back" || model.damage ? "high" : "well"}` },
      make("h2", { text: model.name }), make("span", { class: "state", text: say(`model.${model.state}`) }),
      make("dl", {}, rows.flatMap(([name, value]) => [make("dt", { text: name }), make("dd", { text: value })])),
      model.damage ? make("p", { role: "alert", text: model.damage }) : null,
      model.used.map((one) => make("p", { class: "soft", text: `${say("models.used", { component: one.component, fate: one.fate, inferences: number(one.inferences), failures: number(one.failures) })}${one.reason ? `: ${one.reason}` : ""}` })),
      may("engineer") && model.previous ? make("button", { onclick: hold(model.previous.version), text: say("models.back", { version: model.previous.version }) }) : null,
      may("engineer") ? make("button", { onclick: hold(""), text: say("models.release") }) : null);
  }
}
