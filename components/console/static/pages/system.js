// The programs by their own health, and the device.

import { ask, make } from "../dom.js";
import { age, bytes, moment, number } from "../format.js";
import { state } from "../parts_of_pages.js";
import { say } from "../words.js";

export class Page {
  async load() {
    const { machine, components, history_bytes: history } = await ask("system");
    const upload = components.find((one) => one.upload)?.upload;
    const facts = [
      [say("system.clock"), moment(machine.time_ms)],
      [say("system.disk"), `${bytes(machine.disk_free_bytes)} / ${bytes(machine.disk_bytes)}`],
      [say("system.free"), `${bytes(machine.memory_available_bytes)} / ${bytes(machine.memory_bytes)}`],
      [say("system.load", { cores: machine.cores }), number(machine.load)],
      [say("system.history"), bytes(history)],
      upload ? [say("system.upload"), say("system.backlog", { bytes: bytes(upload.backlog_bytes), age: age(upload.backlog_age_s) })] : null,
    ].filter(Boolean);
    const head = ["component", "problems", "memory", "cpu", "uptime"].map((key) => make("th", { scope: "col", text: say(`system.${key}`) }));
    return [
      make("h1", { text: say("system.title") }),
      make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": say("system.title") }, make("table", {}, make("thead", {}, make("tr", {}, head)), make("tbody", {}, components.map(row)))),
      make("h2", { text: say("system.machine") }),
      make("dl", {}, facts.flatMap(([name, value]) => [make("dt", { text: name }), make("dd", { text: value })])),
    ];
  }

  shown() {
    this.timer = setInterval(async () => {
      try { const content = await this.load(); if (!this.closed) document.getElementById("page").replaceChildren(...content); } catch { /* the frame tells */ }
    }, 5000);
  }

  close() {
    this.closed = true;
    clearInterval(this.timer);
  }
}

function row(one) {
  const problems = one.problems.map((p) => make("li", { text: `${p.line} (${say("ago", { age: age(Date.now() / 1000 - p.since / 1e9) })})` }));
  return make("tr", {},
    make("th", { scope: "row" }, one.name, " ", state(one.state)),
    make("td", {}, problems.length ? make("ul", {}, problems) : "–"),
    make("td", { class: "number", text: number(one.memory_mb) }),
    make("td", { class: "number", text: number(one.cpu_s) }),
    make("td", { text: one.uptime_s === null ? "–" : age(one.uptime_s) }));
}
