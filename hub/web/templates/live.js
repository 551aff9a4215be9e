// Keeps the marked parts of a page fresh while the hub is at work: loads the page again and takes over what has changed in them.
// Without this script the page has a link that loads it.  The keyboard's place stays where it is.
"use strict";

(() => {
  const SOON = 1_000; // milliseconds until the next look after something has changed; each look that finds nothing doubles it
  const LATE = 8_000;
  let wait = SOON;

  const isOn = (root) => root.querySelector("[data-goes-on]") !== null;

  const name = (element) => element.getAttribute("href") || element.getAttribute("value") || element.id;

  const take = (part, fresh) => {
    const held = part.contains(document.activeElement) ? name(document.activeElement) : null;
    part.replaceChildren(...document.adoptNode(fresh).childNodes);
    if (held === null) return;
    const same = [...part.querySelectorAll("a, button, [tabindex]")].find((each) => name(each) === held);
    (same || part).focus({ preventScroll: true });
  };

  const load = async () => {
    const answer = await fetch(location.href, { redirect: "error" }).catch(() => null);
    if (answer !== null && answer.status < 500 && !answer.ok) return false; // signed out, or it is gone: a press of a button will say so
    let changed = false;
    if (answer !== null && answer.ok) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-live]")) {
        const twin = fresh.getElementById(part.id);
        if (twin === null || twin.innerHTML === part.innerHTML) continue;
        changed ||= part.dataset.live !== "time";
        take(part, twin);
      }
      if (!isOn(document)) return false;
    }
    wait = changed ? SOON : Math.min(2 * wait, LATE);
    return true;
  };

  const goOn = async () => {
    if (document.hidden) document.addEventListener("visibilitychange", goOn, { once: true });
    else if (await load()) setTimeout(goOn, wait);
  };

  if (isOn(document)) setTimeout(goOn, wait);
})();
