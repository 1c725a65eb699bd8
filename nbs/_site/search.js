// Full-text search over SECTIONS = [address, page, heading, prose, code or kind], written by build.py; works from file:// too
"use strict";
const field = document.querySelector(".search-form input"), list = document.getElementById("search-results");

const stem = word => word.length > 3 ? word.replace(/s$/, "") : word;
const count = (text, word) => Math.min(text.toLowerCase().split(word).length - 1, 5);

function score([, page, heading, prose, code, kind], words, query) {
  let total = heading.toLowerCase() === query ? 100 : 0;
  for (const word of words) {
    const found = 40 * count(heading, word) / heading.length ** .5 + (page === heading ? 10 : 0) * count(page, word) + 3 * count(prose, word) + count(code, word) + (kind ? 0 : count(page, word));
    if (!found) return 0;
    total += found;
  }
  return total;
}

function marked(element, text, words) {  // appends text with the words in <mark>
  const pattern = new RegExp("(" + words.map(w => w.replace(/[^\w\s]/g, "\\$&")).join("|") + ")", "i");
  text.split(pattern).forEach((part, i) => {
    const node = i % 2 ? document.createElement("mark") : document.createTextNode(part);
    if (i % 2) node.textContent = part;
    element.append(node);
  });
}

function excerpt(text, words) {
  const places = words.map(w => text.toLowerCase().indexOf(w)).filter(i => i >= 0);
  const at = places.length ? Math.max(Math.min(...places) - 80, 0) : 0;
  return (at ? "… " : "") + text.slice(at, at + 220).trim() + (at + 220 < text.length ? " …" : "");
}

function search() {
  const query = field.value.trim().toLowerCase(), words = query.split(/\s+/).filter(Boolean).map(stem);
  const ranked = words.length ? SECTIONS.map(s => [score(s, words, query), s]).filter(([n]) => n).sort((a, b) => b[0] - a[0]).slice(0, 30) : [];
  document.getElementById("search-count").textContent = !words.length ? "" : ranked.length ? `${ranked.length === 30 ? "The first 30" : ranked.length} results` : "Nothing found. Try fewer or shorter words.";
  list.replaceChildren(...ranked.map(([, [address, page, heading, prose, code, kind]]) => {
    const item = document.createElement("li"), link = document.createElement("a"), place = document.createElement("small"), text = document.createElement("p");
    link.href = address;
    marked(link, heading, words);
    place.textContent = kind ? `${kind} in ${page}` : page === heading ? "" : page;
    const source = [prose, code].find(t => words.some(w => t.toLowerCase().includes(w))) || prose || code;
    marked(text, excerpt(source, words), words);
    if (kind) link.className = "name";
    item.append(link, " ", place, text);
    return item;
  }));
}

field.value = new URLSearchParams(location.search).get("q") || "";
field.addEventListener("input", search);
search();
