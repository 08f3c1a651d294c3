
"use strict";
const $ = (id) => document.getElementById(id);
const dialog = document.querySelector("dialog");
const looks = [...document.querySelectorAll("main figure")].filter((look) => look.querySelector("button.picture"));
let shown = 0;

function say(text) {
  (dialog.open ? dialog : document.body).append($("said")); // what lies outside an open dialog is dimmed
  $("said").textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { $("said").textContent = ""; }, 2500);
}

// Browsers keep navigator.clipboard from some pages that come from a file; the old command works there.
async function copy(code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    const selection = getSelection();
    selection.selectAllChildren(code);
    if (!document.execCommand("copy")) return say("Selected: copy it with Ctrl+C");
    selection.removeAllRanges();
  }
  say("Copied");
}

function show(number) {
  shown = (number + looks.length) % looks.length;
  const look = looks[shown];
  const image = look.querySelector("img");
  $("larger-is").src = image.src;
  $("larger-is").alt = image.alt;
  $("larger-was").src = $("photograph").src;
  $("larger-name").textContent = look.querySelector("h3").textContent;
  $("larger-about").textContent = look.querySelector(".about")?.textContent ?? "";
  $("larger-command").textContent = look.querySelector("code").textContent;
  document.querySelector(".pair").classList.toggle("wide", image.width > 2 * image.height);
  if (!dialog.open) dialog.showModal();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.matches(".copy")) copy(button.parentElement.querySelector("code"));
  else if (button?.matches(".picture")) show(looks.indexOf(button.closest("figure")));
  else if (event.target === dialog || button === $("larger-close")) dialog.close();
  else if (button === $("larger-before")) show(shown - 1);
  else if (button === $("larger-after")) show(shown + 1);
});
dialog.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") show(shown - 1);
  if (event.key === "ArrowRight") show(shown + 1);
});
dialog.addEventListener("close", () => looks[shown].querySelector("button").focus());

// A killed program leaves an unfinished page, which need not be looked at for ever.
const hour = 3600e3;
if (Date.now() - document.body.dataset.filledAt < hour) {
  setInterval(() => { if (!dialog.open) location.reload(); }, 5000);
}
