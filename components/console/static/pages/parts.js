// Verdicts as they come, with their pictures, and a person's word on them.

import { announce, failed, may, session } from "../app.js";
import { ask, make } from "../dom.js";
import { age, number } from "../format.js";
import { choice, state } from "../parts_of_pages.js";
import { say } from "../words.js";

const COLOUR = { pass: "well", fail: "critical", unknown: "medium" };

export class Page {
  constructor(rest, query) {
    this.camera = query.get("camera") ?? "";
    this.verdict = query.get("verdict") ?? "";
  }

  async load() {
    const query = new URLSearchParams({ most: "60" });
    if (this.camera) query.set("camera", this.camera);
    if (this.verdict) query.set("verdict", this.verdict);
    this.found = await ask(`parts?${query}`);
    const go = (camera, verdict) => { location.hash = `#/parts?camera=${encodeURIComponent(camera)}&verdict=${verdict}`; };
    const verdicts = ["pass", "fail", "unknown"].map((v) => [v, say(`parts.${v}`)]);
    return [
      make("h1", { text: say("parts.title") }),
      make("div", { class: "actions" },
        choice(say("parts.camera"), "camera", [["", say("all")], ...Object.keys(this.found.counts).map((c) => [c, c])], this.camera, (value) => go(value, this.verdict)),
        choice(say("parts.verdict"), "verdict", [["", say("all")], ...verdicts], this.verdict, (value) => go(this.camera, value))),
      ...Object.entries(this.found.counts).map(([camera, counts]) => make("p", { class: "soft", text: `${camera}: ${say("now.counts", { pass: counts.pass ?? 0, fail: counts.fail ?? 0, unknown: counts.unknown ?? 0 })}` })),
      this.found.parts.length ? make("ul", { class: "cards" }, this.found.parts.map((part) => this.card(part))) : make("p", { text: say("parts.none") }),
    ];
  }

  card(part) {
    const verdict = make("span", { class: `state ${COLOUR[part.verdict]}`, text: say(`parts.${part.verdict}`) });
    const picture = part.picture
      ? make("img", { loading: "lazy", alt: say("parts.picture", { part: part.part }), src: `/api/v1/pictures/${encodeURIComponent(part.camera)}/${part.time}` })
      : make("p", { class: "soft", text: say("parts.no_picture") });
    const words = [part.label, part.reason, say("parts.score", { score: number(part.score ?? 0) }), say("parts.took", { ms: number(part.latency_ms ?? 0) })].filter(Boolean).join(" · ");
    return make("li", { class: `card part ${COLOUR[part.verdict]}` },
      make("h2", { text: `${part.camera} ${part.part}` }), make("p", { class: "row" }, verdict, make("span", { class: "soft", text: say("ago", { age: age((Date.now() - part.time_ms) / 1000) }) })),
      picture, make("p", { class: "soft", text: words }), may("operator") ? this.wrong(part) : null);
  }

  wrong(part) {
    const label = make("input", { name: "label", maxlength: "64", "aria-label": say("parts.really"), list: "", placeholder: say("parts.really"), value: part.verdict === "pass" ? "bad" : "good" });
    return make("form", { class: "actions", onsubmit: async (event) => {
      event.preventDefault();
      try {
        await ask(`parts/${encodeURIComponent(part.camera)}/${encodeURIComponent(part.part)}/label`, { label: label.value.trim() });
        event.target.replaceChildren(make("span", { text: say("parts.thanks", { label: label.value.trim(), by: session.name }) }));
        announce(say("parts.thanks", { label: label.value.trim(), by: session.name }));
      } catch (error) { failed(error); }
    } }, label, make("button", { text: say("parts.wrong") }));
  }

  news(kind) {
    if (kind !== "part" || document.activeElement?.matches("input") || this.pending) return;
    this.pending = setTimeout(async () => {
      this.pending = null;
      if (this.closed || document.activeElement?.matches("input")) return;
      try { document.getElementById("page").replaceChildren(...await this.load()); } catch { /* the frame tells */ }
    }, 1500);
  }

  close() {
    this.closed = true;
    clearTimeout(this.pending);
  }
}
