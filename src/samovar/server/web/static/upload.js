// Upload by browser: files and folders dropped or chosen, hashed, sent in parts and put in place by one commit, over the
// addresses that other clients use. What has arrived stays on the Hub: the same files chosen again are not sent again.
"use strict";

const form = document.querySelector("[data-upload]");
const { api, lfs, revision, root, hashing } = form.dataset;
const texts = JSON.parse(form.dataset.texts);
const list = form.querySelector("[data-list]");
const [bar, summary, notice] = ["[data-bar]", "[data-summary]", "[data-notice]"].map((one) => form.querySelector(one));
const button = form.querySelector("button.primary");
const entries = new Map();
const AT_ONCE = 250, SENDERS = 2, LONGEST_WAIT = 15_000;
const FINISHED = new Set(["sent", "same", "ignored"]);
const folded = (path) => path.trim().replace(/^\/+|\/+$/g, "");
// What no stock client uploads either, or an operating system leaves everywhere.
const LEFT_OUT = /(^|\/)(\.git|\.DS_Store|Thumbs\.db|desktop\.ini)(\/|$)|(^|\/)\.cache\/huggingface\//;
let running = null, committed = 0, drawn = 0, leftOut = 0;

const said = (text, values = {}) => Object.entries(values).reduce((whole, [name, value]) => whole.replace(`{${name}}`, value), texts[text] || text);
const size = (count) => {
  for (const [unit, name] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) if (count >= unit) return `${(count / unit).toPrecision(3)} ${name}`;
  return `${count} B`;
};

// Choosing --------------------------------------------------------------------------------------------------------

function add(file, relative, below) {
  const inside = below && !form.elements.keep.checked ? relative.slice(relative.indexOf("/") + 1) : relative;
  if (LEFT_OUT.test(inside)) { leftOut += 1; return; }
  const known = entries.get(inside);
  if (known) known.row.remove();
  const entry = { file, path: inside, state: "waiting", done: 0, row: document.createElement("li") };
  entry.row.innerHTML = '<span class="path"></span><span class="count"></span><progress max="1" value="0"></progress><span class="state"></span><button type="button" class="plain"></button>';
  [entry.name, entry.size, entry.bar, entry.label, entry.remove] = entry.row.children;
  entry.name.textContent = inside;
  entry.size.textContent = size(file.size);
  entry.bar.setAttribute("aria-label", inside);
  entry.remove.textContent = "×";
  entry.remove.setAttribute("aria-label", `${said("remove")} ${inside}`);
  entry.remove.addEventListener("click", () => { entries.delete(inside); entry.row.remove(); show(); });
  entries.set(inside, entry);
  list.append(entry.row);
  mark(entry, "waiting");
}

function mark(entry, state, more = {}) {
  Object.assign(entry, { state, problem: "" }, more);
  entry.row.dataset.state = state;
  entry.label.textContent = entry.problem || said(state);
  entry.bar.value = FINISHED.has(state) ? 1 : entry.done / Math.max(entry.file.size, 1);
  entry.remove.disabled = Boolean(running);
  show();
}

function show() {
  if (!drawn) drawn = requestAnimationFrame(draw);
}

function draw() {
  drawn = 0;
  const all = [...entries.values()];
  const whole = all.reduce((sum, one) => sum + one.file.size, 0);
  const done = all.reduce((sum, one) => sum + (FINISHED.has(one.state) ? one.file.size : one.state === "ready" ? one.file.size * committed : one.done), 0);
  bar.hidden = summary.hidden = !all.length;
  bar.value = whole ? done / whole : 0;
  summary.textContent = said("summary", { files: all.length, done: size(done), whole: size(whole) });
  button.disabled = !all.length && !running;
  button.textContent = said(running ? "stop" : "upload");
}

async function walk(found, above = "") {
  if (found.isFile) {
    const file = await new Promise((resolve, reject) => { found.file(resolve, reject); });
    add(file, above + found.name, Boolean(above));
    return;
  }
  const reader = found.createReader();
  for (;;) {
    const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (!some.length) return;
    for (const one of some) await walk(one, `${above}${found.name}/`);
  }
}

function chosen() {
  tell(leftOut ? said("leftOut", { n: leftOut }) : entries.size ? "" : said("nothing"));
  leftOut = 0;
}

for (const input of form.querySelectorAll("input[type=file]")) {
  input.addEventListener("change", () => {
    for (const file of input.files) add(file, file.webkitRelativePath || file.name, Boolean(file.webkitRelativePath));
    input.value = "";
    chosen();
  });
}

const drop = form.querySelector(".drop");
drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", async (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  if (running) return;
  // All are asked for at once: after the first wait the list is empty.
  const dropped = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry() || item.getAsFile()).filter(Boolean);
  for (const one of dropped) {
    if (one instanceof File) add(one, one.name, false);
    else await walk(one);
  }
  chosen();
});

// Talking to the Hub ----------------------------------------------------------------------------------------------

class Refused extends Error {
  constructor(status, message) { super(message); this.status = status; }
}
class Broken extends Error {}

