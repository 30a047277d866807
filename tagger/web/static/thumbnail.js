"use strict";
/** Return an entry of a list of photos: the thumbnail, which leads to the photo, and a caption. */
const thumbnail = (() => {
  function watched(image) {
    image.addEventListener("error", () => image.classList.add("broken"));
    return image;
  }

  function entry(photo, text, kind = "caption") {
    const item = document.createElement("li");
    const link = document.createElement("a");
    const image = watched(document.createElement("img"));
    const caption = document.createElement("span");
    item.dataset.id = photo.id;
    link.href = `/photos/${photo.id}`;
    image.width = image.height = 320;
    image.loading = "lazy";
    image.decoding = "async";
    image.alt = photo.path.slice(photo.path.lastIndexOf("/") + 1);
    image.src = photo.thumbnail;
    caption.className = kind;
    caption.textContent = text;
    link.append(image, caption);
    item.append(link);
    return item;
  }

  // Those that came with the page may have failed before this ran.
  document.querySelectorAll("main img").forEach((image) => {
    if (image.complete && image.naturalWidth === 0 && image.loading !== "lazy") {
      image.classList.add("broken");
    }
    watched(image);
  });
  return entry;
})();
