/** Many photos: the table of their answers, and the same as a CSV. */

import { $, element } from "./dom.js";
import { named, percent, say } from "./words.js";

const SIDE = 96; // pixels of a thumbnail, twice what it is shown at

/**
 * Show the table anew.
 *
 * @param {object[]} photos each with its `file`, and its `answer`, or a `problem` that gives its words, if there is one yet
 * @param {(photo: object) => void} open called for the photo that is chosen
 */
export function fill(photos, open) {
  $("many-title").textContent = say("many", { n: photos.length });
  $("rows").replaceChildren(...photos.map((photo) => {
    photo.thumb ??= element("canvas", { width: SIDE, height: SIDE });
    photo.thumb.ariaHidden = "true";
    const title = element("th", { scope: "row", className: "word" });
    photo.row = element("tr", {}, title, element("td", { className: "word" }), element("td"));
    refresh(photo, open);
    return photo.row;
  }));
}

/** Show what has become known of a photo in its row. */
export function refresh(photo, open) {
  const [title, species, share] = photo.row.cells;
  const { answer, file } = photo;
  const name = element(answer ? "button" : "span", { className: "name", textContent: file.name });
  if (answer) {
    name.type = "button";
    photo.row.className = "answered";
    photo.row.onclick = () => open(photo);
  }
  title.replaceChildren(element("div", {}, photo.thumb, name));
  if (photo.problem) species.replaceChildren(element("span", { className: "warm", ...photo.problem() }));
  if (!answer) return;
  const [best] = answer.predictions;
  if (answer.unknown) {
    const nearest = element("span", { className: "soft", textContent: say("nearest", { name: named(best.species) }) });
    species.replaceChildren(element("span", { className: "badge", textContent: say("unknown") }), " ", nearest);
  } else {
    species.replaceChildren(element("span", { className: "name", textContent: best.species }));
  }
  share.textContent = percent(best.probability);
}

/** Draw a small square of a photo, if this browser can read it. */
export async function thumbnail(photo) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(photo.file);
  } catch {
    photo.thumb.classList.add("blank");
    return;
  }
  const side = Math.min(bitmap.width, bitmap.height);
  const [left, top] = [(bitmap.width - side) / 2, (bitmap.height - side) / 2];
  const pen = photo.thumb.getContext("2d");
  pen.imageSmoothingQuality = "medium"; // averages, where the default would take single pixels
  pen.drawImage(bitmap, left, top, side, side, 0, 0, SIDE, SIDE);
  bitmap.close();
}

/**
 * The answers for a spreadsheet, in English as every reader of such files expects.
 *
 * @param {object[]} photos
 * @returns {string} CSV with CR LF, each text safe from being run as a formula
 */
export function csv(photos) {
  const lines = [["photo", "species", "probability", "unknown", "problem"]];
  for (const { file, answer, problem } of photos) {
    const best = answer?.predictions[0];
    const unknown = answer ? String(answer.unknown) : "";
    lines.push([file.name, best?.species, best?.probability.toFixed(6), unknown, problem?.().textContent]);
  }
  return lines.map((line) => `${line.map(cell).join(",")}\r\n`).join("");
}

/** One cell: a quote before what a spreadsheet would run (OWASP, CSV injection), and quotes around what needs them. */
function cell(value = "") {
  const text = /^[=+\-@\t\r\n]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