function tell(text, kind = "note") {
  notice.hidden = !text;
  notice.className = kind;
  notice.textContent = text;
}

const pause = (wait, signal) => new Promise((resolve, reject) => {
  const end = (settle) => () => { clearTimeout(timer); removeEventListener("online", back); signal.removeEventListener("abort", stop); settle(signal.reason); };
  const back = end(resolve), stop = end(reject);
  const timer = setTimeout(back, wait);
  addEventListener("online", back);
  signal.addEventListener("abort", stop);
});

function once(method, address, body, headers, signal, progress) {
  return new Promise((resolve, reject) => {
    const asked = new XMLHttpRequest();
    // The Hub may know itself by another name than the one that this page came from.
    const { pathname, search } = new URL(address, location);
    asked.open(method, pathname + search);
    for (const [name, value] of Object.entries(headers)) asked.setRequestHeader(name, value);
    if (progress) asked.upload.addEventListener("progress", (event) => progress(event.loaded));
    const stop = () => asked.abort();
    signal.addEventListener("abort", stop);
    asked.onloadend = () => {
      signal.removeEventListener("abort", stop);
      if (signal.aborted) reject(signal.reason);
      else resolve({ status: asked.status, text: asked.responseText, after: Number(asked.getResponseHeader("Retry-After")) });
    };
    asked.send(body);
  });
}

// The answer; a broken connection or a busy Hub is waited for, however long it takes, or thrown if not `patient`.
async function ask(method, address, body, { signal, progress, headers = {}, patient = true }) {
  for (let wait = 1000, failed = 0; ; wait = Math.min(wait * 2, LONGEST_WAIT)) {
    const { status, text, after } = await once(method, address, body, headers, signal, progress);
    if (status >= 200 && status < 300) {
      if (failed) tell("");
      try { return text ? JSON.parse(text) : {}; } catch { return {}; }
    }
    const busy = [429, 502, 503, 504].includes(status);
    if (status !== 0 && !busy && !(status === 500 && failed < 3)) {
      let message = text;
      try { ({ error: message } = JSON.parse(text)); } catch { /* Said in plain words. */ }
      throw new Refused(status, message || said("failed", { status }));
    }
    if (!patient) throw new Broken();
    failed += 1;
    tell(said(status === 0 ? "broken" : "busy"));
    await pause(after ? after * 1000 : wait, signal);
  }
}

const json = { "Content-Type": "application/json", "X-CSRF-Token": form.elements.csrf.value };

// One file after the other: reading two at a time makes neither faster.
const worker = new Worker(hashing);
let hashed = Promise.resolve(), numbers = 0;
function hash(entry, git, signal) {
  const mine = hashed.then(() => new Promise((resolve, reject) => {
    if (signal.aborted) { reject(signal.reason); return; }
    if (entry.hash) { resolve(entry.hash); return; }
    const id = ++numbers;
    worker.onmessage = ({ data }) => {
      if (data.id !== id) return;
      if (data.read !== undefined) entry.bar.value = data.read / entry.file.size;
      else if (data.hash) { entry.hash = data.hash; resolve(data.hash); }
      else reject(signal.aborted ? signal.reason : new Refused(0, said("unreadable")));
    };
    worker.postMessage({ id, file: entry.file, git });
    signal.addEventListener("abort", () => worker.postMessage({ id: 0 }));
  }));
  hashed = mine.catch(() => {});
  return mine;
}

function base64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Refused(0, said("unreadable")));
    reader.readAsDataURL(blob);
  });
}

const target = (entry) => [folded(form.elements.folder.value), entry.path].filter(Boolean).join("/");

// Which way the files go; of several of which one is refused, each is asked for alone.
async function plan(some, signal) {
  const files = [];
  for (const one of some) {
    try { files.push({ path: target(one), size: one.file.size, sample: await base64(one.file.slice(0, 512)) }); }
    catch (error) { mark(one, "refused", { problem: error.message }); }
  }
  const asked = some.filter((one) => one.state !== "refused");
  if (!asked.length) return;
  try {
    const answer = await ask("POST", `${api}/preupload/${revision}`, JSON.stringify({ files }), { signal, headers: json });
    for (const [at, { uploadMode, shouldIgnore, oid }] of answer.files.entries()) {
      Object.assign(asked[at], { mode: uploadMode, oid });
      if (shouldIgnore) mark(asked[at], "ignored");
    }
  } catch (error) {
    if (!(error instanceof Refused) || ![400, 413, 422].includes(error.status)) throw error;
    if (asked.length === 1) { mark(asked[0], "refused", { problem: error.message }); return; }
    const half = Math.ceil(asked.length / 2);
    await plan(asked.slice(0, half), signal);
    await plan(asked.slice(half), signal);
  }
}

// Ask what has arrived, send the rest; after a broken connection once more from there.
async function send(entry, signal) {
  for (;;) {
    try { await sendRest(entry, signal); break; }
    catch (error) {
      if (!(error instanceof Broken)) throw error;
      tell(said("broken"));
      await pause(1000, signal);
    }
  }
  tell("");
  mark(entry, "sent");
}

