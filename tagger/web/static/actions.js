"use strict";
// Buttons with data-method and data-url change something; what is shown in sections with data-fresh
// is then fetched anew. With data-await the daemon may need a moment for it.
(() => {
  const { said, tell, send } = messages;
  const WAITS = [700, 1000, 1500, 2500, 4000];

  const pause = (milliseconds) => new Promise((go) => setTimeout(go, milliseconds));

  // Returns whether anything is shown otherwise now.
  async function refresh() {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) return false;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    let other = false;
    for (const old of document.querySelectorAll("[data-fresh]")) {
      const now = fresh.getElementById(old.id);
      if (!now || now.textContent === old.textContent) continue;
      const open = Array.from(old.querySelectorAll("details"), (one) => one.open);
      now.querySelectorAll("details").forEach((one, at) => { one.open = Boolean(open[at]); });
      old.replaceWith(document.adoptNode(now));
      other = true;
    }
    return other;
  }

  async function wait() {
    for (const milliseconds of WAITS) {
      await pause(milliseconds);
      if (await refresh()) return;
    }
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-url]");
    if (!button) return;
    const { method, url, said: text } = button.dataset;
    const slow = button.dataset.await !== undefined;
    button.disabled = true;
    const done = await send(method, url);
    button.disabled = false;
    if (done === null) return;
    tell(said, text);
    const lost = document.activeElement === button || document.activeElement === document.body;
    await refresh();
    if (lost && !document.contains(button)) document.getElementById("tags-title")?.focus();
    if (slow) await wait();
  });

  const add = document.getElementById("add");
  add?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const word = add.elements.label.value.trim();
    if (!word) return;
    const done = await send("POST", `${add.action}?${new URLSearchParams({ label: word })}`);
    if (done === null) return;
    add.reset();
    tell(said, gettext("%(word)s is your keyword of this photo", { word }));
    await refresh();
  });

  let failed = null;
  document.addEventListener("tagger-status", (event) => {
    const now = event.detail.counts.failed;
    const shown = document.querySelector('[data-fresh-on="failed"]');
    if (shown && failed !== null && now !== failed) refresh();
    failed = now;
  });
})();
