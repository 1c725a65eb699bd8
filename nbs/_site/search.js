// Full-text search; works from file:// too. build.py writes, into search-index.js,
// SECTIONS = [address, page, heading, prose, code, kind] and GLOSSARY = {what others say: what we say}
"use strict";
const field = document.querySelector(".search-form input");
const list = document.getElementById("search-results");

// words that say nothing about what is sought
const STOP = new Set(`a about am an and any are as at be but by can could did do does for from get had has have how i if in into
  is it its me mine most much my not of on one or our own shall should so some than that the their them then there these they
  this to up us use using want was we were what when where which who why will with would you your`.split(/\s+/));
// what people ask, and what the pages say
const SYNONYMS = {
  ...GLOSSARY,
  "cold start": "new items",
  "hugging face": "transformers to_hf",
  "huggingface": "transformers to_hf",
  "dataset": "data interactions",
  "license": "licence",
  "gpu": "device cuda precision",
  "cuda": "gpu device",
  "filter": "allowed",
  "stock": "allowed",
  "business rules": "allowed",
  "resume": "step repeated unchanged",
  "tune": "settings presets",
  "hyperparameters": "settings presets",
  "latency": "speed decoding",
  "inference": "recommend decoding",
  "serve": "recommend_many recommender",
  "deterministic": "seed",
  "reproduce": "seed settings",
  "image": "vectors",
  "hr@10": "recall@10",
  "tokenizer": "semantic ids",
  "contribute": "notebook",
  "dataframe": "pandas from_frame",
  "polars": "from_frame",
  "multi-gpu": "torchrun processes",
  "ddp": "torchrun processes",
};

// ---- words

const split = text => text.match(/[\p{L}\p{N}_@.<>-]+/gu) || [];
const trim = word => word.replace(/^[.<>-]+|[.<>-]+$/g, "");
const stem = word => word.length > 3 ? word.replace(/(?<!s)s$/, "") : word;
// a name is found whole and by its parts: Recommender.recommend, recommend_many
function wordsOf(text) {
  const found = [];
  for (const raw of split(text)) {
    const word = trim(raw);
    if (!word) continue;
    found.push(word);
    const parts = word.split(/[._<>-]+/);
    if (parts.length > 1) found.push(...parts.filter(Boolean));
  }
  return found;
}

// ---- the index: for every section and every word where it stands, and how often

const PLACES = { heading: 12, page: 3, prose: 2, code: 1 };

function counted(section) {
  const [, page, heading, prose, code, kind] = section;
  const found = new Map();
  const add = (text, place, scale) => {
    const words = wordsOf(text);
    for (const word of words) {
      const key = stem(word.toLowerCase());
      const entry = found.get(key) || { weight: 0, exact: new Set(), times: {} };
      entry.times[place] = (entry.times[place] || 0) + 1;
      // a second mention counts less than the first
      if (entry.times[place] <= 4) entry.weight += scale * PLACES[place] / entry.times[place];
      entry.exact.add(word);
      found.set(key, entry);
    }
  };
  // of a short heading a word is a larger part
  const telling = split(heading).filter(w => !STOP.has(w.toLowerCase()));
  add(heading, "heading", 1 / Math.max(1, telling.length) ** .5);
  if (!kind) add(page, "page", page === heading ? 3 : 1);
  add(prose, "prose", 1);
  add(code, "code", 1);
  return found;
}

const INDEX = SECTIONS.map(counted);
const OCCURS = new Map();
for (const words of INDEX) for (const word of words.keys()) OCCURS.set(word, (OCCURS.get(word) || 0) + 1);
const rarity = count => Math.log(1 + INDEX.length / count);

// The keys that a word of the query stands for: itself; else what begins with it; else what contains it
function keysOf(word) {
  const key = stem(word.toLowerCase());
  if (OCCURS.has(key)) return new Map([[key, 1]]);
  const all = [...OCCURS.keys()];
  const beginning = key.length > 1 ? all.filter(k => k.startsWith(key)) : [];
  if (beginning.length) return new Map(beginning.map(k => [k, .6]));
  return new Map(key.length > 3 ? all.filter(k => k.includes(key)).map(k => [k, .3]) : []);
}

