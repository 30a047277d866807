"use strict";
(() => {
  const form = document.getElementById("upload");
  const input = document.getElementById("file");
  const results = document.getElementById("results");
  const progress = document.getElementById("progress");
  const maxBytes = Number(form.dataset.maxBytes);
  const maxFiles = Number(form.dataset.maxFiles);
  const AT_ONCE = 2;
  const TRIES = 5;
  const waiting = [];
  let running = 0, done = 0, total = 0;

  const pause = (seconds) => new Promise((go) => setTimeout(go, 1000 * seconds));

  function add(list) {
    const files = Array.from(list);
    if (files.length === 0) return;
    if (running === 0 && waiting.length === 0) done = total = 0;
    for (const file of files.slice(0, maxFiles)) {
      waiting.push([file, card(file)]);
      total += 1;
    }
    tell(files.length > maxFiles ? `Only the first ${maxFiles} are taken. ` : "");
    while (running < AT_ONCE && waiting.length > 0) work();
  }

  async function work() {
    running += 1;
    while (waiting.length > 0) {
      const [file, shown] = waiting.shift();
      try {
        await classify(file, shown);
      } catch (error) {
        fail(shown, `The page could not be reached (${error.message})`, "see whether tagger runs");
      }
      done += 1;
      tell("");
    }
    running -= 1;
  }

  function tell(before) {
    progress.textContent = `${before}${done} of ${total} picture${total === 1 ? "" : "s"} looked at`;
  }

  function card(file) {
    const shown = document.getElementById("result").content.firstElementChild.cloneNode(true);
    shown.querySelector(".name").textContent = file.name || "pasted picture";
    shown.querySelector(".state").textContent = "waiting…";
    const preview = shown.querySelector(".preview");
    const url = URL.createObjectURL(file);
    const bare = () => {
      URL.revokeObjectURL(url);
      preview.hidden = true;
      shown.querySelector(".said").classList.add("alone");
    };
    preview.addEventListener("load", () => URL.revokeObjectURL(url));
    preview.addEventListener("error", bare);  // as HEIC in most browsers
    preview.alt = `Preview of ${file.name || "the pasted picture"}`;
    preview.hidden = false;
    preview.src = url;
    results.prepend(shown);
    return shown;
  }

  async function classify(file, shown) {
    if (file.size > maxBytes) {
      fail(shown, `Larger than ${Math.round(maxBytes / 1e6)} MB`, "choose a smaller picture");
      return;
    }
    shown.querySelector(".state").textContent = "being looked at…";
    const started = performance.now();
    for (let attempt = 1; ; attempt += 1) {
      const body = new FormData();
      body.append("file", file, file.name || "pasted");
      const response = await fetch(form.dataset.url, { method: "POST", body });
      const again = Number(response.headers.get("Retry-After"));
      const busy = response.status === 503 && again > 0 && attempt < TRIES;
      if (busy) {
        await pause(again);
        continue;
      }
      const said = await response.json();
      if (response.ok) show(shown, said, performance.now() - started);
      else fail(shown, said.error, said.remedy);
      return;
    }
  }

  function fail(shown, what, remedy) {
    const state = shown.querySelector(".state");
    state.className = "state mistake";
    state.textContent = `${what}: ${remedy}`;
  }

  function both(names) {
    const span = document.createElement("span");
    span.append(names.en);
    if (names.zh && names.zh !== names.en) {
      const other = document.createElement("span");
      other.lang = "zh";
      other.className = "quiet";
      other.textContent = names.zh;
      span.append(" ", other);
    }
    return span;
  }

  function show(shown, said, elapsed) {
    shown.querySelector(".state").hidden = true;
    const bars = shown.querySelector(".bars");
    for (const one of said.predictions) {
      const bar = document.getElementById("bar").content.firstElementChild.cloneNode(true);
      bar.querySelector(".label").append(both(one.names));
      bar.querySelector(".percent").textContent = `${one.probability.toFixed(1)} %`;
      const filled = bar.querySelector("progress");
      filled.value = one.probability;
      filled.setAttribute("aria-label", one.names.en);
      bars.append(bar);
    }
    bars.hidden = false;
    const tags = shown.querySelector(".tags");
    tags.append(said.keywords.length ? "Would be tagged: " : "Nothing would be tagged.");
    for (const path of said.keywords) {
      const tag = document.createElement("span");
      tag.className = "tag";
      tag.textContent = path[path.length - 1];
      tag.title = path.join(" › ");
      tags.append(tag);
    }
    tags.hidden = false;
    shown.querySelector(".time").textContent =
      `${Math.round(elapsed)} ms, of which ${Math.round(said.milliseconds.decode)} opening` +
      ` and ${Math.round(said.milliseconds.classify)} recognising`;
  }

  input.addEventListener("change", () => {
    add(input.files);
    input.value = "";
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      form.classList.add("over");
    });
  }
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) form.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("over");
    add(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => add(event.clipboardData.files));
})();
