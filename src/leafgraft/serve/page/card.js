/** The model card: the little Markdown that a card is written in, as nodes of the document. */

import { element } from "./dom.js";

const START = { heading: /^(#{1,4}) +(.*)$/, item: /^[-*] +(.*)$/, row: /^\|(.*)\|\s*$/, fence: /^(`{3,})/ };

/**
 * Front matter is left out; headings, paragraphs, lists, tables, fences and bold text are understood, and everything
 * else stays as it is.
 *
 * @param {string} markdown
 * @returns {Node[]} with headings from the third level on, to stand within a page
 */
export function nodes(markdown) {
  const lines = markdown.replace(/^---\n[\s\S]*?\n---\n/, "").split("\n");
  const found = [];
  while (lines.length) {
    const line = lines.shift();
    const heading = line.match(START.heading);
    const fence = line.match(START.fence);
    if (!line.trim()) continue;
    if (heading) {
      found.push(element(`h${Math.min(heading[1].length + 2, 6)}`, {}, ...inline(heading[2])));
    } else if (fence) {
      const code = until(lines, (next) => next.startsWith(fence[1]));
      lines.shift();
      found.push(element("pre", {}, code.join("\n")));
    } else if (START.item.test(line)) {
      const items = [line, ...until(lines, (next) => !START.item.test(next))];
      const made = items.map((item) => element("li", {}, ...inline(item.match(START.item)[1])));
      found.push(element("ul", {}, ...made));
    } else if (START.row.test(line)) {
      found.push(table([line, ...until(lines, (next) => !START.row.test(next))]));
    } else {
      const rest = until(lines, (next) => !next.trim() || Object.values(START).some((start) => start.test(next)));
      found.push(element("p", {}, ...inline([line, ...rest].join(" "))));
    }
  }
  return found;
}

/** Take lines away until one is the end, which stays. */
function until(lines, end) {
  const index = lines.findIndex(end);
  return lines.splice(0, index < 0 ? lines.length : index);
}

function table([head, rule, ...body]) {
  const row = (line, tag) => element("tr", {}, ...cells(line).map((cell) => element(tag, {}, ...inline(cell))));
  const first = row(head, "th");
  for (const cell of first.children) cell.scope = "col";
  const rows = body.map((line) => row(line, "td"));
  return element("table", {}, element("thead", {}, first), element("tbody", {}, ...rows));
}

/** The cells of a row; a pipe after a backslash is a letter. */
function cells(line) {
  return [...line.trim().slice(1).matchAll(/((?:\\.|[^\\|])*)\|/g)].map((match) => match[1].trim());
}

/** Text with its escapes undone and its bold parts made so. */
function inline(text) {
  const found = [];
  let into = found;
  for (const [part] of text.matchAll(/\\[\\`*_{}[\]<>#|~$&!]|\*\*|[^\\*]+|[\\*]/g)) {
    if (part === "**" && into === found) {
      into = [];
    } else if (part === "**") {
      found.push(element("strong", {}, ...into));
      into = found;
    } else {
      into.push(part.length === 2 && part[0] === "\\" ? part[1] : part);
    }
  }
  return into === found ? found : [...found, "**", ...into];
}
