// Brings a page up to date while it is looked at, and adds keys. Every page works without it.
"use strict";
(() => {
  const status = document.getElementById("live");
  const pace = document.getElementById("pace");
  const lives = () => [...document.querySelectorAll("[data-live]")];

  // Times stand in UTC. A deadline is shown by the reader's clock too, in front of it, and other times when they are pointed at.
  const clock = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" });
  const localize = (page) => {
    for (const time of page.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (isNaN(at) || at.getTimezoneOffset() === 0) continue;
      if (time.classList.contains("zoned")) time.textContent = `${clock.format(at)} = ${time.textContent}`;
      else time.title = `${clock.format(at)} = ${time.title}`;
    }
  };
  localize(document);

  // Reads this page anew and puts its live parts in the place of the old ones. What a person is filling in is never replaced.
  const refresh = async () => {
    const answer = await fetch(location.href, { credentials: "same-origin", headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) {
      stop();
      pace.textContent = "";
      status.textContent = "You are signed out, or the host has stopped. Load the page again.";
      return;
    }
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    localize(fresh);
    for (const old of lives()) {
      const now = fresh.getElementById(old.id);
      if (!now || now.innerHTML === old.innerHTML) continue;
      const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      if (old.dataset.version !== undefined && old.dataset.version !== now.dataset.version) overtaken();
      for (const open of old.querySelectorAll("details[id][open]")) now.querySelector(`#${CSS.escape(open.id)}`)?.setAttribute("open", "");
      old.replaceWith(now);
      if (focused) now.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
    }
  };

  // What the forms on this page are about is no longer what waits.
  const overtaken = () => {
    const buttons = document.querySelectorAll("#decide button, .doubt button");
    if (buttons.length === 0) return;
    for (const button of buttons) button.disabled = true;
    status.textContent = "This approval has just changed: another reviewer decided on it or edited it, or it expired.  ";
    const again = document.createElement("a");
    again.href = location.pathname;
    again.textContent = "Show the approval as it is now";
    status.append(again);
  };

  // What is being typed to the agent outlives a page that has changed: it is there again when the approval is looked at anew, in this tab, until it is sent.
  const typed = document.querySelector("#guidance, #answer");
  if (typed) {
    const key = `typed ${location.pathname}`;
    const kept = sessionStorage.getItem(key);
    if (kept && typed.value === "") typed.value = kept;
    typed.addEventListener("input", () => sessionStorage.setItem(key, typed.value));
    typed.form.addEventListener("submit", () => sessionStorage.removeItem(key));
  }

  let waiting = null;
  const soon = () => {
    waiting ??= setTimeout(() => { waiting = null; refresh().catch(() => {}); }, 150);
  };
  // A browser has few connections for a host, so only a page that is seen keeps one, and the host leaves them to the newest pages. What happened before
  // it was there is read then. A page that is told nothing says so, and looks by itself.
  let source = null;
  let looking = null;
  const stop = () => {
    source?.close();
    source = null;
    clearInterval(looking);
    looking = null;
  };
  const look = (why) => {
    stop();
    pace.textContent = `Not live: ${why}. This page looks for changes every 10 seconds.`;
    looking = setInterval(soon, 10000);
  };
  const listen = (seen) => {
    stop();
    if (!seen || lives().length === 0) return;
    source = new EventSource("/live");
    source.addEventListener("change", soon);
    source.addEventListener("open", () => { pace.textContent = ""; soon(); });
    source.addEventListener("displaced", () => look("other windows of this browser are live instead"));
    source.addEventListener("error", () => {
      if (source?.readyState === EventSource.CLOSED) look("the host has too many live pages open");
      else pace.textContent = "Not live: the host does not answer. This page tries again.";
    });
  };
  // A page that comes to the front anew is new to hands that were busy elsewhere: what decides settles again, and then has the focus again.
  const settle = () => {
    const focused = document.activeElement;
    for (const form of document.querySelectorAll(".acts")) {
      form.classList.remove("acts");
      void form.offsetWidth;
      form.classList.add("acts");
      if (form.contains(focused)) form.addEventListener("animationend", () => focused.focus({ preventScroll: true }), { once: true });
    }
  };
  const shown = () => { listen(true); settle(); };
  listen(document.visibilityState === "visible");
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" ? shown() : listen(false));
  addEventListener("pagehide", () => listen(false));
  // The window that is used is the one that is live.
  addEventListener("focus", () => { if (looking) listen(true); });
  addEventListener("pageshow", (event) => { if (event.persisted) shown(); });

  // Keys, while nothing is being filled in: j and k go through a list, Enter opens; a and r go to a form, e edits, i is the inbox.
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
    const rows = [...document.querySelectorAll("[data-row]")];
    const at = rows.indexOf(document.activeElement);
    const go = (element) => { if (element) { event.preventDefault(); element.focus(); element.scrollIntoView({ block: "nearest" }); } };
    switch (event.key) {
      case "j": go(rows[Math.min(at + 1, rows.length - 1)]); break;
      case "k": go(rows[Math.max(at - 1, 0)]); break;
      case "a": go(document.querySelector("#word, #answer") ?? document.querySelector("button.approve")); break;
      case "r": go(document.getElementById("guidance")); break;
      case "e": document.querySelector("a[data-edit]")?.click(); break;
      case "i": location.assign("/"); break;
    }
  });
})();
