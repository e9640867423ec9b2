// The line at a glance: assets worst first, what learns, what is blind, programs that are not well.

import { ask, make } from "../dom.js";
import { age } from "../format.js";
import { known, say } from "../words.js";
import { state, words } from "../parts_of_pages.js";

export class Page {
  async load() {
    this.line = await ask("line");
    return this.content();
  }

  content() {
    const { assets, components } = this.line;
    const open = assets.reduce((sum, asset) => sum + asset.alarms, 0);
    const unwell = components.filter((one) => one.state !== "ok" && one.state !== "unheard");
    return [
      make("h1", { text: say("now.title") }),
      make("p", { class: "row" },
        make("a", { href: "#/alarms", text: open ? say("now.alarms", { count: open }) : say("now.none") }),
        make("a", { href: "#/now?wall", text: say("now.wall") })),
      assets.length ? make("ul", { class: "cards" }, assets.map(card)) : make("p", { text: say("now.no_assets") }),
      unwell.length ? make("h2", { text: say("now.components") }) : null,
      unwell.length ? make("ul", { class: "cards" }, unwell.map(program)) : null,
    ].filter(Boolean);
  }

  news(kind) {
    if (kind === "values") return;
    this.pending ??= setTimeout(() => { this.pending = null; this.again(); }, kind === "alarm" ? 0 : 1000);
  }

  async again() {
    try {
      this.line = await ask("line");
      if (!this.closed) document.getElementById("page").replaceChildren(...this.content());
    } catch { /* the frame tells that the device is away */ }
  }

  close() {
    this.closed = true;
    clearTimeout(this.pending);
  }
}

function card(asset) {
  const worst = asset.worst;
  const lines = [];
  if (worst) lines.push(make("p", { text: words(worst) }));
  else for (const monitor of asset.monitors) {
    const learning = monitor.state === "learning" && monitor.learned !== null ? ` · ${say("now.learned", { percent: Math.round(monitor.learned * 100) })}` : "";
    lines.push(make("p", { class: "soft", text: `${monitor.id}: ${say(`state.${monitor.state}`)}${learning}` }));
  }
  for (const camera of asset.cameras) {
    const counts = { pass: camera.counts.pass ?? 0, fail: camera.counts.fail ?? 0, unknown: camera.counts.unknown ?? 0 };
    const counted = Object.keys(camera.counts).length > 0;
    const last = camera.last ? `${say("now.last", { verdict: say(`parts.${camera.last.verdict}`) })} · ` : "";
    lines.push(make("p", { class: "soft", text: `${camera.id}: ${last}${counted ? say("now.counts", counts) : ""}` }));
  }
  const href = asset.alarms ? `#/alarms?asset=${encodeURIComponent(asset.id)}` : asset.monitors.length ? `#/signals/${encodeURIComponent(asset.monitors[0].input.split(" ")[0])}` : "#/parts";
  return make("li", {}, make("a", { class: `card ${asset.state}`, href }, make("h2", { text: asset.id }), make("p", { class: "row" }, state(asset.state), asset.state === "unseen" ? state(worst.severity) : null), lines));
}

function program(one) {
  const problem = one.problems[0];
  const since = problem?.since ? ` (${say("ago", { age: age(Date.now() / 1000 - problem.since / 1e9) })})` : "";
  const line = problem ? `${problem.line}${since}` : known(`state.${one.state}`) ? say(`state.${one.state}`) : one.state;
  return make("li", {}, make("a", { class: `card ${one.state}`, href: "#/system" }, make("h2", { text: one.name }), state(one.state), make("p", { text: line })));
}
