// The page's frame: who is logged in, which page is shown, and the news that come by Server-Sent Events.

import "./texts.js";
import { ask, make } from "./dom.js";
import { age } from "./format.js";
import { words } from "./parts_of_pages.js";
import { NAMES, choose, language, say } from "./words.js";

const PAGES = ["now", "alarms", "signals", "parts", "models", "system", "settings"];
const place = document.getElementById("page");
const link = document.getElementById("link");
export const session = { name: "", role: "viewer" };
let current = null;
let heard = Date.now();
let turn = 0;

function address() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [page, ...rest] = path.split("/").map(decodeURIComponent);
  return { page: PAGES.includes(page) ? page : "now", rest, query: new URLSearchParams(query) };
}

export function may(role) {
  const order = ["viewer", "operator", "engineer"];
  return order.indexOf(session.role) >= order.indexOf(role);
}

export function failed(error) {
  if (error.message !== "401") announce(say("failed", { why: error.message }));
}

export function announce(text, href = location.hash || "#/now") {
  const note = make("a", { href, text });
  document.getElementById("news").replaceChildren(note);
  setTimeout(() => note.remove(), 8000);
}

async function show() {
  const { page, rest, query } = address();
  const mine = ++turn;
  for (const entry of document.querySelectorAll("#pages a")) {
    if (entry.dataset.page === page) entry.setAttribute("aria-current", "page"); else entry.removeAttribute("aria-current");
  }
  document.body.classList.toggle("wall", query.has("wall"));
  const module = await import(`./pages/${page}.js`);
  const next = new module.Page(rest, query);
  try {
    const content = await next.load();
    if (mine !== turn) return;
    current?.close?.();
    current = next;
    place.replaceChildren(...content);
    next.shown?.();
    document.title = `${place.querySelector("h1")?.textContent ?? ""} · Edgeloop`;
  } catch (error) {
    if (mine === turn) { place.replaceChildren(make("h1", { text: say(`page.${page}`) }), make("p", { role: "alert", text: say("failed", { why: error.message }) })); }
  }
}

function frame() {
  document.documentElement.lang = language();
  for (const element of document.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
  const pages = PAGES.map((page) => make("a", { href: `#/${page}`, "data-page": page, text: say(`page.${page}`) }));
  document.getElementById("pages").replaceChildren(...pages);
  const select = document.getElementById("language");
  select.replaceChildren(...Object.entries(NAMES).map(([code, name]) => make("option", { value: code, selected: code === language(), text: name })));
}

function listen() {
  const events = new EventSource("/api/v1/events");
  const hear = (kind, handle) => events.addEventListener(kind, (event) => {
    heard = Date.now();
    handle(JSON.parse(event.data));
  });
  events.onopen = () => { heard = Date.now(); link.textContent = ""; current?.again?.(); };
  for (const kind of ["alarm", "monitors", "part", "health", "values"]) {
    hear(kind, (news) => {
      current?.news?.(kind, news);
      if (kind === "alarm" && news.state === "raised" && !news.held_by) announce(`${news.asset}: ${words(news)}`, `#/alarms/${news.id}`);
    });
  }
  hear("reload", () => current?.again?.());
  events.onerror = async () => {
    try { await ask("session"); } catch { /* told below */ }
  };
  setInterval(() => {
    if (events.readyState !== EventSource.OPEN) link.textContent = say("offline", { age: age((Date.now() - heard) / 1000) });
  }, 1000);
}

async function start() {
  frame();
  Object.assign(session, await ask("session"));
  const line = await ask("line");
  document.getElementById("site").textContent = `${line.site} · ${line.device}`;
  document.getElementById("who").textContent = session.name;
  document.getElementById("language").addEventListener("change", (event) => { choose(event.target.value); frame(); show(); });
  window.addEventListener("hashchange", () => { show(); place.focus(); });
  window.addEventListener("keydown", (event) => {
    if (!event.target.closest("input, select, textarea") && !event.ctrlKey && !event.metaKey && !event.altKey) current?.key?.(event);
  });
  await show();
  listen();
}

start().catch(failed);
