// Spectra one beneath the other, the newest at the bottom: dark is loud, in light and in dark schemes alike.

import { make } from "./dom.js";
import { number } from "./format.js";
import { say } from "./words.js";

const FLOOR = -60;

export class Waterfall {
  constructor(title) {
    this.canvas = make("canvas", { class: "waterfall", width: "256", height: "120" });
    this.caption = make("figcaption", { text: title });
    this.note = make("p", { class: "soft", role: "status" });
    this.element = make("figure", { class: "chart" }, this.caption, this.canvas, this.note);
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
  }

  show(shown) {
    this.shown = shown;
    const { levels, times, unit } = shown;
    this.canvas.width = levels[0].length;
    this.canvas.height = levels.length;
    const context = this.canvas.getContext("2d");
    const image = context.createImageData(levels[0].length, levels.length);
    levels.forEach((row, y) => row.forEach((level, x) => {
      const loud = Math.max(0, 1 - level / FLOOR);
      image.data.set([240 - 220 * loud, 244 - 190 * loud ** 1.5, 250 - 130 * loud ** 2, 255], 4 * (y * row.length + x));
    }));
    context.putImageData(image, 0, 0);
    const span = number((times[times.length - 1] - times[0]) / 1000);
    const words = say("signals.waterfall.of", { channel: shown.channel, highest: number(shown.highest, "Hz"), span, reference: number(shown.reference, unit), strongest: number(shown.strongest, "Hz") });
    this.caption.textContent = `${say("signals.waterfall")}. ${words}`;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", words);
  }

  point(event) {
    if (!this.shown) return;
    const box = this.canvas.getBoundingClientRect();
    const row = this.shown.levels[Math.min(this.shown.levels.length - 1, Math.max(0, Math.floor((event.clientY - box.top) / box.height * this.shown.levels.length)))];
    const at = Math.min(row.length - 1, Math.max(0, Math.floor((event.clientX - box.left) / box.width * row.length)));
    this.note.textContent = say("signals.waterfall.at", { frequency: number(this.shown.frequencies[at], "Hz"), level: number(row[at]) });
  }
}
