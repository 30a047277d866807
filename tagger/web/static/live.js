"use strict";
// Says in the head of the page what the daemon does, and tells the page's own scripts of news by
// the events "tagger-status" and "tagger-photo" of the document.
(() => {
  const place = document.getElementById("live");
  if (!place || !window.EventSource) return;
  const AGAIN = 25_000;
  let source = null, timer = 0, last = place.dataset.after || "";

  function say(text, state) {
    if (place.textContent !== text) place.textContent = text;
    place.dataset.state = state;
    place.title = text;
  }

  function capital(text) {
    return text[0].toUpperCase() + text.slice(1);
  }

  function show(said) {
    const failed = said.counts.failed;
    const rest = said.progress ? said.progress.remaining : 0;
    if (!said.running) say(gettext("No daemon runs"), "bad");
    else if (said.problem) say(said.said.problem, "bad");
    else if (said.notice) say(capital(said.said.notice), "busy");
    else if (said.paused_reason) say(said.said.paused_reason, "rest");
    else if (rest > 0) {
      say(ngettext("Looking at %(n)s more photo", "Looking at %(n)s more photos", rest), "busy");
    }
    else if (failed) say(ngettext("Up to date, %(n)s failed", "Up to date, %(n)s failed", failed), "idle");
    else say(gettext("Up to date"), "idle");
  }

  function tell(name, said) {
    document.dispatchEvent(new CustomEvent(name, { detail: said }));
  }

  function listen() {
    clearTimeout(timer);
    if (source || document.hidden) return;
    const asked = new URLSearchParams({ page: "yes" });
    if (place.dataset.q) asked.set("q", place.dataset.q);
    if (last) asked.set("after", last);
    source = new EventSource(`${place.dataset.events}?${asked}`);
    const heard = (name, use) => source.addEventListener(name, (event) => {
      last = event.lastEventId;
      use(JSON.parse(event.data));
    });
    heard("status", (said) => {
      show(said);
      tell("tagger-status", said);
    });
    heard("photo", (said) => tell("tagger-photo", said));
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) return;  // it comes again by itself
      source = null;
      timer = setTimeout(listen, AGAIN);  // too many listen, or the page is gone
    });
  }

  function leave() {
    clearTimeout(timer);
    if (source) source.close();
    source = null;
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : listen()));
  window.addEventListener("pagehide", leave);
  window.addEventListener("pageshow", listen);
  listen();
})();
