/** The page: what it is given, what it does with it, and in which language it says so. */

import { $, element } from "./dom.js";
import { nodes } from "./card.js";
import { blend, hide, send, show, visible } from "./photo.js";
import { ask, predict, Refusal, requests } from "./service.js";
import { csv, fill, refresh, thumbnail } from "./table.js";
import { LANGUAGES, named, percent, say, speak, spoken } from "./words.js";

let model = null; // what the service says of itself
let asking = null; // the request for it
let photos = []; // each with its `file`, `answer` and `problem`
let work = null; // stops what is going on
let news = () => "";
let trouble = () => "";

/** Say how far it is; the text is made anew in another language. */
function tell(text = () => "") {
  news = text;
  $("status").textContent = text();
}

/** Say what went wrong. */
function complain(text = () => "") {
  trouble = text;
  $("problem").textContent = text();
}

/** Run a part of the work, and put a refusal into words. */
async function attempt(part) {
  try {
    await part();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    tell();
    complain(() => (error.status ? say("failed", { reason: error.message }) : say("unreachable")));
  }
}

async function described() {
  asking ??= ask("v1/model").then((response) => response.json());
  try {
    model = await asking;
  } catch (error) {
    asking = null; // the next photo tries again
    throw error;
  }
  describe();
}

function describe() {
  if (!model) return;
  const { card, corrections, figures, knows_strangers, limits } = model;
  const test = figures.test;
  const [low, high] = test ? test.accuracy_ci95.map(percent) : [];
  $("limits").textContent = say("limits", { size: limits.max_mb });
  $("privacy").textContent = say(corrections ? "privacy_corrections" : "privacy");
  $("accuracy").textContent = test
    ? say("accuracy", { accuracy: percent(test.accuracy), low, high, n: test.n })
    : say("unmeasured");
  $("strangers").hidden = knows_strangers;
  $("card").replaceChildren(...nodes(card));
  $("model").hidden = false;
}

/** Begin anew with some files; names in `folders` are of folders, which a browser hands over as if they were files. */
async function take(files, folders = []) {
  work?.abort();
  const mine = new AbortController();
  const options = { signal: mine.signal, waiting: (seconds) => tell(() => say("busy", { seconds })) };
  work = mine;
  hide();
  $("many").hidden = true;
  photos = [];
  tell();
  complain(files.length ? undefined : () => say("no_files"));
  if (!files.length) return;
  $("stop").hidden = false;
  try {
    await attempt(async () => {
      await described();
      if (mine.signal.aborted) return;
      photos = files.map((file) => ({ file, problem: refused(file, folders) }));
      await (files.length === 1 ? one(photos[0], options) : many(photos, options));
    });
  } catch (error) {
    if (!mine.signal.aborted) throw error;
    if (work === mine) tell(() => say("stopped"));
  } finally {
    if (work === mine) $("stop").hidden = true;
  }
}

/** Why a file is not even sent. */
function refused({ name, size }, folders) {
  const limit = model.limits.max_mb;
  if (folders.includes(name)) return () => ({ textContent: say("folder") });
  if (size <= limit * 1e6) return null;
  return () => ({ textContent: say("too_large", { size: Math.ceil(size / 1e6), limit }) });
}

async function answer(some, detailed, options) {
  const answers = await predict(some.map(({ file }) => file), detailed, options);
  some.forEach((photo, index) => {
    const found = answers[index];
    if (found.problem) photo.problem = () => ({ textContent: found.problem, lang: "en" });
    else Object.assign(photo, { answer: found, detailed });
  });
}

async function one(photo, options) {
  if (!photo.problem) {
    tell(() => say("looking", { name: named(photo.file.name) }));
    await answer([photo], true, options);
    tell();
  }
  if (photo.answer) view(photo);
  else complain(() => say("refused", { name: named(photo.file.name), reason: photo.problem().textContent }));
}

async function many(all, options) {
  fill(all, choose);
  $("many").hidden = false;
  $("many-title").focus();
  thumbnails(all, options.signal);
  const n = all.length;
  let done = 0;
  for (const part of requests(all.filter(({ problem }) => !problem), model.limits)) {
    const before = done;
    tell(() => say("progress", { done: before, n }));
    await answer(part, false, options);
    for (const photo of part) refresh(photo, choose);
    done += part.length;
  }
  tell(() => say("done", { n }));
}

/** One after another: a dozen large photos decoded at once would fill the memory of a phone. */
async function thumbnails(all, signal) {
  for (const photo of all) {
    if (signal.aborted) return;
    await thumbnail(photo);
  }
}

/** Open one of many. */
async function choose(photo) {
  complain();
  await attempt(async () => {
    if (!photo.detailed) await answer([photo], true, {});
    if (photos.includes(photo)) view(photo);
  });
}

function view(photo) {
  $("many").hidden = true;
  $("back").hidden = photos.length === 1;
  show(photo, model);
  $("one-title").focus();
}

function back() {
  const photo = visible();
  hide();
  $("many").hidden = false;
  photo.row.querySelector("button").focus();
}

function download() {
  // The mark at the beginning tells spreadsheets that the letters are UTF-8.
  const link = URL.createObjectURL(new Blob(["\ufeff", csv(photos)], { type: "text/csv" }));
  element("a", { href: link, download: "leafgraft.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(link), 10_000); // when the browser has begun to read it
}

function translate() {
  document.documentElement.lang = spoken();
  document.title = `${say("title")} – Leafgraft`;
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = say(node.dataset.text);
  for (const node of document.querySelectorAll("[data-label]")) node.ariaLabel = say(node.dataset.label);
  for (const node of $("languages").children) node.ariaPressed = String(node.lang === spoken());
  describe();
  if (photos.length > 1) {
    for (const photo of photos) if (photo.row) refresh(photo, choose);
    $("many-title").textContent = say("many", { n: photos.length });
  }
  if (visible()) show(visible(), model);
  tell(news);
  complain(trouble);
}

function listen() {
  for (const [button, input] of [["drop", "files"], ["camera", "shot"]]) {
    $(button).addEventListener("click", () => $(input).click());
    $(input).addEventListener("change", ({ target }) => {
      const files = [...target.files];
      target.value = ""; // the same file may be chosen again
      if (files.length) take(files);
    });
  }
  // A photo that misses the button must not take the place of the page.
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    $("drop").classList.add("over");
  });
  document.addEventListener("dragleave", ({ relatedTarget }) => {
    if (!relatedTarget) $("drop").classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    $("drop").classList.remove("over");
    const { files, items } = event.dataTransfer;
    const entries = [...items].map((item) => item.webkitGetAsEntry?.());
    take([...files], entries.filter((entry) => entry?.isDirectory).map(({ name }) => name));
  });
  document.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (files.length) event.preventDefault();
    if (files.length || event.target.tagName !== "INPUT") take(files);
  });
  $("slider").addEventListener("input", blend);
  $("stop").addEventListener("click", () => work.abort(new DOMException("stopped", "AbortError")));
  $("back").addEventListener("click", back);
  $("download").addEventListener("click", download);
  $("correction").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
}

for (const [lang, textContent] of Object.entries(LANGUAGES)) {
  const button = element("button", { type: "button", className: "small", lang, textContent });
  button.addEventListener("click", () => {
    speak(lang);
    translate();
  });
  $("languages").append(button);
}
listen();
translate();
attempt(described);
