import { say } from "./words.js";

for (const element of document.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
document.documentElement.lang = say("language");
const wrong = document.getElementById("wrong");
const refused = document.getElementById("refused");
if (refused) refused.hidden = !location.search.includes("refused");
if (wrong) wrong.hidden = !location.search.includes("wrong");
