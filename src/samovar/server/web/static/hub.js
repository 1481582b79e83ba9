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

// Try a model: the answer comes without leaving the page; text is shown as it is written.
for (const form of document.querySelectorAll("[data-try]")) {
  const place = form.parentElement.querySelector("[data-answer]");
  let running = null;

  const written = async () => {
    const body = JSON.stringify({ inputs: form.elements.text.value, parameters: { max_new_tokens: 120 }, stream: true });
    const headers = { "Content-Type": "application/json", "X-CSRF-Token": form.elements.csrf.value };
    const answer = await fetch(form.dataset.stream, { method: "POST", headers, body, signal: running.signal });
    const paragraph = document.createElement("p");
    paragraph.className = "written";
    place.replaceChildren(paragraph);
    if (!answer.ok) { paragraph.className = "warning"; paragraph.textContent = (await answer.json()).error; return; }
    paragraph.textContent = form.elements.text.value;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = "";;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n\n");
      rest = lines.pop();
      for (const line of lines) {
        const event = JSON.parse(line.replace(/^data: ?/, ""));
        if (event.error) { paragraph.className = "warning"; paragraph.textContent = event.error; }
        else paragraph.append(event.token.text);
      }
    }
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (running) running.abort();
    running = new AbortController();
    const mine = running;
    place.classList.add("waiting");
    try {
      if (form.dataset.stream) { await written(); return; }
      const answer = await fetch(form.action, { method: "POST", headers: { "X-Part": "answer" }, body: new FormData(form), signal: mine.signal });
      const text = await answer.text();
      if (mine !== running) return;
      place.replaceChildren(...new DOMParser().parseFromString(text, "text/html").body.childNodes);
    } catch (error) {
      if (error.name !== "AbortError") place.textContent = String(error);
    } finally {
      if (mine === running) place.classList.remove("waiting");
    }
  });

  for (const example of form.parentElement.querySelectorAll("[data-example]")) {
    example.addEventListener("click", (event) => {
      event.preventDefault();
      for (const [name, value] of Object.entries(JSON.parse(example.dataset.example))) if (form.elements[name]) form.elements[name].value = value;
      form.requestSubmit();
    });
  }

  const drop = form.querySelector(".drop");
  if (drop) {
    const file = drop.querySelector("input");
    const take = (files) => { if (files.length) { file.files = files; file.dispatchEvent(new Event("change")); } };
    drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
    drop.addEventListener("dragleave", () => drop.classList.remove("over"));
    drop.addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("over"); take(event.dataTransfer.files); });
    document.addEventListener("paste", (event) => take(event.clipboardData.files));
    file.addEventListener("change", () => {
      const reader = new FileReader();
      reader.onload = () => {
        const image = drop.querySelector("img") || drop.appendChild(document.createElement("img"));
        image.src = reader.result;
        image.alt = "";
      };
      if (file.files.length) { reader.readAsDataURL(file.files[0]); form.requestSubmit(); }
    });
  }
}

// Search inside a filter.
for (const field of document.querySelectorAll("[data-within]")) {
  field.addEventListener("input", () => {
    const word = field.value.trim().toLowerCase();
    for (const item of field.parentElement.querySelectorAll("li")) item.hidden = !item.textContent.toLowerCase().includes(word);
  });
}

// The list follows the name as it is typed; the address follows too, so that the state stays a link.
const live = document.querySelector("[data-live]");
if (live) {
  const refresh = soon(async () => {
    const address = new URL(live.form.action);
    address.search = new URLSearchParams(new FormData(live.form)).toString();
    const answer = await fetch(address);
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of ["[data-results]", ".results h1", ".rail"]) {
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

// On a phone the filters begin closed.
const rail = document.querySelector(".rail-toggle");
if (rail && matchMedia("(max-width: 48rem)").matches) rail.open = false;
