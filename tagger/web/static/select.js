"use strict";
// Photos of the library are selected, and taught as examples of a label.
(() => {
  const list = document.getElementById("photos");
  const toggle = document.getElementById("select");
  const form = document.getElementById("teach");
  const chosen = document.getElementById("chosen");
  const said = document.getElementById("taught");
  const selected = new Set();
  let on = false;

  function show() {
    toggle.setAttribute("aria-pressed", String(on));
    form.hidden = !on;
    list.classList.toggle("selecting", on);
    for (const entry of list.children) {
      const is = on && selected.has(entry.dataset.id);
      entry.classList.toggle("selected", is);
      const link = entry.querySelector("a");
      if (on) {
        link.setAttribute("role", "checkbox");
        link.setAttribute("aria-checked", String(is));
      } else {
        link.removeAttribute("role");
        link.removeAttribute("aria-checked");
      }
    }
    chosen.textContent = ngettext("%(n)s photo selected", "%(n)s photos selected", selected.size);
    form.querySelectorAll("button").forEach((button) => { button.disabled = selected.size === 0; });
  }

  toggle.addEventListener("click", () => {
    on = !on;
    if (!on) selected.clear();
    said.hidden = true;
    show();
  });

  function flip(entry) {
    if (!selected.delete(entry.dataset.id)) selected.add(entry.dataset.id);
    show();
  }

  list.addEventListener("click", (event) => {
    const entry = event.target.closest("li");
    if (!on || !entry) return;
    event.preventDefault();
    flip(entry);
  });
  list.addEventListener("keydown", (event) => {
    const entry = event.target.closest("li");
    if (!on || !entry || event.key !== " ") return;
    event.preventDefault();
    flip(entry);
  });
  new MutationObserver(() => { if (on) show(); }).observe(list, { childList: true });

  function tell(text, link) {
    said.replaceChildren(text);
    if (link) {
      const anchor = document.createElement("a");
      anchor.href = link;
      anchor.textContent = gettext("Answer questions");
      said.append(" ", anchor);
    }
    said.className = link ? "notice" : "mistake";
    said.hidden = false;
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const label = form.elements.label.value.trim();
    if (!label || selected.size === 0) return;
    const asked = new URLSearchParams({
      label,
      photos: Array.from(selected).join(","),
      shows: event.submitter?.value || "yes",
    });
    if (form.elements.under.value.trim()) asked.set("under", form.elements.under.value.trim());
    if (form.elements.extend.checked) asked.set("extend", "yes");
    try {
      const answer = await fetch(`${form.action}?${asked}`, {
        method: "POST",
        headers: { "X-Tagger-Page": "yes" },
      });
      const body = await answer.json();
      const { error, remedy } = body.said || body;
      if (!answer.ok) return tell(`${error}: ${remedy}`);
      const missing = body.missing
        ? ` ${gettext("Still needed: %(what)s.", { what: body.said.split(" (")[0] })}`
        : "";
      const has = ngettext(
        "%(label)s has %(n)s example.", "%(label)s has %(n)s examples.",
        body.examples, { label: body.label },
      );
      tell(has + missing, `/taught?${new URLSearchParams({ ask: body.label })}`);
      selected.clear();
      show();
    } catch (error) {
      tell(gettext("The page could not be reached: %(why)s", { why: error.message }));
    }
  });
  show();
})();
