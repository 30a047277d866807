"use strict";
(async () => {
  const section = document.getElementById("similar");
  let photos = [];
  try {
    const answer = await fetch(section.dataset.url);
    if (answer.ok) photos = await answer.json();
  } catch {
    return;  // the page has gone; the photo is shown all the same
  }
  for (const photo of photos) {
    const percent = Math.round(100 * photo.similarity);
    const text = gettext("%(percent)s %% alike", { percent });
    section.querySelector("ul").append(thumbnail(photo, text, "caption similarity"));
  }
  section.hidden = photos.length === 0;
})();
