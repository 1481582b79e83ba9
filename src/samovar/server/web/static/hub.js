// What pages gain with scripts: copying, liking, searching as one types. Everything works without it.
"use strict";

const soon = (work, wait) => { let timer; return (...given) => { clearTimeout(timer); timer = setTimeout(() => work(...given), wait); }; };

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    const label = button.textContent;
    button.textContent = "✓";
    setTimeout(() => { button.textContent = label; }, 1200);
  });
}

for (const pre of document.querySelectorAll(".card pre")) {
  const button = document.createElement("button");
  const around = document.createElement("div");
  around.className = "code";
  button.className = "copy";
  button.textContent = document.body.dataset.copyLabel;
  button.addEventListener("click", () => navigator.clipboard.writeText(pre.innerText));
  pre.replaceWith(around);
  pre.tabIndex = 0;
  around.append(button, pre);
}

for (const button of document.querySelectorAll("[data-like]")) {
  button.addEventListener("click", async (event) => {
    event.preventDefault();
    const { csrf, liked } = button.form.elements;
    const wanted = liked.value === "yes";
    const answer = await fetch(button.dataset.like, { method: wanted ? "POST" : "DELETE", headers: { "X-CSRF-Token": csrf.value } });
    if (!answer.ok) return;
    button.setAttribute("aria-pressed", String(wanted));
    liked.value = wanted ? "no" : "yes";
    button.querySelector("span").textContent = (await answer.json()).likes;
  });
}

// Search inside a filter, among all its values: those that are not on the page are asked for at the first letter.
document.addEventListener("input", async (event) => {
  const field = event.target;
  if (!field.matches("[data-within]")) return;
  const section = field.closest("[data-rail]");
  const narrow = () => {
    const word = field.value.trim().toLowerCase();
    for (const item of section.querySelectorAll("li")) item.hidden = !item.textContent.toLowerCase().includes(word);
    for (const list of section.querySelectorAll("ul")) {
      const heading = list.previousElementSibling;
      if (heading && heading.matches("h3")) heading.hidden = !list.querySelector("li:not([hidden])");
    }
  };
  const address = field.dataset.all;
  delete field.dataset.all;
  narrow();
  if (!address) return;
  const answer = await fetch(address);
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const values = page.querySelector(`[data-rail="${section.dataset.rail}"] .values`);
  if (values) section.querySelector(".values").replaceWith(values);
  narrow();
});

// The list follows the name as it is typed; the address follows too, so that the state stays a link.
const live = document.querySelector("[data-live]");
if (live) {
  const refresh = soon(async () => {
    const address = new URL(live.form.action);
    address.search = new URLSearchParams(new FormData(live.form)).toString();
    const answer = await fetch(address);
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of ["[data-results]", ".results h1", ".sorts", ".chips", ".rail"]) {
      document.querySelector(part).replaceWith(page.querySelector(part));
    }
    history.replaceState(null, "", address);
  }, 150);
  live.addEventListener("input", refresh);
}

// The card as it will look, while it is written.
for (const form of document.querySelectorAll("[data-preview]")) {
  const pane = form.querySelector("[data-pane]");
  const look = soon(async () => {
    const answer = await fetch(location.href, { method: "POST", headers: { "X-Part": "preview" }, body: new URLSearchParams(new FormData(form)) });
    if (answer.ok) pane.replaceChildren(...new DOMParser().parseFromString(await answer.text(), "text/html").body.childNodes);
  }, 250);
  form.elements.text.addEventListener("input", look);
  look();
}

// Names under the field at the top.
const field = document.querySelector("[data-suggest]");
if (field) {
  const list = document.createElement("div");
  list.className = "suggestions";
  list.hidden = true;
  field.parentElement.append(list);
  field.addEventListener("input", soon(async () => {
    const word = field.value.trim();
    if (word.length < 2) { list.hidden = true; return; }
    const answer = await fetch(`${field.dataset.suggest}?q=${encodeURIComponent(word)}&limit=6`);
    if (!answer.ok) return;
    const found = await answer.json();
    list.replaceChildren(...["models", "datasets"].flatMap((kind) => (found[kind] || []).map((one) => {
      const link = document.createElement("a");
      link.href = kind === "models" ? `/${one.id}` : `/${kind}/${one.id}`;
      link.textContent = one.id;
      return link;
    })));
    list.hidden = !list.children.length;
  }, 150));
  field.addEventListener("blur", () => setTimeout(() => { list.hidden = true; }, 200));
}

// Menus close when one turns to something else.
const closeMenus = (kept) => { for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(kept)) menu.open = false; };
document.addEventListener("click", (event) => closeMenus(event.target));
document.addEventListener("keydown", (event) => { if (event.key === "Escape") closeMenus(null); });
