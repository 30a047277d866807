"use strict";
// A combobox with a list (https://www.w3.org/WAI/ARIA/apg/patterns/combobox/) for each input
// with data-suggest: what the word before the cursor may become. With data-plain the whole text
// is one word.
(() => {
  const PAUSE = 120;

  function begin(input) {
    const list = document.getElementById(input.dataset.list);
    const plain = input.dataset.plain !== undefined;
    let found = [], active = -1, timer = 0, asked = 0;
    input.setAttribute("role", "combobox");
    input.setAttribute("aria-autocomplete", "list");
    input.setAttribute("aria-expanded", "false");
    input.setAttribute("aria-controls", list.id);

    // Where the word before the cursor begins: a quote that is open counts.
    function start() {
      if (plain) return 0;
      const before = input.value.slice(0, input.selectionStart ?? input.value.length);
      const quotes = before.split('"').length - 1;
      if (quotes % 2) return before.lastIndexOf('"');
      return Math.max(before.lastIndexOf(" "), before.lastIndexOf("("), before.lastIndexOf(")")) + 1;
    }

    function close() {
      clearTimeout(timer);
      asked += 1;
      found = [];
      active = -1;
      list.hidden = true;
      list.replaceChildren();
      input.setAttribute("aria-expanded", "false");
      input.removeAttribute("aria-activedescendant");
    }

    function mark(next) {
      active = next;
      Array.from(list.children).forEach((item, number) => {
        item.setAttribute("aria-selected", String(number === active));
        if (number === active) item.scrollIntoView({ block: "nearest" });
      });
      if (active < 0) input.removeAttribute("aria-activedescendant");
      else input.setAttribute("aria-activedescendant", list.children[active].id);
    }

    function take(number) {
      const from = start();
      const to = plain ? input.value.length : input.selectionStart ?? input.value.length;
      const text = plain ? found[number].name : found[number].text;
      const end = plain || text.endsWith(":") ? "" : " ";
      const rest = input.value.slice(to).trimStart();
      input.value = input.value.slice(0, from) + text + end + rest;
      const at = from + text.length + end.length;
      close();
      input.focus();
      input.setSelectionRange(at, at);
    }

    function item(one, number) {
      const entry = document.createElement("li");
      entry.id = `${list.id}-${number}`;
      entry.setAttribute("role", "option");
      entry.setAttribute("aria-selected", "false");
      const word = document.createElement("span");
      word.textContent = one.kind === "field" ? one.text : one.name;
      if (one.language) word.lang = one.kind === "field" ? "en" : one.language;
      const meaning = document.createElement("span");
      meaning.className = "meaning";
      if (one.kind === "field") meaning.textContent = one.name;
      else if (one.kind === "keyword") meaning.textContent = gettext("your own");
      else if (one.name !== one.label) meaning.textContent = one.label;
      entry.append(word, meaning);
      entry.addEventListener("mousedown", (event) => {
        event.preventDefault();  // the cursor stays where it is
        take(number);
      });
      return entry;
    }

    async function ask() {
      const word = input.value.slice(start(), plain ? undefined : input.selectionStart);
      const mine = (asked += 1);
      if (!word.replace('"', "").trim()) return close();
      let said = [];
      try {
        const answer = await fetch(`${input.dataset.suggest}?${new URLSearchParams({ q: word })}`);
        if (answer.ok) said = await answer.json();
      } catch {
        // without suggestions then
      }
      if (mine !== asked || document.activeElement !== input) return;
      found = plain ? said.filter((one) => one.kind !== "field") : said;
      if (found.length === 0) return close();
      list.replaceChildren(...found.map(item));
      list.hidden = false;
      input.setAttribute("aria-expanded", "true");
      mark(-1);
    }

    input.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(ask, PAUSE);
    });
    input.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "ArrowDown" && list.hidden) ask();
      else if (list.hidden) return;
      else if (event.key === "ArrowDown") mark((active + 1) % found.length);
      else if (event.key === "ArrowUp") mark((active <= 0 ? found.length : active) - 1);
      else if (event.key === "Escape") close();
      else if ((event.key === "Enter" || event.key === "Tab") && active >= 0) take(active);
      else return;
      event.preventDefault();
    });
    input.addEventListener("blur", close);
    input.form?.addEventListener("submit", close);
  }

  document.querySelectorAll("input[data-suggest]").forEach(begin);
})();
