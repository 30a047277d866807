"use strict";
// The page of taught labels: questions that are answered with one key each, keywords, forgetting.
(() => {
  const { said, mistake, tell, send } = messages;
  const asking = document.getElementById("asking");
  const title = document.getElementById("asked");
  const photo = document.getElementById("asked-photo");
  const doubt = document.getElementById("doubt");
  const count = document.getElementById("answered");
  let label = "";
  let question = null;
  let answers = 0;
  let busy = false;

  async function refresh() {
    const answer = await fetch(location.pathname, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.getElementById("labels").replaceWith(
      document.adoptNode(fresh.getElementById("labels")),
    );
  }

  function show(next) {
    question = next;
    if (question === null) {
      asking.hidden = true;
      tell(said, gettext("There is nothing more to ask about %(label)s.", { label }));
      refresh();
      return;
    }
    title.textContent = gettext("Is this %(label)s?", { label });
    photo.src = question.view;
    photo.alt = question.path.slice(question.path.lastIndexOf("/") + 1);
    doubt.textContent = question.doubtful
      ? gettext("It has your keyword, but looks unlike the others that have.")
      : gettext("%(percent)s %% likely", { percent: Math.round(100 * question.likely) });
    count.textContent = answers ? ngettext("%(n)s answer", "%(n)s answers", answers) : "";
    asking.hidden = false;
  }

  async function begin(name) {
    label = name;
    answers = 0;
    said.hidden = mistake.hidden = true;
    const found = await send("GET", `${asking.dataset.question}?${new URLSearchParams({ label })}`);
    if (found === null) return;
    show(found.question);
    if (found.question) title.focus();
  }

  async function answer(word) {
    if (busy || question === null || asking.hidden) return;
    busy = true;
    const asked = new URLSearchParams({ label, photo: question.id, answer: word });
    const found = await send("POST", `${asking.dataset.answers}?${asked}`);
    busy = false;
    if (found === null) return;
    answers += 1;
    show(found.question);
  }

  function end() {
    asking.hidden = true;
    question = null;
    if (answers) {
      tell(said, ngettext(
        "%(n)s answer about %(label)s; tagger learns from it now.",
        "%(n)s answers about %(label)s; tagger learns from them now.", answers, { label },
      ));
    }
    refresh();
  }

  document.addEventListener("keydown", (event) => {
    if (asking.hidden || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.key === "Escape") return end();
    const button = asking.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
    if (!button) return;
    event.preventDefault();
    answer(button.dataset.answer);
  });

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const data = button.dataset;
    if (data.ask !== undefined) begin(data.ask);
    else if (data.answer !== undefined) answer(data.answer);
    else if (button.id === "enough") end();
    else if (button.id === "suggest") suggest();
    else if (data.forget !== undefined) {
      if (!confirm(gettext("Forget %(name)s? It goes from all photos.", { name: data.name }))) return;
      const done = await send("DELETE", data.forget);
      if (done === null) return;
      tell(said, gettext("%(name)s is forgotten.", { name: data.name }));
      refresh();
    } else if (data.keyword !== undefined) {
      button.disabled = true;
      const done = await send("POST", `${offered.dataset.url}?${new URLSearchParams({ keyword: data.keyword })}`);
      button.disabled = false;
      if (done === null) return;
      button.closest("li").remove();
      tell(said, ngettext(
        "%(keyword)s is learned from %(n)s photo.", "%(keyword)s is learned from %(n)s photos.",
        done.examples, { keyword: data.keyword },
      ));
      refresh();
    }
  });

  const offered = document.getElementById("suggestions");
  const suggested = document.getElementById("suggested");
  async function suggest() {
    suggested.textContent = gettext("Looking …");
    const found = await send("GET", offered.dataset.url);
    suggested.textContent = "";
    if (found === null) return;
    if (found.length === 0) suggested.textContent = gettext("None is on three photos that were looked at.");
    offered.querySelector("ul").replaceChildren(...found.map((one) => {
      const item = document.createElement("li");
      const text = document.createElement("span");
      const button = document.createElement("button");
      const about = ngettext(
        "%(keyword)s: on %(n)s photo; about %(percent)s %% of them would be found",
        "%(keyword)s: on %(n)s photos; about %(percent)s %% of them would be found",
        one.photos, { keyword: one.keyword, percent: Math.round(100 * one.found) },
      );
      text.textContent = `${about} `;
      button.type = "button";
      button.className = "small plain";
      button.dataset.keyword = one.keyword;
      button.textContent = gettext("Teach");
      button.setAttribute("aria-label", gettext("Teach %(keyword)s", { keyword: one.keyword }));
      item.append(text, button);
      return item;
    }));
  }
  const wanted = new URLSearchParams(location.search).get("ask");
  if (wanted) begin(wanted);
})();
