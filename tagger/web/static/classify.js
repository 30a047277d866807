"use strict";
(() => {
  const form = document.getElementById("upload");
  const input = document.getElementById("file");
  const results = document.getElementById("results");
  const progress = document.getElementById("progress");
  const bar = document.getElementById("bar-of-all");
  const maxBytes = Number(form.dataset.maxBytes);
  const maxFiles = Number(form.dataset.maxFiles);
  const AT_ONCE = 2;
  const TRIES = 5;
  const SVG = "http://www.w3.org/2000/svg";
  const waiting = [];
  let running = 0, done = 0, total = 0;

  const pause = (seconds) => new Promise((go) => setTimeout(go, 1000 * seconds));
  const copy = (id) => document.getElementById(id).content.firstElementChild.cloneNode(true);

  function make(tag, className, ...inside) {
    const element = document.createElement(tag);
    element.className = className;
    element.append(...inside);
    return element;
  }

  function add(list) {
    const files = Array.from(list);
    if (files.length === 0) return;
    if (running === 0 && waiting.length === 0) done = total = 0;
    form.classList.add("busy");
    for (const file of files.slice(0, maxFiles)) {
      waiting.push([file, card(file)]);
      total += 1;
    }
    tell(files.length > maxFiles ? `${gettext("Only the first %(most)s are taken.", { most: maxFiles })} ` : "");
    while (running < AT_ONCE && waiting.length > 0) work();
  }

  async function work() {
    running += 1;
    while (waiting.length > 0) {
      const [file, shown] = waiting.shift();
      try {
        await classify(file, shown);
      } catch (error) {
        fail(shown, error.message, gettext("see whether tagger runs"));
      }
      done += 1;
      tell("");
    }
    running -= 1;
  }

  function tell(before) {
    progress.textContent = before + ngettext(
      "%(done)s of %(n)s picture looked at", "%(done)s of %(n)s pictures looked at",
      total, { done: number(done) },
    );
    bar.max = total;
    bar.value = done;
    bar.hidden = total < 2 || done === total;
  }

  /** Put a card with the preview of `file` before the others. */
  function card(file) {
    const shown = copy("result");
    const name = file.name || gettext("pasted picture");
    shown.querySelector(".name").textContent = shown.querySelector(".name").title = name;
    const preview = shown.querySelector("img");
    const url = URL.createObjectURL(file);
    preview.addEventListener("load", () => URL.revokeObjectURL(url));
    preview.addEventListener("error", () => {  // as HEIC in most browsers
      URL.revokeObjectURL(url);
      preview.hidden = true;
      shown.classList.toggle("alone", shown.querySelector(".state").classList.contains("mistake"));
      const end = /\.(\w{1,5})$/.exec(name);
      shown.querySelector(".kind").textContent = end ? end[1].toUpperCase() : gettext("no preview");
    });
    preview.alt = gettext("Preview of %(name)s", { name });
    preview.hidden = false;
    preview.src = url;
    results.prepend(shown);
    return shown;
  }

  /** Post `file`; return status, headers and the JSON. `sent` hears the share sent, 0…1. */
  function post(url, fields, sent) {
    return new Promise((answered, failed) => {
      const body = new FormData();
      for (const [name, value] of Object.entries(fields)) {
        if (value instanceof Blob) body.append(name, value, value.name || "pasted");
        else body.append(name, value);
      }
      const request = new XMLHttpRequest();  // fetch does not tell how much has been sent
      request.open("POST", url);
      request.responseType = "json";
      request.setRequestHeader("Accept", "application/json");
      request.setRequestHeader("X-Tagger-Page", "yes");
      request.upload.addEventListener("progress", (event) => sent(event.loaded / event.total));
      request.addEventListener("load", () => {
        if (request.status === 401) location.reload();  // the login page
        answered({
          ok: request.status < 300,
          status: request.status,
          again: Number(request.getResponseHeader("Retry-After")),
          said: request.response
            || { error: gettext("That was no answer"), remedy: gettext("reload the page") },
        });
      });
      request.addEventListener("error", () => failed(new Error(gettext("The page could not be reached"))));
      request.send(body);
    });
  }

  async function classify(file, shown) {
    if (file.size > maxBytes) {
      const large = gettext("Larger than %(most)s MB", { most: Math.round(maxBytes / 1e6) });
      fail(shown, large, gettext("choose a smaller picture"));
      return;
    }
    const state = shown.querySelector(".state");
    const sent = (share) => {
      const percent = Math.floor(100 * share);
      state.textContent = share < 1
        ? gettext("sending, %(percent)s %%", { percent })
        : gettext("being looked at…");
    };
    sent(1);
    const started = performance.now();
    for (let attempt = 1; ; attempt += 1) {
      const answer = await post(form.dataset.url, { file }, sent);
      if (answer.status === 503 && answer.again > 0 && attempt < TRIES) {
        state.textContent = gettext("waiting for its turn");
        await pause(answer.again);
        continue;
      }
      if (answer.ok) show(file, shown, answer.said, performance.now() - started);
      else fail(shown, words(answer.said).error, words(answer.said).remedy);
      return;
    }
  }

  /** Return what an error says, in the reader's language. */
  function words(error) {
    return error.said || error;
  }

  function fail(shown, what, remedy) {
    const state = shown.querySelector(".state");
    state.className = "state mistake";
    shown.classList.toggle("alone", shown.querySelector("img").hidden);
    state.textContent = `${what.charAt(0).toUpperCase()}${what.slice(1)}: ${remedy}`;
  }

  function both(names) {
    const span = make("span", "", make("span", "", names.en));
    if (names.zh && names.zh !== names.en) {
      const other = make("span", "quiet", names.zh);
      other.lang = "zh";
      span.append(" ", other);
    }
    return span;
  }

  function show(file, shown, said, elapsed) {
    shown.querySelector(".state").hidden = true;
    const bars = shown.querySelector(".bars");
    for (const one of said.predictions) {
      const entry = copy("bar");
      entry.querySelector(".label").append(both(one.names));
      entry.querySelector(".percent").textContent = `${number(one.probability, 1)} %`;
      const filled = entry.querySelector("progress");
      filled.value = one.probability;
      filled.setAttribute("aria-label", one.names.en);
      bars.append(entry);
    }
    bars.hidden = false;
    showTags(shown, said);
    showBoxes(shown, said.boxes || []);
    const time = shown.querySelector(".time");
    time.textContent = gettext("%(all)s ms: %(open)s to open it, %(recognise)s to recognise", {
      all: Math.round(elapsed),
      open: Math.round(said.milliseconds.decode),
      recognise: Math.round(said.milliseconds.classify),
    });
    time.hidden = false;
    offerKeeping(file, shown);
  }

  function showTags(shown, said) {
    const tags = shown.querySelector(".tags");
    const none = said.keywords.length === 0;
    tags.append(make("span", "quiet small", none ? gettext("No tag would be written") : gettext("Tags")));
    for (const path of said.keywords) {
      const tag = make("span", "tag", path[path.length - 1]);
      tag.title = path.join(" › ");
      tags.append(tag);
    }
    tags.hidden = false;
    const why = shown.querySelector(".why");
    for (const tag of said.tags) {
      if (!tag.reason) continue;
      const sure = `${number(100 * tag.confidence, 1)} %`;
      why.append(make("li", "", `${tag.path.join(" › ")}, ${sure}: ${tag.said}`));
    }
    why.parentElement.hidden = why.childElementCount === 0;
  }

  /** Draw boxes (left, top, width, height, as shares of the picture) over the preview. */
  function showBoxes(shown, boxes) {
    const preview = shown.querySelector("img");
    const width = preview.naturalWidth, height = preview.naturalHeight;
    if (preview.hidden || !width || boxes.length === 0) return;
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("class", "boxes");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("preserveAspectRatio", "xMidYMid slice");  // as the preview is cut
    svg.setAttribute("role", "img");
    const labels = boxes.map((one) => one.label).join(", ");
    svg.setAttribute("aria-label", gettext("Boxes around: %(labels)s", { labels }));
    for (const { label, score, box } of boxes) {
      const rect = document.createElementNS(SVG, "rect");
      const places = { x: box[0] * width, y: box[1] * height, width: box[2] * width, height: box[3] * height };
      for (const [name, value] of Object.entries(places)) rect.setAttribute(name, value.toFixed(1));
      const title = document.createElementNS(SVG, "title");
      title.textContent = `${label} ${Math.round(100 * score)} %`;
      rect.append(title);
      svg.append(rect);
    }
    preview.after(svg);
    const choice = shown.querySelector(".with-boxes");
    choice.hidden = false;
    choice.querySelector("input").addEventListener("change", (event) => {
      svg.classList.toggle("off", !event.target.checked);
    });
  }

  function offerKeeping(file, shown) {
    const keep = shown.querySelector(".keep");
    const folders = keep.querySelector("select");
    const button = keep.querySelector("button");
    if (folders.options.length === 0) return;
    if (folders.options.length === 1) {
      folders.hidden = true;
      button.textContent = gettext("Keep it in %(folder)s", { folder: folders.options[0].textContent });
    }
    keep.hidden = false;
    keep.addEventListener("submit", async (event) => {
      event.preventDefault();
      button.disabled = true;
      const heard = keep.querySelector("[role=status]");
      heard.textContent = "";
      try {
        const fields = { folder: folders.value, file };
        const { ok, said } = await post(form.dataset.inbox, fields, () => {});
        heard.textContent = ok
          ? gettext("Kept as %(path)s", { path: said.path })
          : `${words(said).error}: ${words(said).remedy}`;
        if (ok) folders.hidden = button.hidden = true;
      } catch (error) {
        heard.textContent = `${error.message}: ${gettext("see whether tagger runs")}`;
      }
      button.disabled = false;
    });
  }

  input.addEventListener("change", () => {
    add(input.files);
    input.value = "";
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      form.classList.add("over");
    });
  }
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) form.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    form.classList.remove("over");
    add(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => add(event.clipboardData.files));
})();
