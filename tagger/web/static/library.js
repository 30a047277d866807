"use strict";
(() => {
  const list = document.getElementById("photos");
  const found = document.getElementById("found");
  const more = document.getElementById("more");
  const shown = new Set(Array.from(list.children, (entry) => entry.dataset.id));
  let loading = false;

  // As the page's own template has them.
  const STATES = {
    tagged: gettext("tagged"), untagged: gettext("untagged"), waiting: gettext("waiting"),
    failed: gettext("failed"), missing: gettext("missing"),
  };
  const state = (status) => STATES[status] || status;

  function item(photo) {
    const labels = photo.tags.slice(0, 3).map((tag) => tag.label).join(", ");
    return thumbnail(photo, labels || state(photo.status));
  }

  function fresh(photos) {
    const some = photos.filter((photo) => !shown.has(String(photo.id)));
    some.forEach((photo) => shown.add(String(photo.id)));
    return some.map(item);
  }

  async function load() {
    if (loading) return;
    loading = true;
    try {
      const asked = new URLSearchParams({ q: list.dataset.q, after: more.dataset.after });
      const response = await fetch(`${list.dataset.url}?${asked}`, {
        headers: { "X-Tagger-Page": "yes" },
      });
      const said = await response.json();
      if (!response.ok) throw new Error((said.said || said).error);
      list.append(...fresh(said.photos));
      if (said.next === null) {
        seen.disconnect();
        more.remove();
        return;
      }
      more.dataset.after = said.next;
      const onward = new URLSearchParams({ q: list.dataset.q, after: said.next });
      more.href = `/library?${onward}`;
      seen.unobserve(more);
      seen.observe(more);  // it may be in sight still
    } catch (error) {
      seen.disconnect();
      more.textContent = `${gettext("More photos")} (${error.message})`;  // a click tries again
    } finally {
      loading = false;
    }
  }

  const seen = new IntersectionObserver(
    (entries) => { if (entries.some((entry) => entry.isIntersecting)) load(); },
    { rootMargin: "600px" },
  );
  if (more) {
    seen.observe(more);
    more.addEventListener("click", (event) => {
      event.preventDefault();
      load();
    });
  }

  // What is tagged while the page is open comes first, whenever it was taken.
  let counting = 0;
  async function count() {
    const response = await fetch(`${found.dataset.url}?${new URLSearchParams({ q: list.dataset.q })}`);
    if (!response.ok) return;
    const { count: n } = await response.json();
    found.textContent = ngettext("%(n)s photo", "%(n)s photos", n);
  }
  const later = new URLSearchParams(location.search).has("after");
  document.addEventListener("tagger-photo", (event) => {
    if (later || document.getElementById("mistake")) return;
    const [entry] = fresh([event.detail]);
    if (!entry) return;
    entry.className = "arrived";
    list.prepend(entry);
    document.getElementById("empty").hidden = true;
    clearTimeout(counting);
    counting = setTimeout(count, 300);
  });
})();
