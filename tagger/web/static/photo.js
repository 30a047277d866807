"use strict";
(async () => {
  const view = document.getElementById("view");
  if (view.complete && view.naturalWidth === 0) view.classList.add("broken");
  view.addEventListener("error", () => view.classList.add("broken"));

  const section = document.getElementById("similar");
  let photos = [];
  try {
    const answer = await fetch(section.dataset.url);
    if (answer.ok) photos = await answer.json();
  } catch {
    return;  // the page has gone; the photo is shown all the same
  }
  for (const photo of photos) {
    const entry = document.createElement("li");
    const link = document.createElement("a");
    const image = document.createElement("img");
    const caption = document.createElement("span");
    entry.dataset.id = photo.id;
    link.href = `/photos/${photo.id}`;
    image.width = image.height = 320;
    image.loading = "lazy";
    image.decoding = "async";
    image.alt = photo.path.slice(photo.path.lastIndexOf("/") + 1);
    image.addEventListener("error", () => image.classList.add("broken"));
    image.src = photo.thumbnail;
    caption.className = "caption likeness";
    caption.textContent = `${Math.round(100 * photo.likeness)} % alike`;
    link.append(image, caption);
    entry.append(link);
    section.querySelector("ul").append(entry);
  }
  section.hidden = photos.length === 0;
})();
