// The list of alarms, and one alarm: why, what is normal, what to check, the chart around it, what people said.

import { announce, failed, may } from "../app.js";
import { Chart } from "../chart.js";
import { ask, make } from "../dom.js";
import { age, moment } from "../format.js";
import { choice, part, state, words } from "../parts_of_pages.js";
import { known, say } from "../words.js";

const ORDER = ["critical", "high", "medium", "low"];
const SENSOR = ["gap", "silent", "flat_line", "range", "clock"];

export class Page {
  constructor(rest, query) {
    this.id = rest[0];
    this.asset = query.get("asset") ?? "";
    this.open = query.get("show") !== "all";
    this.charts = [];
  }

  async load() {
    if (this.id) return this.one();
    this.alarms = await ask(`alarms?${this.open ? "open=1" : ""}`);
    return this.list();
  }

  // the list

  list() {
    const rows = this.alarms.filter((a) => (!this.asset || a.asset === this.asset) && !a.held_by);
    rows.sort((a, b) => (b.state === "raised") - (a.state === "raised") || ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity) || b.first_out - a.first_out || b.raised_at_ms - a.raised_at_ms);
    const assets = [...new Set(this.alarms.map((a) => a.asset))].sort();
    const go = (asset, show) => { location.hash = `#/alarms?asset=${encodeURIComponent(asset)}&show=${show}`; };
    return [
      make("h1", { text: say("alarms.title") }),
      make("div", { class: "actions" },
        choice(say("alarms.asset"), "asset", [["", say("all")], ...assets.map((a) => [a, a])], this.asset, (value) => go(value, this.open ? "open" : "all")),
        choice(say("alarms.show"), "show", [["open", say("alarms.open")], ["all", say("alarms.every")]], this.open ? "open" : "all", (value) => go(this.asset, value)),
        make("span", { class: "soft", text: say("alarms.keys") })),
      rows.length ? make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": say("alarms.title") }, make("table", {},
        make("thead", {}, make("tr", {}, ["severity", "words", "asset", "state", "since", "by"].map((key) => make("th", { scope: "col", text: say(`alarms.${key}`) })))),
        make("tbody", {}, rows.map(row)))) : make("p", { text: say("alarms.none") }),
    ];
  }

  key(event) {
    const links = [...document.querySelectorAll("tbody a")];
    const at = links.indexOf(document.activeElement);
    if (event.key === "j") links[Math.min(at + 1, links.length - 1)]?.focus();
    if (event.key === "k") links[Math.max(at - 1, 0)]?.focus();
  }

  news(kind, alarm) {
    if (kind !== "alarm" || (this.id && alarm.id !== this.id)) return;
    this.again();
  }

  async again() {
    if (document.activeElement?.matches("input, select, textarea")) return;
    this.free();
    try {
      const content = await this.load();
      if (!this.closed) { document.getElementById("page").replaceChildren(...content); this.shown(); }
    } catch (error) { failed(error); }
  }

  // one alarm

  async one() {
    const alarm = this.alarm = await ask(`alarms/${encodeURIComponent(this.id)}`);
    return [
      make("h1", { text: `${alarm.asset}: ${words(alarm)}` }),
      make("p", { class: "row" }, state(alarm.severity), state(alarm.state), make("span", { text: known(`kind.${alarm.kind}`) ? say(`kind.${alarm.kind}`) : alarm.kind })),
      make("dl", {},
        make("dt", { text: say("alarm.raised") }), make("dd", { text: `${moment(alarm.raised_at_ms)} (${say("ago", { age: age((Date.now() - alarm.raised_at_ms) / 1000) })})` }),
        make("dt", { text: say("alarm.why") }), make("dd", {}, why(alarm)),
        make("dt", { text: say("alarm.check") }), make("dd", { text: check(alarm) })),
      alarm.reason ? make("p", { text: say("alarm.thanks", { reason: say(`reason.${alarm.reason}`), by: alarm.by || say("unknown") }) }) : null,
      may("operator") ? this.answers(alarm) : null,
      make("h2", { text: say("alarm.around") }),
      this.around = make("div"),
      this.pictures = make("div"),
      alarm.members.length ? make("h2", { text: say("alarm.group") }) : null,
      alarm.members.length ? make("ul", {}, alarm.members.map((one) => make("li", {}, make("a", { href: `#/alarms/${one.id}`, text: `${one.asset}: ${words(one)}` }), " ", state(one.state)))) : null,
      make("h2", { text: say("alarm.comment") }),
      make("ul", {}, alarm.comments.map((one) => make("li", { text: `${moment(one.time / 1e6)} ${one.user}: ${one.text}` }))),
      may("operator") ? this.remark() : null,
    ].filter(Boolean);
  }

  answers(alarm) {
    let reason = "true";
    let span = "8 h";
    const send = (verb, body) => async () => {
      try {
        await ask(`alarms/${encodeURIComponent(alarm.id)}/${verb}`, body());
        document.activeElement?.blur();
        await this.again();
        announce(say(`state.${this.alarm.state}`));
      } catch (error) { failed(error); }
    };
    const reasons = ["true", "false", "maintenance", "process_change"].map((r) => [r, say(`reason.${r}`)]);
    const spans = ["30 min", "1 h", "8 h", "2 d", "7 d"].map((s) => [s, s]);
    return make("div", { class: "actions" },
      choice(say("alarm.reason"), "reason", reasons, reason, (value) => { reason = value; }),
      make("button", { class: "main", onclick: send("acknowledge", () => ({ reason })), text: say("alarm.acknowledge") }),
      alarm.state !== "cleared" && alarm.state !== "shelved" ? choice(say("alarm.for"), "span", spans, span, (value) => { span = value; }) : null,
      alarm.state !== "cleared" && alarm.state !== "shelved" ? make("button", { onclick: send("shelve", () => ({ span })), text: say("alarm.shelve") }) : null,
      alarm.state === "shelved" ? make("button", { onclick: send("unshelve", () => ({})), text: say("alarm.unshelve") }) : null);
  }

  remark() {
    const text = make("input", { name: "comment", maxlength: "1000", "aria-label": say("alarm.comment"), size: "40" });
    return make("form", { class: "actions", onsubmit: async (event) => {
      event.preventDefault();
      if (!text.value.trim()) return;
      try {
        await ask(`alarms/${encodeURIComponent(this.id)}/comment`, { text: text.value.trim() });
        text.blur();
        await this.again();
      } catch (error) { failed(error); }
    } }, text, make("button", { text: say("alarm.send") }));
  }

  async shown() {
    if (!this.id || !this.alarm) return;
    const alarm = this.alarm;
    const start = alarm.began_ms || alarm.raised_at_ms;
    const end = alarm.state === "cleared" ? alarm.time_ms : Math.min(Date.now(), Math.max(alarm.sample_time_ms, start) + 60000);
    const margin = Math.min(600000, Math.max(15000, (end - start) * 0.5));
    this.seen(start - margin, end + margin);
    const channels = [...new Set(alarm.cause.attribution.map((one) => one.channel))];
    for (const stream of alarm.streams.slice(0, 3)) {
      let from = start - margin;
      let to = end + margin;
      const caption = (points) => `${stream}: ${say(`signals.from.${points.from}`)}. ${say("signals.zoom")}`;
      const chart = new Chart(stream, { marks: [start], zoomed: (low, high) => { from = low; to = high; draw(); } });
      chart.box.addEventListener("dblclick", () => { from = start - margin; to = end + margin; draw(); });
      const draw = async () => {
        try {
          const points = await ask(`streams/${encodeURIComponent(stream)}/points?from=${from}&to=${to}&points=1200&raw=${to - from < 20000 ? 1 : 0}`);
          chart.caption.textContent = caption(points);
          const there = channels.filter((name) => points.channels.includes(name));
          if (points.times.length) await chart.points(points, there);
        } catch (error) { chart.caption.textContent = `${stream}: ${error.message}`; }
      };
      this.charts.push(chart);
      this.around.append(chart.element);
      await draw();
    }
  }

  /** Kept pictures of the alarm's camera, or of its asset's, around it. */
  async seen(from, to) {
    try {
      const { parts } = await ask("parts?most=500");
      const mine = parts.filter((p) => p.picture && p.time_ms >= from && p.time_ms <= to && (p.camera === this.alarm.monitor || p.asset === this.alarm.asset));
      if (!mine.length || this.closed) return;
      const shown = mine.slice(0, 8).map((p) => make("li", { class: "card part" }, make("h3", { text: `${p.camera} ${p.part}` }), make("img", { loading: "lazy", alt: say("parts.picture", { part: p.part }), src: `/api/v1/pictures/${encodeURIComponent(p.camera)}/${p.time}` })));
      this.pictures.replaceChildren(make("h2", { text: say("alarm.pictures") }), make("ul", { class: "cards" }, shown));
    } catch { /* a line without cameras */ }
  }

  free() {
    for (const chart of this.charts) chart.close();
    this.charts = [];
  }

  close() {
    this.closed = true;
    this.free();
  }
}

