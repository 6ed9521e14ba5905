/** Small helps for the document. Whatever comes from files or the service enters it as text, never as markup. */

export const $ = (id) => document.getElementById(id);

/** A new element with the given properties and children; a child may be a text. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Resolve after so many seconds, or reject as soon as the signal says so. */
export function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal?.aborted) return stop();
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, 1000 * seconds);
    signal?.addEventListener("abort", () => { clearTimeout(timer); stop(); }, { once: true });
  });
}
