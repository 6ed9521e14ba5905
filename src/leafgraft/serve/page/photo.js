/** One photo: its answer as bars, where the evidence lies, what it is like, and what it really is. */

import { $, element } from "./dom.js";
import { correct, picture, Refusal } from "./service.js";
import { named, percent, say } from "./words.js";

const CROP = 224 / 256; // of the shorter side: the square in the middle that the classifier sees
const TALLEST = 28; // rem

/** The colours of `leafgraft explain`, from nothing to most: even steps in lightness ("inferno"). */
const COLOURS = [
  [0, 0, 4], [31, 12, 72], [85, 15, 109], [136, 34, 106], [186, 54, 85], [227, 89, 51], [249, 140, 10], [249, 201, 50],
  [252, 255, 164],
];

let shown = null; // the photo
let links = []; // object URLs that the view holds

/** Show a photo with its detailed answer; `model` says what the service can. */
export async function show(photo, model) {
  const { answer, file } = photo;
  hide();
  shown = photo;
  words(photo, model);
  $("file").textContent = file.name;
  $("bars").replaceChildren(...answer.predictions.map(bar));
  $("name").value = "";
  $("thanks").textContent = "";
  $("correction").hidden = !model.corrections;
  $("one").hidden = false;
  alike(photo);
  await place(photo);
}

/** The photo on view, if there is one. */
export const visible = () => shown;

/** Put the view away. */
export function hide() {
  shown = null;
  links.forEach(URL.revokeObjectURL);
  links = [];
  for (const id of ["one", "square", "warmth", "picture", "blank", "alike"]) $(id).hidden = true;
  $("meaning").textContent = "";
}

/** Whatever of a view depends on the language. */
function words({ answer, file }, model) {
  const [best] = answer.predictions;
  const name = element("span", { className: "name", textContent: best.species });
  $("one-title").replaceChildren(...(answer.unknown ? [say("unknown")] : [name, ` ${percent(best.probability)}`]));
  $("verdict").textContent = answer.unknown ? say("unlike", { name: named(best.species) }) : "";
  $("picture").alt = say("picture", { name: file.name });
  $("names").replaceChildren(...model.species.map((value) => element("option", { value })));
}

function bar({ species, probability }) {
  const drawn = element("span", { className: "bar", ariaHidden: "true" });
  drawn.style.inlineSize = `${100 * probability}%`;
  const name = element("th", { scope: "row", className: "word name", textContent: species });
  const track = element("span", { className: "track" }, drawn);
  const both = element("div", {}, track, element("span", { textContent: percent(probability) }));
  return element("tr", {}, name, element("td", {}, both));
}

/** Put the photo in its frame, and the heat over the square that the classifier saw. */
async function place(photo) {
  const image = $("picture");
  const link = URL.createObjectURL(photo.file);
  links.push(link);
  image.src = link;
  try {
    await image.decode();
  } catch {
    if (shown === photo) {
      $("frame").style.aspectRatio = "1.5";
      $("frame").style.maxInlineSize = "";
      $("blank").hidden = false;
    }
    return;
  }
  if (shown !== photo) return;
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  $("frame").style.aspectRatio = `${width} / ${height}`;
  $("frame").style.maxInlineSize = `${(TALLEST * width) / height}rem`;
  image.hidden = false;
  const { heat, predictions } = photo.answer;
  if (!heat) return;
  const side = CROP * Math.min(width, height);
  const { style } = $("square");
  style.left = `${(50 * (width - side)) / width}%`;
  style.top = `${(50 * (height - side)) / height}%`;
  style.width = `${(100 * side) / width}%`;
  style.height = `${(100 * side) / height}%`;
  $("square").hidden = false;
  const warm = heat.some((row) => row.some((value) => value > 0));
  $("warmth").hidden = !warm;
  $("meaning").textContent = say(warm ? "meaning" : "cold", { name: named(predictions[0].species) });
  draw($("heat"), heat);
  blend();
}

/** Lay so much of the heat over the photo as the slider says; the photo fades to grey, so that all colour is heat. */
export function blend() {
  const share = $("warmth").hidden ? 0 : $("slider").valueAsNumber / 100;
  $("heat").style.opacity = share;
  $("picture").style.filter = share ? `grayscale(${Math.min(2 * share, 1)})` : "";
}

/** Draw a grid of values of 0-1 over a whole canvas, without steps between its cells. */
export function draw(canvas, grid) {
  const cells = new ImageData(grid[0].length, grid.length);
  grid.flat().forEach((value, index) => cells.data.set([255 * value, 0, 0, 255], 4 * index));
  const small = element("canvas", { width: cells.width, height: cells.height });
  small.getContext("2d").putImageData(cells, 0, 0);
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.imageSmoothingQuality = "high";
  pen.drawImage(small, 0, 0, canvas.width, canvas.height);
  const pixels = pen.getImageData(0, 0, canvas.width, canvas.height);
  for (let at = 0; at < pixels.data.length; at += 4) pixels.data.set(colour(pixels.data[at] / 255), at);
  pen.putImageData(pixels, 0, 0);
}

function colour(value) {
  const place = value * (COLOURS.length - 1);
  const low = Math.min(Math.floor(place), COLOURS.length - 2);
  return COLOURS[low].map((part, index) => part + (place - low) * (COLOURS[low + 1][index] - part));
}

/** The photos that are most like this one; of those that are gone, the names. */
async function alike(photo) {
  const near = photo.answer.similar ?? [];
  $("alike").hidden = !near.length;
  const places = near.map(() => element("div", { className: "blank" }));
  $("thumbs").replaceChildren(...near.map(({ species }, index) =>
    element("li", {}, places[index], element("span", { className: "name", textContent: species }))));
  for (const [index, { photo: path }] of near.entries()) {
    try {
      if (!path) throw new Refusal(404, "");
      const link = URL.createObjectURL(await picture(path));
      if (shown !== photo) return URL.revokeObjectURL(link);
      links.push(link);
      places[index].replaceWith(element("img", { src: link, alt: "" }));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      places[index].textContent = say("gone");
    }
  }
}

/** Send what the photo on view really shows. */
export async function send() {
  const [photo, species] = [shown, $("name").value.trim()];
  if (!species) return;
  let said;
  try {
    await correct(photo.file, species);
    said = say("thanks", { name: named(species) });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    said = error.status ? say("failed", { reason: error.message }) : say("unreachable");
  }
  if (shown === photo) $("thanks").textContent = said;
}
