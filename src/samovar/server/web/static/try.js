// Models and metrics answer without leaving the page; text is shown while it is written. Everything works without it.
"use strict";

const parsed = (html) => new DOMParser().parseFromString(html, "text/html");
const made = (tag, className, text) => { const one = document.createElement(tag); one.className = className; one.textContent = text; return one; };

class Asking {
  constructor(form) {
    this.place = form.parentElement.querySelector("[data-answer]");
    this.section = form.closest("[data-widget]") || form.parentElement;
    this.running = null;
    this.bind(form);
    for (const link of this.section.querySelectorAll("[data-example]")) {
      link.addEventListener("click", (event) => { event.preventDefault(); this.example(link.href); });
    }
    document.addEventListener("paste", (event) => this.pasted(event));
  }

  bind(form) {
    this.form = form;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (event.submitter && event.submitter.name === "grow") this.grow(event.submitter.value);
      else this.ask();
    });
    const stop = form.querySelector("[data-stop]");
    if (stop) stop.addEventListener("click", () => this.running && this.running.abort());
    const drop = form.querySelector("[data-drop]");
    if (drop) this.bindDrop(drop);
    const text = form.dataset.try === "chat" && form.elements.text;
    if (text) text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); form.requestSubmit(); }
    });
  }

  replaceForm(html) {
    const fresh = parsed(html).querySelector("[data-try]");
    if (!fresh) return;
    this.form.replaceWith(fresh);
    this.bind(fresh);
  }

  async example(address) {
    const answer = await fetch(address);
    if (!answer.ok) { location.href = address; return; }
    this.replaceForm(await answer.text());
    this.form.requestSubmit();
  }

  async grow(what, change) {
    const body = new FormData(this.form);
    if (what) body.set("grow", what); else body.set("grow", "");
    if (change) change(body);
    const answer = await fetch(this.form.action, { method: "POST", headers: { "X-Part": "form" }, body });
    if (answer.ok) this.replaceForm(await answer.text());
  }

  // A table copied from a spreadsheet fills cells from the one that has the focus; a file is taken as if chosen.
  pasted(event) {
    const cell = event.target.name && /^cell_(\d+)_(\d+)$/.exec(event.target.name);
    const text = event.clipboardData.getData("text/plain");
    if (cell && /[\t\n]/.test(text.trim())) {
      event.preventDefault();
      const rows = text.replace(/\r/g, "").replace(/\n$/, "").split("\n").map((line) => line.split("\t"));
      this.grow("", (body) => rows.forEach((row, y) => row.forEach((value, x) => body.set(`cell_${Number(cell[1]) + y}_${Number(cell[2]) + x}`, value))));
    } else if (event.clipboardData.files.length && this.take) this.take(event.clipboardData.files);
  }

  bindDrop(drop) {
    const file = drop.querySelector("input");
    this.take = (files) => { if (files.length) { file.files = files; file.dispatchEvent(new Event("change")); } };
    drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
    drop.addEventListener("dragleave", () => drop.classList.remove("over"));
    drop.addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("over"); this.take(event.dataTransfer.files); });
    file.addEventListener("change", () => {
      if (!file.files.length) return;
      const stored = this.form.elements.file;
      if (stored) stored.remove();
      const reader = new FileReader();
      reader.onload = () => {
        const sound = file.accept.startsWith("audio");
        for (const old of drop.querySelectorAll("img, audio")) old.remove();
        const shown = drop.appendChild(document.createElement(sound ? "audio" : "img"));
        shown.src = reader.result;
        if (sound) shown.controls = true; else shown.alt = file.files[0].name;
      };
      reader.readAsDataURL(file.files[0]);
      // With nothing else to fill in, choosing is asking.
      if ([...this.form.elements].every((one) => !one.required || one.value)) this.form.requestSubmit();
    });
  }

  async ask() {
    if (this.running) this.running.abort();
    const mine = new AbortController();
    this.running = mine;
    this.place.classList.add("waiting");
    const watch = this.watch(mine);
    const stop = this.form.querySelector("[data-stop]");
    if (stop) stop.hidden = false;
    try {
      if (this.form.dataset.try === "chat") await this.chat(mine);
      else if (this.form.dataset.stream) await this.write(mine);
      else {
        const body = this.form.enctype === "multipart/form-data" ? new FormData(this.form) : new URLSearchParams(new FormData(this.form));
        const answer = await fetch(this.form.action, { method: "POST", headers: { "X-Part": "answer" }, body, signal: mine.signal });
        const text = await answer.text();
        if (mine === this.running) this.place.replaceChildren(...parsed(text).body.childNodes);
      }
    } catch (error) {
      if (error.name !== "AbortError") this.fail(String(error));
    } finally {
      watch();
      if (mine === this.running) { this.place.classList.remove("waiting"); this.running = null; if (stop) stop.hidden = true; }
    }
  }

  // While nothing has come yet: is the model loading, how far is it, do others wait?
  watch(mine) {
    const shown = this.form.querySelector("[data-progress]");
    if (!shown) return () => {};
    const [bar, note] = [shown.querySelector("progress"), shown.querySelector("small")];
    const look = async () => {
      const answer = await fetch(this.form.action).catch(() => null);
      if (!timer || mine !== this.running || !answer || !answer.ok) return;
      const { state, seconds, expected, waiting } = await answer.json();
      if (!timer) return;
      shown.hidden = false;
      const loading = state !== "ready";
      if (loading) bar.value = Math.min(0.95, seconds / expected); else bar.removeAttribute("value");
      const words = loading ? this.section.dataset.loading : waiting > 1 ? this.section.dataset.queue : this.section.dataset.working;
      note.textContent = `${words}${loading ? ` · ${Math.round(seconds)} s` : ""}`;
    };
    let timer = setInterval(look, 700);
    this.arrived = () => { clearInterval(timer); timer = null; shown.hidden = true; };
    return this.arrived;
  }

  fail(message) { this.place.replaceChildren(made("p", "warning", message)); }

  // The events of a stream, parsed; a refusal becomes an error.
  async * events(body, signal) {
    const headers = { "Content-Type": "application/json", "X-CSRF-Token": this.form.elements.csrf.value };
    const answer = await fetch(this.form.dataset.stream, { method: "POST", headers, body: JSON.stringify(body), signal });
    if (!answer.ok) throw new Refusal((await answer.json()).error);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = "";;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        const data = part.replace(/^data: ?/, "");
        if (data === "[DONE]") return;
        const event = JSON.parse(data);
        if (event.error) throw new Refusal(event.error);
        this.arrived();
        yield event;
      }
    }
  }

  async write(mine) {
    const began = performance.now();
    const text = this.form.elements.text.value;
    const paragraph = made("p", "written", text);
    const written = paragraph.appendChild(made("span", "new", ""));
    try {
      for await (const event of this.events({ inputs: text, parameters: { max_new_tokens: 120 }, stream: true }, mine.signal)) {
        if (!paragraph.isConnected) { this.place.replaceChildren(paragraph); this.place.classList.remove("waiting"); }
        if (event.generated_text === null) written.append(event.token.text);
      }
    } catch (error) {
      if (error.name !== "AbortError") { this.fail(error.message); return; }
    }
    this.place.append(this.took(began));
  }

  async chat(mine) {
    const began = performance.now();
    const list = this.form.querySelector("[data-chat]");
    const messages = JSON.parse(this.form.elements.messages.value || "[]");
    const text = this.form.elements.text.value.trim();
    const bubble = (role, words) => {
      const item = made("li", role, "");
      item.append(made("small", "", role === "user" ? this.section.dataset.you : this.section.dataset.model), made("p", "", words));
      list.append(item);
      list.hidden = false;
      list.scrollTop = list.scrollHeight;
      return item;
    };
    messages.push({ role: "user", content: text });
    const asked = bubble("user", text);
    const answer = bubble("assistant", "");
    this.form.elements.text.value = "";
    this.place.replaceChildren();
    let whole = "";
    try {
      for await (const event of this.events({ messages, max_tokens: 256, stream: true }, mine.signal)) {
        whole += (event.choices[0] && event.choices[0].delta.content) || "";
        answer.lastChild.textContent = whole;
        list.scrollTop = list.scrollHeight;
      }
    } catch (error) {
      if (error.name !== "AbortError" || !whole) {
        asked.remove();
        answer.remove();
        this.form.elements.text.value = text;
        if (error.name !== "AbortError") this.fail(error.message);
        return;
      }
    }
    messages.push({ role: "assistant", content: whole });
    this.form.elements.messages.value = JSON.stringify(messages);
    this.place.replaceChildren(this.took(began));
    this.form.elements.text.focus();
  }

  took(began) {
    const line = made("p", "", "");
    line.append(made("small", "", `${((performance.now() - began) / 1000).toFixed(2)} s`));
    return line;
  }
}

class Refusal extends Error {}

for (const form of document.querySelectorAll("[data-try]")) new Asking(form);