// ---- the query

function understood(query) {
  const lower = ` ${split(query.toLowerCase()).map(trim).join(" ")} `;
  const words = split(query).map(trim).filter(w => w && !STOP.has(w.toLowerCase()));
  const terms = (words.length ? words : split(query).map(trim).filter(Boolean)).map(w => [w, 1]);
  for (const [said, ours] of Object.entries(SYNONYMS)) {
    if (!lower.includes(` ${said} `) && !lower.includes(` ${said}s `)) continue;
    // of a phrase such as cold start the words alone say little
    const phrase = said.split(" ");
    if (phrase.length > 1) for (const term of terms) if (phrase.includes(term[0].toLowerCase())) term[1] = .2;
    for (const word of ours.split(" ")) if (!STOP.has(word)) terms.push([word, .7]);
  }
  return terms;
}

function score(n, terms, query) {
  const [, page, heading, , , kind] = SECTIONS[n];
  let total = 0, met = 0, asked = 0;
  for (const [word, weight, keys] of terms) {
    let best = 0, rare = 0;
    for (const [key, part] of keys) {
      const entry = INDEX[n].get(key);
      rare = Math.max(rare, rarity(OCCURS.get(key)));
      if (!entry) continue;
      // LETTER is not letter
      const alike = word === word.toLowerCase() || entry.exact.has(word) ? 1 : .1;
      best = Math.max(best, part * alike * entry.weight);
    }
    total += weight * rare * best;
    asked += weight * rare;
    if (best) met += weight * rare;
  }
  if (!total) return 0;
  // a section that has all words stands above one that has one of them often
  total *= (met / asked) ** 1.5;
  const name = heading.toLowerCase(), wanted = trim(query.toLowerCase().replace(/[()]/g, ""));
  if (name === wanted) total += kind ? 1000 : 400;
  else if (kind && name.endsWith("." + wanted)) total += name.startsWith(wanted) ? 600 : 500;
  return total;
}

// ---- results

function marked(element, text, words) {  // appends text with the words in <mark>
  const parts = words.map(w => w.replace(/[^\w\s]/g, "\\$&"));
  const pattern = new RegExp("(" + parts.join("|") + ")", "i");
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

function shown(section, words) {
  const [address, page, heading, prose, code, kind] = section;
  const item = document.createElement("li"), link = document.createElement("a");
  const place = document.createElement("small"), text = document.createElement("p");
  link.href = address;
  marked(link, heading, words);
  if (kind) link.className = "name";
  place.textContent = kind ? `${kind} in ${page}` : page === heading ? "" : page;
  const source = [prose, code].find(t => words.some(w => t.toLowerCase().includes(w))) || prose || code;
  marked(text, excerpt(source, words), words);
  item.append(link, " ", place, text);
  return item;
}

function ranked(query) {
  const terms = understood(query).map(([word, weight]) => [word, weight, keysOf(word)]);
  const scored = SECTIONS.map((section, n) => [score(n, terms, query), section]);
  const found = scored.filter(([points]) => points).sort((a, b) => b[0] - a[0]);
  // of one page the two best first, then the rest
  const times = {};
  const early = found.filter(([, [, page]]) => (times[page] = (times[page] || 0) + 1) <= 2);
  const few = [...early, ...found.filter(entry => !early.includes(entry))];
  return [few.slice(0, 20).map(([, section]) => section), terms.map(([word]) => stem(word.toLowerCase()))];
}

function search() {
  const query = field.value.trim();
  const [found, words] = query ? ranked(query) : [[], []];
  const nothing = query ? "Nothing found. Try other words." : "";
  document.getElementById("search-count").textContent = found.length ? `${found.length} results` : nothing;
  list.replaceChildren(...found.map(section => shown(section, words)));
}

field.value = new URLSearchParams(location.search).get("q") || "";
field.addEventListener("input", search);
search();
