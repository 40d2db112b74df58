// Renews the parts of a page marked `data-live` every `data-refresh-ms`, and copies a secret on request.
// Every page works without it: what is here for the script alone is `hidden` until the script shows it.
(() => {
  "use strict";
  for (const part of document.querySelectorAll("[data-needs-script]")) part.hidden = false;

  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
      button.textContent = "Copied";
    });
  }

  const period = Number(document.body.dataset.refreshMs || 0);
  if (!period) return;
  const status = document.getElementById("live-status");
  const say = (text, lost) => {
    if (status.textContent !== text) status.textContent = text;
    status.classList.toggle("lost", lost);
  };
  const calm = `Renewed every ${period / 1000} s.`;

  // What a reader has done to the old part is done to the new one: opened details, scrolled tables, the focused link.
  function keepPlace(before, after) {
    for (const open of before.querySelectorAll("details[open][id]")) after.querySelector("#" + open.id)?.setAttribute("open", "");
    const rows = new Set([...before.querySelectorAll("[data-row]")].map((row) => row.dataset.row));
    if (rows.size) for (const row of after.querySelectorAll("[data-row]")) if (!rows.has(row.dataset.row)) row.classList.add("fresh");
    const scrolled = [...before.querySelectorAll(".scroll")].map((box) => [box.scrollLeft, box.scrollTop]);
    const held = before.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    return () => {
      [...after.querySelectorAll(".scroll")].forEach((box, i) => scrolled[i] && box.scrollTo(...scrolled[i]));
      if (held) [...after.querySelectorAll("a[href]")].find((link) => link.getAttribute("href") === held)?.focus({ preventScroll: true });
    };
  }

  async function renew() {
    if (document.hidden || !document.getSelection().isCollapsed) return;
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
    if (answer.redirected) return location.reload();
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const before of document.querySelectorAll("[data-live]")) {
      const after = fresh.getElementById(before.id);
      if (!after) continue;
      const settle = keepPlace(before, after);
      before.replaceWith(after);
      settle();
    }
  }

  async function loop() {
    try {
      await renew();
      say(calm, false);
    } catch {
      say("Freehold cannot be reached; trying again.", true);
    }
    setTimeout(loop, period);
  }
  say(calm, false);
  setTimeout(loop, period);
})();
