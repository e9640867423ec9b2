// The texts of a page by key, in each language. `add` takes a page's own: key → [English, German, Japanese].

const LANGUAGES = ["en", "de", "ja"];
export const NAMES = { en: "English", de: "Deutsch", ja: "日本語" };
const texts = new Map();
let chosen = remembered() ?? LANGUAGES.find((code) => navigator.languages?.some((l) => l.startsWith(code))) ?? "en";

function remembered() {
  try {
    const code = localStorage.getItem("language");
    return LANGUAGES.includes(code) ? code : null;
  } catch {
    return null;
  }
}

export function add(table) {
  for (const [key, words] of Object.entries(table)) texts.set(key, words);
}

export function language() {
  return chosen;
}

export function choose(code) {
  chosen = LANGUAGES.includes(code) ? code : "en";
  try { localStorage.setItem("language", chosen); } catch { /* private windows keep nothing */ }
}

/** The text of a key, `{name}` replaced by the parameters; the key itself where there is none. */
export function say(key, parameters = {}) {
  const words = texts.get(key);
  if (!words) return key;
  const text = words[LANGUAGES.indexOf(chosen)] ?? words[0];
  return text.replace(/\{(\w+)\}/g, (whole, name) => parameters[name] ?? whole);
}

export function known(key) {
  return texts.has(key);
}

add({
  language: ["en", "de", "ja"],
  "login.title": ["Log in", "Anmelden", "ログイン"],
  "login.name": ["Name", "Name", "名前"],
  "login.password": ["Password", "Passwort", "パスワード"],
  "login.enter": ["Log in", "Anmelden", "ログイン"],
  "login.wrong": ["Name or password is wrong.", "Name oder Passwort ist falsch.", "名前またはパスワードが違います。"],
  "login.provider": ["Log in by the plant's directory", "Über das Verzeichnis des Werks anmelden", "工場のディレクトリでログイン"],
  "login.refused": ["The directory did not let you in; the record of who did what says why.", "Das Verzeichnis hat Sie nicht eingelassen; das Protokoll sagt, warum.", "ディレクトリがログインを許可しませんでした。理由は操作記録にあります。"],
  "login.nobody": [
    "Nobody may log in yet: set a user on the device with “edgeloop console user add NAME --role engineer”.",
    "Noch darf sich niemand anmelden: auf dem Gerät einen Benutzer setzen mit „edgeloop console user add NAME --role engineer“.",
    "まだ誰もログインできません。装置上で「edgeloop console user add NAME --role engineer」を実行してください。",
  ],
});
