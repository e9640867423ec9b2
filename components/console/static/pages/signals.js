// Any stream, live and back, with its spectrum.

import { Chart } from "../chart.js";
import { ask, make } from "../dom.js";
import { number } from "../format.js";
import { choice } from "../parts_of_pages.js";
import { Waterfall } from "../waterfall.js";
import { say } from "../words.js";

const SPANS = { m10: 600e3, h1: 3600e3, h8: 8 * 3600e3, d1: 86400e3, d7: 7 * 86400e3 };

export class Page {
  constructor(rest, query) {
    this.stream = rest[0];
    this.span = query.get("span") in SPANS ? query.get("span") : "m10";
  }

  async load() {
    const [streams, line] = await Promise.all([ask("streams"), ask("line")]);
    this.streams = streams;
    if (!this.streams.length) return [make("h1", { text: say("signals.title") }), make("p", { text: say("nothing") })];
    this.one = this.streams.find((s) => s.id === this.stream) ?? this.streams[0];
    this.stream = this.one.id;
    this.view = null;
    const go = (stream, span) => { location.hash = `#/signals/${encodeURIComponent(stream)}?span=${span}`; };
    this.chart = new Chart(this.stream, { height: 340, zoomed: (from, to) => { this.view = [from, to]; this.draw(); } });
    this.chart.box.addEventListener("dblclick", () => { this.view = null; this.draw(); });
    this.spectrum = new Chart(say("signals.spectrum"), { height: 240 });
    this.waterfall = new Waterfall(say("signals.waterfall"));
    this.values = make("p", { class: "row" });
    const watching = line.assets.flatMap((asset) => asset.monitors).filter((monitor) => monitor.input.split(" ").includes(this.stream));
    this.scores = watching.slice(0, 3).map((monitor) => [monitor.id, new Chart(say("signals.scores", { monitor: monitor.id }), { height: 160 })]);
    const channels = this.one.channels.map((c) => c.name);
    this.channel = channels[0];
    return [
      make("h1", { text: `${say("signals.title")}: ${this.stream}` }),
      make("div", { class: "actions" },
        choice(say("signals.stream"), "stream", this.streams.map((s) => [s.id, s.id]), this.stream, (value) => go(value, this.span)),
        choice(say("signals.span"), "span", Object.keys(SPANS).map((key) => [key, say(`span.${key}`)]), this.span, (value) => go(this.stream, value))),
      this.values,
      this.chart.element,
      ...this.scores.map(([, chart]) => chart.element),
      this.one.rate >= 50 ? make("div", { class: "actions" }, choice(say("signals.spectrum"), "channel", channels.map((c) => [c, c]), this.channel, (value) => { this.channel = value; this.draw(); })) : null,
      this.one.rate >= 50 ? this.spectrum.element : null,
      this.one.rate >= 50 ? this.waterfall.element : null,
    ].filter(Boolean);
  }

  shown() {
    if (!this.one) return;
    this.now(this.one.values);
    this.draw();
    this.score();
    this.slow = setInterval(() => { if (!document.hidden) this.score(); }, 30000);
    this.timer = setInterval(() => { if (!this.view && !document.hidden) this.draw(); }, this.span === "m10" ? 2000 : 15000);
  }

  async score() {
    for (const [id, chart] of this.scores) {
      try {
        const points = await ask(`monitors/${encodeURIComponent(id)}/return_times`);
        if (points.times.length && !this.closed) await chart.points(points);
      } catch { /* a line of uploads has none */ }
    }
  }

  now(values) {
    const rate = this.one.rate ? say("signals.rate", { rate: number(this.one.rate) }) : "";
    this.values.replaceChildren(...this.one.channels.map((c, at) => make("span", { text: `${c.name}: ${say("signals.now", { value: number(values[at], c.unit) })}` })), make("span", { class: "soft", text: rate }));
  }

  async draw() {
    const [from, to] = this.view ?? [0, SPANS[this.span]];
    const rows = this.one.rate * (to - from) / 1000;
    const span = this.view ? `from=${from}&to=${to}` : `last=${to}`;
    const end = this.view ? `to=${to}` : "";
    try {
      const points = await ask(`streams/${encodeURIComponent(this.stream)}/points?${span}&points=1500&raw=${rows && rows < 400000 ? 1 : 0}`);
      this.chart.caption.textContent = `${say(`signals.from.${points.from}`)}. ${say("signals.zoom")}`;
      if (points.times.length) await this.chart.points(points);
      if (this.one.rate >= 50) {
        const spectrum = await ask(`streams/${encodeURIComponent(this.stream)}/spectrum?${end}`);
        await this.spectrum.spectrum(spectrum, this.channel);
        if (!this.fallen || this.fallen !== `${this.channel} ${this.view}` || Date.now() - this.fell > 10000) {
          this.fallen = `${this.channel} ${this.view}`;
          this.fell = Date.now();
          this.waterfall.show(await ask(`streams/${encodeURIComponent(this.stream)}/waterfall?${end}&channel=${encodeURIComponent(this.channel)}`));
        }
      }
    } catch (error) {
      if (error.message !== "offline") this.chart.caption.textContent = error.message;
    }
  }

  news(kind, values) {
    if (kind === "values" && values[this.stream]) this.now(values[this.stream][1]);
  }

  close() {
    this.closed = true;
    clearInterval(this.timer);
    clearInterval(this.slow);
    for (const [, chart] of this.scores ?? []) chart.close();
    this.chart?.close();
    this.spectrum?.close();
  }
}
