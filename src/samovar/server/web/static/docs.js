// Search in the static copy of the docs, where no server answers: `docs-index.js` holds the sections.
"use strict";

const fold = (text) => text.toLowerCase().normalize("NFKD").replace(/(?!\u0306)\p{M}/gu, "");
const place = document.querySelector("[data-docs-search]");
const query = new URLSearchParams(location.search).get("q") || "";
for (const field of document.querySelectorAll('input[name="q"]')) field.value = query;

const words = fold(query).match(/[\p{L}\p{N}_]+/gu) || [];
const begins = (word, text) => {
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) if (!at || !/[\p{L}\p{N}]/u.test(text[at - 1])) return true;
  return false;
};
const found = [];
if (words.length) {
  for (const [href, page, heading, text, isName] of DOCS_INDEX) {
    const title = fold(`${heading} ${heading.replace(/([a-z0-9])([A-Z])/g, "$1 $2")}`);
    const all = fold(text);
    if (!words.every((word) => begins(word, title) || begins(word, all))) continue;
    const score = words.filter((word) => begins(word, title)).length * 8 + (fold(heading) === words.join(" ") ? 20 : 0) + (isName ? 0 : 5);
    found.push({ href, page, heading, text, isName, score });
  }
}
found.sort((one, other) => other.score - one.score);
for (const { href, page, heading, text, isName } of found.slice(0, 40)) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  const words_ = document.createElement("p");
  link.href = href;
  link.append(isName ? Object.assign(document.createElement("code"), { textContent: heading }) : heading);
  item.append(link);
  if (page !== heading) item.append(" ", Object.assign(document.createElement("small"), { textContent: page }));
  words_.textContent = text.length > 240 ? `${text.slice(0, 240)}…` : text;
  item.append(words_);
  place.append(item);
}
if (words.length && !found.length) place.append(Object.assign(document.createElement("li"), { textContent: place.dataset.nothing }));