function row(alarm) {
  const marks = [alarm.first_out && alarm.group ? say("alarms.first") : "", alarm.count > 1 ? say("alarms.count", { count: alarm.count }) : ""].filter(Boolean).join(", ");
  return make("tr", {},
    make("td", {}, state(alarm.severity)),
    make("td", {}, make("a", { href: `#/alarms/${alarm.id}`, text: words(alarm) }), marks ? make("div", { class: "soft", text: marks }) : null),
    make("td", { text: alarm.asset }),
    make("td", {}, state(alarm.state)),
    make("td", { text: say("ago", { age: age((Date.now() - alarm.raised_at_ms) / 1000) }) }),
    make("td", { text: [alarm.by, alarm.reason ? say(`reason.${alarm.reason}`) : ""].filter(Boolean).join(": ") }));
}

function why(alarm) {
  const said = alarm.cause.attribution.map((one) => make("li", { text: part(one) }));
  const budget = alarm.budget ? make("span", { class: "soft", text: say("alarm.budget", { budget: alarm.budget }) }) : null;
  return [make("span", { text: alarm.text }), said.length ? make("ul", {}, said) : null, budget].filter(Boolean);
}

function check(alarm) {
  if (SENSOR.includes(alarm.kind)) return say("check.sensor");
  return known(`check.${alarm.kind}`) ? say(`check.${alarm.kind}`) : say("check.other");
}