async function sendRest(entry, signal) {
  const { file, hash: oid } = entry;
  const question = { operation: "upload", transfers: ["basic", "multipart"], objects: [{ oid, size: file.size }], hash_algo: "sha256", resumable: true };
  const [object] = (await ask("POST", `${lfs}/info/lfs/objects/batch`, JSON.stringify(question), { signal, headers: json })).objects;
  if (object.error) throw new Refused(object.error.code, object.error.message);
  if (!object.actions) return;
  const { href, header, arrived = [] } = object.actions.upload;
  const put = (address, body, before) => ask("PUT", address, body, { signal, patient: false, progress: (sent) => mark(entry, "sending", { done: before + sent }) });
  if (!header) { await put(href, file, 0); return; }
  const chunk = Number(header.chunk_size), count = Math.ceil(file.size / chunk), here = new Set(arrived);
  const part = (number) => file.slice((number - 1) * chunk, number * chunk);
  let done = arrived.reduce((sum, number) => sum + part(number).size, 0);
  mark(entry, "sending", { done });
  for (let number = 1; number <= count; number++) {
    if (here.has(number)) continue;
    await put(header[number], part(number), done);
    done += part(number).size;
  }
  const parts = Array.from({ length: count }, (_, at) => ({ partNumber: at + 1, etag: "" }));
  await ask("POST", href, JSON.stringify({ oid, parts }), { signal, headers: json, patient: false });
}

async function prepare(entry, signal, queue) {
  if (entry.mode === "regular" && !entry.oid) { mark(entry, "ready"); return; }
  mark(entry, "checking");
  if (await hash(entry, entry.mode === "regular", signal) === entry.oid) mark(entry, "same");
  else if (entry.mode === "regular") mark(entry, "ready");
  else { mark(entry, "queued"); queue.push(entry); }
}

// Whatever is refused stays with its file; the rest goes on. What concerns all is thrown.
async function alone(entry, work) {
  try { await work(); }
  catch (error) {
    if (!(error instanceof Refused) || error.status === 401) throw error;
    mark(entry, "refused", { problem: error.message });
  }
}

async function commit(some, signal) {
  const title = form.elements.message.value.trim() || said(some.length === 1 ? "message" : "messages", { n: some.length, name: target(some[0]) });
  const body = [`${JSON.stringify({ key: "header", value: { summary: title, description: "" } })}\n`];
  for (const one of some) {
    const line = one.mode === "lfs" ? { key: "lfsFile", value: { path: target(one), algo: "sha256", oid: one.hash, size: one.file.size } }
      : { key: "file", value: { path: target(one), content: await base64(one.file), encoding: "base64" } };
    body.push(`${JSON.stringify(line)}\n`);
  }
  const asked = form.elements.pull.checked ? "?create_pr=true" : "";
  const whole = new Blob(body), headers = { ...json, "Content-Type": "application/x-ndjson" };
  return ask("POST", `${api}/commit/${revision}${asked}`, whole, { signal, headers, progress: (sent) => { committed = sent / whole.size; show(); } });
}

async function upload(signal) {
  tell("");
  committed = 0;
  const all = [...entries.values()];
  for (const one of all) mark(one, "waiting", { done: 0 });
  for (let at = 0; at < all.length; at += AT_ONCE) await plan(all.slice(at, at + AT_ONCE), signal);
  const queue = [], wanted = all.filter((one) => one.state === "waiting");
  let preparing = true;
  const sender = async () => {
    while (preparing || queue.length) {
      const next = queue.shift();
      if (next) await alone(next, () => send(next, signal));
      else await pause(50, signal);
    }
  };
  const senders = Array.from({ length: SENDERS }, sender);
  const prepared = (async () => {
    try { for (const one of wanted) await alone(one, () => prepare(one, signal, queue)); }
    finally { preparing = false; }
  })();
  await Promise.all([prepared, ...senders]);
  const refused = all.filter((one) => one.state === "refused").length;
  if (refused) { tell(said("refusals", { n: refused }), "warning"); return; }
  const changed = all.filter((one) => ["sent", "ready"].includes(one.state));
  if (!changed.length) { tell(said("unchanged")); return; }
  tell(said("committing"));
  const { pullRequestUrl } = await commit(changed, signal);
  running = null;
  location.assign(pullRequestUrl ? new URL(pullRequestUrl).pathname : `${root}/tree/${revision}`);
}

form.classList.add("scripted");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (running) { running.abort(); return; }
  running = new AbortController();
  const { signal } = running;
  try { await upload(signal); }
  catch (error) {
    if (signal.aborted && error === signal.reason) tell(said("stopped"));
    else { running.abort(); tell(error.message, "warning"); }
  } finally {
    running = null;
    for (const one of entries.values()) one.remove.disabled = false;
    show();
  }
});
addEventListener("beforeunload", (event) => { if (running) event.preventDefault(); });
show();
