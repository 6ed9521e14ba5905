/** Talking to the service: its token, its refusals, and its being busy. */

import { $, pause } from "./dom.js";
import { say } from "./words.js";

const TOKEN = "leafgraft-token";
const TRIES = 40; // while the service is busy
const PATIENCE = 30; // seconds between two tries, at most

/** The service gave an answer that is no success; `status` is 0 when there was no answer at all. */
export class Refusal extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

/**
 * Ask the service, again while it is busy, and with a token if it wants one.
 *
 * @param {string} path below the page's own address
 * @param {object} options of `fetch`; and `waiting`, told the seconds until the next try
 * @returns {Promise<Response>} of a success
 * @throws {Refusal} of anything else
 */
export async function ask(path, { waiting, ...options } = {}) {
  for (let tries = 1; ; tries += 1) {
    const token = sessionStorage.getItem(TOKEN);
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    let response;
    try {
      response = await fetch(path, { ...options, headers });
    } catch (error) {
      if (options.signal?.aborted) throw error;
      throw new Refusal(0, String(error));
    }
    if (response.ok) return response;
    if (response.status === 401 && (await asked(token))) continue;
    if (response.status !== 503 || tries === TRIES) throw new Refusal(response.status, await reason(response));
    const seconds = Math.min(Math.max(Number(response.headers.get("Retry-After")) || 1, 1), PATIENCE);
    waiting?.(seconds);
    await pause(seconds, options.signal);
  }
}

async function reason(response) {
  try {
    const { detail } = await response.json();
    if (typeof detail === "string") return detail;
  } catch {
    // what stands between the page and the service may answer otherwise
  }
  return `${response.status} ${response.statusText}`;
}

let door = null;

/** Let the user enter a token, once for all requests that wait for it; whether one was entered. */
function asked(refused) {
  if (sessionStorage.getItem(TOKEN) !== refused) return true; // another request has got one meanwhile
  door ??= new Promise((resolve) => {
    const [dialog, field] = [$("door"), $("token")];
    $("wrong").textContent = refused ? say("token_wrong") : "";
    field.value = dialog.returnValue = "";
    dialog.addEventListener("close", () => {
      door = null;
      // Other letters cannot stand in a header.
      const token = field.value.replace(/[^\x21-\x7e]/g, "");
      if (dialog.returnValue !== "enter" || !token) return resolve(false);
      sessionStorage.setItem(TOKEN, token);
      resolve(true);
    }, { once: true });
    dialog.showModal();
  });
  return door;
}

/**
 * Let the classifier answer to a few photos.
 *
 * @param {File[]} files
 * @param {boolean} detailed with heat map and similar photos
 * @param {object} options see `ask`
 * @returns {Promise<object[]>} one for each file, in order; those that cannot be read have a `problem`
 */
export async function predict(files, detailed, options) {
  const body = new FormData();
  for (const file of files) body.append("photos", file, file.name);
  try {
    const query = detailed ? "top=5&heat=true&similar=true" : "top=5";
    const response = await ask(`v1/predict?${query}`, { ...options, method: "POST", body });
    return (await response.json()).photos;
  } catch (error) {
    const { status } = error;
    if (!(error instanceof Refusal) || status < 400 || status >= 500 || status === 401) throw error;
    if (files.length === 1) return [{ problem: error.message.replace(`${files[0].name}: `, "") }];
    const answers = []; // each has a reason of its own
    for (const file of files) answers.push(...(await predict([file], detailed, options)));
    return answers;
  }
}

/** Send what a photo really shows. */
export async function correct(file, species) {
  const body = new FormData();
  body.append("photo", file, file.name);
  body.append("species", species);
  await ask("v1/corrections", { method: "POST", body });
}

/** A picture of the service as a Blob: an `img` alone could not show the token. */
export async function picture(path, signal) {
  return (await ask(path.replace(/^\/+/, ""), { signal })).blob();
}

/**
 * Divide photos into requests: at most 8, and as many megabytes as a single photo may have.
 *
 * @param {{file: File}[]} photos
 * @param {{max_mb: number, max_files: number}} limits
 */
export function requests(photos, limits) {
  const parts = [];
  let bytes = 0;
  for (const photo of photos) {
    const last = parts.at(-1);
    bytes += photo.file.size;
    if (last && last.length < Math.min(8, limits.max_files) && bytes <= limits.max_mb * 1e6) last.push(photo);
    else {
      parts.push([photo]);
      bytes = photo.file.size;
    }
  }
  return parts;
}
