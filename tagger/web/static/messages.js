"use strict";
// What the scripts of a page that changes something share: asking the server, and telling the user.
const messages = (() => {
  const said = document.getElementById("said");
  const mistake = document.getElementById("mistake");

  function tell(place, text) {
    said.hidden = mistake.hidden = true;
    place.textContent = text;
    place.hidden = false;
  }

  async function send(method, url) {
    try {
      const answer = await fetch(url, { method, headers: { "X-Tagger-Page": "yes" } });
      const body = await answer.json();
      if (answer.ok) return body;
      const { error, remedy } = body.said || body;
      tell(mistake, `${error}: ${remedy}`);
    } catch (error) {
      tell(mistake, gettext("The page could not be reached: %(why)s", { why: error.message }));
    }
    return null;
  }

  return { said, mistake, tell, send };
})();
