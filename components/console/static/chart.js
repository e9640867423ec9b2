// Charts by uPlot: low-to-high bands of bins, a line where there is each sample.

import { make } from "./dom.js";
import { number, unit } from "./format.js";
import { language, say } from "./words.js";

const COLOURS = ["#3d8bd9", "#d9822b", "#4fae6a", "#a970d6", "#d65c7a", "#3aa9a9"];
let loading = null;

function library() {
  loading ??= new Promise((done, failed) => {
    const script = make("script", { src: "/static/uplot/uPlot.iife.min.js", onload: () => done(window.uPlot), onerror: () => failed(new Error("uPlot")) });
    document.head.append(script);
  });
  return loading;
}

/** A figure with a caption; `draw` fills it, `close` frees it. */
export class Chart {
  constructor(title, { height = 260, zoomed = null, marks = [] } = {}) {
    this.height = height;
    this.zoomed = zoomed;
    this.marks = marks;
    this.box = make("div");
    this.caption = make("figcaption", { text: title });
    this.element = make("figure", { class: "chart", role: "img", "aria-label": title }, this.caption, this.box);
    this.plot = null;
    this.resized = new ResizeObserver(() => this.plot?.setSize({ width: Math.max(200, this.box.clientWidth), height: this.height }));
    this.resized.observe(this.box);
  }

  /** points: as the API gives them; channels: names to draw, all where empty. */
  async points(points, channels = []) {
    const uPlot = await library();
    const chosen = points.channels.map((name, at) => ({ name, at })).filter(({ name }) => !channels.length || channels.includes(name));
    const times = points.times.map((ms) => ms / 1000);
    const data = [times];
    const series = [{ label: say("signals.time") }];
    const bands = [];
    const plain = points.from === "raw";
    chosen.forEach(({ name, at }, place) => {
      const colour = COLOURS[place % COLOURS.length];
      const label = [name, unit(points.units[at])].filter(Boolean).join(" · ");
      const value = (_, v) => number(v, points.units[at]);
      if (!plain) {
        bands.push({ series: [data.length + 1, data.length], fill: `${colour}44` });
        data.push(points.low[at], points.high[at]);
        series.push({ label: `${label} ↓`, stroke: `${colour}66`, value }, { label: `${label} ↑`, stroke: `${colour}66`, value });
      }
      data.push(points.mean[at]);
      series.push({ label, stroke: colour, width: 1.5, value });
    });
    this.show(uPlot, data, series, bands, true);
  }

  async spectrum(spectrum, channel) {
    const uPlot = await library();
    const at = Math.max(0, spectrum.channels.indexOf(channel));
    const value = (_, v) => number(v, spectrum.units[at]);
    const series = [{ label: say("signals.frequency"), value: (_, v) => number(v, "Hz") }, { label: spectrum.channels[at], stroke: COLOURS[0], value }];
    this.show(uPlot, [spectrum.frequencies, spectrum.amplitudes[at]], series, [], false);
  }

  show(uPlot, data, series, bands, time) {
    const view = this.plot && this.zoomed === null ? this.plot.scales.x : null;
    this.plot?.destroy();
    const ink = getComputedStyle(document.body).getPropertyValue("--soft");
    const line = getComputedStyle(document.body).getPropertyValue("--line");
    const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line }, values: time ? undefined : (_, s) => s.map((v) => number(v)) };
    const marks = this.marks;
    this.plot = new uPlot({
      width: Math.max(200, this.box.clientWidth || 600), height: this.height, series, bands,
      scales: { x: { time } },
      axes: [axis, { ...axis, size: 70, values: (_, s) => s.map((v) => number(v)) }],
      cursor: { drag: { x: true, y: false } },
      hooks: {
        setSelect: [(plot) => {
          if (this.zoomed && plot.select.width > 4) this.zoomed(plot.posToVal(plot.select.left, "x") * 1000, plot.posToVal(plot.select.left + plot.select.width, "x") * 1000);
        }],
        draw: [(plot) => marks.forEach((ms) => {
          const x = plot.valToPos(ms / 1000, "x", true);
          plot.ctx.save();
          plot.ctx.strokeStyle = "#d64545";
          plot.ctx.lineWidth = 2;
          plot.ctx.beginPath();
          plot.ctx.moveTo(x, plot.bbox.top);
          plot.ctx.lineTo(x, plot.bbox.top + plot.bbox.height);
          plot.ctx.stroke();
          plot.ctx.restore();
        })],
      },
      tzDate: (seconds) => new Date(seconds * 1000),
      fmtDate: undefined,
    }, data, this.box);
    if (view && !time) this.plot.setScale("x", { min: view.min, max: view.max });
    this.element.lang = language();
  }

  close() {
    this.resized.disconnect();
    this.plot?.destroy();
    this.plot = null;
  }
}
