// Drives the console in a real headless Chromium: every page at two widths and in two colour schemes, without a mouse,
// and as somebody who tries to post from elsewhere.
//
//   CONSOLE_URL   address of the console, such as http://127.0.0.1:7401
//   ADMIN_TOKEN   an admin token of that installation
//   CHROMIUM      path of the browser; /usr/bin/chromium where absent
//   SCREENSHOTS   folder for pictures of the telling pages; none are taken where absent
//
// Prints `N passed, M failed`; exits 1 when one failed and 2 when it could not begin.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "playwright-core";

const BASE = (process.env.CONSOLE_URL ?? "").replace(/\/$/, "");
const TOKEN = process.env.ADMIN_TOKEN ?? "";
const SHOTS = process.env.SCREENSHOTS;
if (!BASE || !TOKEN) {
  console.error("Set CONSOLE_URL and ADMIN_TOKEN: the console to drive, and a token that opens it.");
  process.exit(2);
}

const WIDTHS = [360, 1280];
const SCHEMES = ["light", "dark"];
const MENU = ["Overview", "Workflows", "Lanes", "Anomalies", "Budgets", "Tools", "Costs", "Cache", "Concentration", "Drills", "Calls", "Configuration", "Instances", "Keys"];
/** Every page that has an address of its own: heading, and a text that must be on it. */
const PAGES = [
  { path: "/", name: "overview", heading: "Overview", holds: "Spent this month", picture: true },
  { path: "/workflows", name: "workflows", heading: "Workflows", holds: "Criticality" },
  { path: "/lanes", name: "lanes", heading: "Lanes", holds: "Health", picture: true },
  { path: "/anomalies", name: "anomalies", heading: "Anomalies", holds: "Nothing is out of the ordinary" },
  { path: "/budgets", name: "budgets", heading: "Budgets", holds: "Booked and held" },
  { path: "/tools", name: "tools", heading: "Tools", holds: "Price, USD a call" },
  { path: "/costs", name: "costs", heading: "Costs", holds: "Booked, USD" },
  { path: "/cache", name: "cache", heading: "Cache", holds: "Answers given again" },
  { path: "/drills", name: "drills", heading: "Drills", holds: "drill list" },
  { path: "/concentration", name: "concentration", heading: "Concentration", holds: "Share of money" },
  { path: "/calls", name: "calls", heading: "Calls", holds: "Outcome", picture: true },
  { path: "/configuration", name: "configuration", heading: "Configuration", holds: "The file as written" },
  { path: "/instances", name: "instances", heading: "Instances", holds: "serving" },
  { path: "/keys", name: "keys", heading: "Keys", holds: "Make a key" },
];
/** The least contrast of small text on its ground, and of large text (WCAG 2.2, 1.4.3). */
const [SMALL_TEXT, LARGE_TEXT] = [4.5, 3];

let passed = 0;
const failures = [];
function check(what, fine, detail = "") {
  if (fine) passed += 1;
  else {
    failures.push(what);
    console.error(`FAILED ${what}${detail ? `: ${detail}` : ""}`);
  }
}

/** Runs one part; what it throws is one failure, not the end of all. */
async function part(what, run) {
  try {
    await run();
  } catch (problem) {
    check(what, false, String(problem?.message ?? problem).split("\n").slice(0, 3).join(" "));
  }
}

/** A window that notes what a page complains about and where it wants to go. */
async function openWindow(browser, options) {
  const context = await browser.newContext({ reducedMotion: "reduce", ...options });
  const noted = { errors: [], elsewhere: [] };
  context.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(BASE + "/") && url !== BASE && !url.startsWith("data:")) noted.elsewhere.push(url);
  });
  context.on("console", (message) => message.type() === "error" && noted.errors.push(message.text()));
  context.on("weberror", (problem) => noted.errors.push(String(problem.error())));
  return { context, noted, page: await context.newPage() };
}

async function logIn(page, path = "/") {
  await page.goto(BASE + path);
  if (!new URL(page.url()).pathname.startsWith("/login")) return;
  await page.getByLabel("Admin token").fill(TOKEN);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.waitForURL((url) => !url.pathname.startsWith("/login"));
}

/** Texts whose contrast with the ground behind them is too low, computed from what the browser really drew. */
function lowContrast([small, large]) {
  const numbers = (colour) => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const light = ([r, g, b]) => {
    const part = (v) => ((v /= 255), v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const ground = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(numbers(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const low = [];
  const seen = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || seen.has(element) || element.closest("svg, option, script")) continue;
    seen.add(element);
    if (!element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
    const style = getComputedStyle(element);
    const below = ground(element);
    const [one, other] = [light(over(numbers(style.color), below)), light(below)].sort((a, b) => b - a);
    const contrast = (one + 0.05) / (other + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (contrast < (isLarge ? large : small)) low.push(`${element.textContent.trim().slice(0, 30)} ${contrast.toFixed(2)}`);
  }
  return low;
}

/** What is wrong with the structure of a page, for those who cannot see it. */
function structure() {
  const wrong = [];
  const one = (selector) => document.querySelectorAll(selector).length === 1 || wrong.push(`not one ${selector}`);
  one("main");
  one("h1");
  if (!document.documentElement.lang) wrong.push("no language");
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) wrong.push(`id ${id} twice`);
  for (const attribute of ["aria-labelledby", "aria-describedby"]) {
    for (const e of document.querySelectorAll(`[${attribute}]`)) {
      for (const id of e.getAttribute(attribute).split(/\s+/)) if (!document.getElementById(id)) wrong.push(`${attribute} to missing ${id}`);
    }
  }
  for (const th of document.querySelectorAll("th:not([scope])")) wrong.push(`header without scope: ${th.textContent}`);
  for (const field of document.querySelectorAll("input:not([type=hidden]), select")) if (!field.labels.length) wrong.push(`field ${field.name} without label`);
  for (const svg of document.querySelectorAll("svg")) {
    if (svg.getAttribute("aria-hidden") !== "true" && !(svg.getAttribute("role") === "img" && svg.querySelector("title"))) wrong.push("a picture without a title");
  }
  for (const e of document.querySelectorAll("[style], [onclick], [onerror], script:not([src]), style")) wrong.push(`inline code or style: ${e.outerHTML.slice(0, 60)}`);
  let level = 0;
  for (const h of document.querySelectorAll("h1, h2, h3, h4")) {
    const next = Number(h.tagName[1]);
    if (next > level + 1) wrong.push(`heading ${h.textContent} skips a level`);
    level = next;
  }
  return wrong;
}

/** Elements that stick out of the page at its right. */
function overflow() {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const out = [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > width + 1 && !e.closest(".scroll, pre, ol.lines"));
  return out.slice(0, 3).map((e) => `${e.tagName.toLowerCase()}.${e.className}`).concat(`page is ${document.documentElement.scrollWidth} wide`);
}

async function judge(page, noted, name) {
  check(`${name}: no horizontal scrolling`, ...quiet(await page.evaluate(overflow)));
  check(`${name}: text stands out from its ground`, ...quiet(await page.evaluate(lowContrast, [SMALL_TEXT, LARGE_TEXT])));
  check(`${name}: structure`, ...quiet(await page.evaluate(structure)));
  check(`${name}: nothing is asked of another host`, ...quiet(noted.elsewhere.splice(0)));
  check(`${name}: the browser complains of nothing`, ...quiet(noted.errors.splice(0)));
}

const quiet = (list) => [list.length === 0, list.slice(0, 5).join("; ")];

/** The upper part of a page, as long as two screens or so. */
async function picture(page, name) {
  if (!SHOTS) return;
  await page.evaluate(() => document.activeElement?.blur?.());
  const { width } = page.viewportSize();
  const height = Math.min(await page.evaluate(() => document.documentElement.scrollHeight), width < 600 ? 1400 : 1100);
  await page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true, clip: { x: 0, y: 0, width, height } });
}

async function everyPage(browser, width, scheme) {
  const label = `${width} ${scheme}`;
  const { context, noted, page } = await openWindow(browser, { viewport: { width, height: 800 }, colorScheme: scheme });
  await part(`login ${label}`, async () => {
    await page.goto(BASE + "/");
    check(`login ${label}: a stranger is sent to the login`, new URL(page.url()).pathname === "/login", page.url());
    await judge(page, noted, `login ${label}`);
    await logIn(page);
  });
  for (const { path, name, heading, holds, picture: wanted } of PAGES) {
    await part(`${name} ${label}`, async () => {
      const answer = await page.goto(BASE + path);
      check(`${name} ${label}: answers 200`, answer.status() === 200, String(answer.status()));
      check(`${name} ${label}: heading`, (await page.locator("h1").textContent()) === heading);
      check(`${name} ${label}: content`, (await page.locator("main").innerText()).toLowerCase().includes(holds.toLowerCase()), holds);
      const current = await page.locator('nav[aria-label="Main"] a[aria-current="page"]').allTextContents();
      check(`${name} ${label}: the menu says where one is`, current.length === 1 && current[0] === heading, current.join());
      await judge(page, noted, `${name} ${label}`);
      if (wanted) await picture(page, `${name}-${width}-${scheme}`);
    });
  }
  await follow(page, noted, label, "workflow", "/workflows", 'tbody a[href^="/workflows/"]', "Policy");
  await follow(page, noted, label, "call", "/calls", 'tbody a[href^="/calls/"]', "Stages", `call-${width}-${scheme}`);
  await part(`missing page ${label}`, async () => {
    const answer = await page.goto(BASE + "/calls/nonsense");
    check(`missing page ${label}: answers 404`, answer.status() === 404);
    noted.errors.length = 0; // the browser notes the 404 itself
    await judge(page, noted, `missing page ${label}`);
  });
  await context.close();
}

/** Opens the first entry of a list; an installation without any has nothing to open. */
async function follow(page, noted, label, name, list, link, holds, shot) {
  await part(`${name} ${label}`, async () => {
    await page.goto(BASE + list);
    // A call that needed several attempts shows more than one that went straight through.
    const telling = page.locator("tbody tr", { hasText: "attempts" }).locator(link.replace("tbody ", ""));
    const first = ((await telling.count()) > 0 ? telling : page.locator(link)).first();
    if ((await first.count()) === 0) return check(`${name} ${label}: the empty list says what to do`, (await page.locator(".empty").count()) > 0);
    const href = await first.getAttribute("href");
    const answer = await page.goto(BASE + href);
    check(`${name} ${label}: answers 200`, answer.status() === 200, `${answer.status()} ${href}`);
    check(`${name} ${label}: content`, (await page.locator("main").innerText()).includes(holds));
    await judge(page, noted, `${name} ${label}`);
    if (shot) await picture(page, shot);
  });
}

/** Whoever has no mouse reaches the content, every entry of the menu, and sees where the focus is. */
async function keyboard(browser) {
  const { context, page } = await openWindow(browser, { viewport: { width: 1280, height: 800 } });
  await part("keyboard", async () => {
    await logIn(page);
    await page.goto(BASE + "/workflows");
    await page.keyboard.press("Tab");
    const first = await page.evaluate(() => document.activeElement.textContent);
    check("keyboard: the first stop skips to the content", first === "Skip to content", first);
    const visible = await page.locator(".skip").evaluate((e) => e.getBoundingClientRect().top >= 0);
    check("keyboard: the skip link shows itself", visible);
    const reached = [];
    for (let i = 0; i <= MENU.length; i++) {
      await page.keyboard.press("Tab");
      const stop = await page.evaluate(() => {
        const e = document.activeElement;
        return { text: e.textContent.trim(), ring: getComputedStyle(e).outlineStyle !== "none", menu: !!e.closest("nav") };
      });
      if (stop.menu) reached.push(stop);
    }
    check("keyboard: every entry of the menu is reached in order", reached.map((s) => s.text).join() === MENU.join(), reached.map((s) => s.text).join());
    check("keyboard: the focus is seen", reached.every((s) => s.ring));
    await page.goto(BASE + "/");
    await page.getByRole("link", { name: "Calls", exact: true }).first().focus();
    await page.keyboard.press("Enter");
    await page.waitForURL(BASE + "/calls");
    check("keyboard: Enter follows a link", true);
  });
  await context.close();
}

/** A form without our token, or from another site, changes nothing. */
async function strangers(browser) {
  const { context, page } = await openWindow(browser, {});
  await part("strangers", async () => {
    await page.goto(BASE + "/login");
    await page.getByLabel("Admin token").fill("fha_wrong_token");
    await page.getByRole("button", { name: "Log in" }).click();
    check("login: a wrong token is refused with a sentence", await page.getByRole("alert").isVisible());
    await logIn(page);
    const post = (path, form, headers) => page.evaluate(async ([path, form, headers]) => {
      const answer = await fetch(path, { method: "POST", body: new URLSearchParams(form), headers, redirect: "manual" });
      return answer.status;
    }, [path, form, headers]);
    check("csrf: a key is not made without the token", (await post("/keys", { label: "x", scope: "all" })) === 403);
    check("csrf: nor with a wrong one", (await post("/keys", { label: "x", scope: "all", csrf: "wrong" })) === 403);
    check("csrf: nor is a session ended", (await post("/logout", {})) === 403);
    const csrf = await page.locator('input[name="csrf"]').first().getAttribute("value");
    const cookies = (await context.cookies()).map((c) => `${c.name}=${c.value}`).join("; ");
    const foreign = await context.request.post(BASE + "/keys", {
      form: { label: "x", scope: "all", csrf }, headers: { origin: "http://elsewhere.example", cookie: cookies }, maxRedirects: 0,
    });
    check("origin: a form of another site is refused, token or not", foreign.status() === 403, String(foreign.status()));
    const cookie = (await context.cookies()).find((c) => c.value && c.httpOnly);
    check("the session's cookie is out of reach of scripts and other sites", cookie && ["Strict", "Lax"].includes(cookie.sameSite));
  });
  await context.close();
}

async function headers(browser) {
  const { context, page } = await openWindow(browser, {});
  await part("headers", async () => {
    const answer = await page.goto(BASE + "/login");
    const all = answer.headers();
    const policy = all["content-security-policy"] ?? "";
    check("headers: a strict content policy", policy.includes("default-src 'none'") && policy.includes("frame-ancestors 'none'") && !policy.includes("unsafe"), policy);
    check("headers: no sniffing", all["x-content-type-options"] === "nosniff");
    check("headers: no referrer to other sites", ["same-origin", "no-referrer"].includes(all["referrer-policy"]));
    check("headers: pages are not kept", all["cache-control"] === "no-store");
  });
  await context.close();
}

/** Makes a key, sees its secret once, revokes it. */
async function keys(browser) {
  const { context, noted, page } = await openWindow(browser, { viewport: { width: 1280, height: 800 } });
  await part("keys", async () => {
    await logIn(page, "/keys");
    const label = `browser test ${Date.now()}`;
    await page.goto(BASE + "/keys");
    await page.getByLabel("Label").fill(label);
    await page.getByLabel("Budget, USD").fill("one dollar");
    await page.getByRole("button", { name: "Make the key" }).click();
    check("keys: a mistake is told and the rest of the form is kept", (await page.getByRole("alert").isVisible()) && (await page.getByLabel("Label").inputValue()) === label);
    noted.errors.length = 0; // the browser notes the 400 itself
    await page.getByLabel("Budget, USD").fill("1.50");
    await page.getByRole("button", { name: "Make the key" }).click();
    const secret = (await page.locator("#secret").textContent()).trim();
    check("keys: the secret is shown", /^fh_[^_]+_\S{16,}$/.test(secret));
    await judge(page, noted, "key made");
    await page.goto(BASE + "/keys");
    const text = await page.locator("main").innerText();
    check("keys: the list has the key and not its secret", text.includes(label) && !text.includes(secret));
    const row = page.locator("tbody tr", { hasText: label });
    await row.getByRole("link", { name: "Revoke" }).click();
    await judge(page, noted, "key revocation");
    check("keys: one is asked first", (await page.locator("h1").textContent()).includes(label));
    await page.getByRole("button", { name: "Revoke the key" }).click();
    await page.waitForURL(BASE + "/keys");
    check("keys: the key is revoked", (await page.locator("tbody tr", { hasText: label }).innerText()).includes("revoked"));
  });
  await context.close();
}

/** A page renews its live part by itself, and says so. */
async function live(browser) {
  const { context, noted, page } = await openWindow(browser, { viewport: { width: 1280, height: 800 } });
  await part("live", async () => {
    await logIn(page);
    await page.goto(BASE + "/calls");
    await page.getByRole("link", { name: "Follow live" }).click();
    await page.waitForURL(/live=1/);
    check("live: the page says that it renews itself", (await page.locator("#live-status").textContent()).includes("Renewed every"));
    await page.locator("#live").evaluate((e) => e.setAttribute("data-old", ""));
    await page.locator("#live:not([data-old])").waitFor({ timeout: 10_000 });
    check("live: the list was renewed in place", new URL(page.url()).search === "?live=1");
    await page.getByRole("link", { name: "Stop following" }).click();
    await page.waitForURL(BASE + "/calls");
    check("live: it stops on request", (await page.locator("body[data-refresh-ms]").count()) === 0);
    await page.goto(BASE + "/");
    await page.getByRole("link", { name: "Pause" }).click();
    check("live: the overview can be paused", (await page.locator("body[data-refresh-ms]").count()) === 0);
    check("live: the browser complains of nothing", ...quiet(noted.errors));
  });
  await context.close();
}

async function withoutScript(browser) {
  const { context, page } = await openWindow(browser, { javaScriptEnabled: false });
  await part("without script", async () => {
    await logIn(page);
    await page.goto(BASE + "/calls");
    check("without script: the page is there", (await page.locator("h1").textContent()) === "Calls");
    check("without script: what needs one is not offered", !(await page.getByRole("link", { name: "Follow live" }).isVisible()));
    await page.locator("select#outcome").selectOption("failed");
    await page.getByRole("button", { name: "Filter" }).click();
    check("without script: the filter filters", new URL(page.url()).searchParams.get("outcome") === "failed");
  });
  await context.close();
}

async function leave(browser) {
  const { context, page } = await openWindow(browser, {});
  await part("logout", async () => {
    await logIn(page, "/lanes");
    check("login: one arrives where one wanted to go", new URL(page.url()).pathname === "/lanes", page.url());
    const before = await context.cookies();
    await page.getByRole("button", { name: "Log out" }).click();
    await page.waitForURL(/\/login/);
    await page.goto(BASE + "/keys");
    check("logout: the pages are closed", new URL(page.url()).pathname === "/login");
    await context.addCookies(before);
    await page.goto(BASE + "/keys");
    check("logout: the old cookie opens nothing", new URL(page.url()).pathname === "/login");
  });
  await context.close();
}

let browser;
try {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
} catch (problem) {
  console.error(`The browser did not start; set CHROMIUM to its path. ${problem.message.split("\n")[0]}`);
  process.exit(2);
}
try {
  if (SHOTS) await mkdir(SHOTS, { recursive: true });
  for (const width of WIDTHS) for (const scheme of SCHEMES) await everyPage(browser, width, scheme);
  await headers(browser);
  await keyboard(browser);
  await strangers(browser);
  await keys(browser);
  await live(browser);
  await withoutScript(browser);
  await leave(browser);
} finally {
  await browser.close();
}
console.log(`${passed} passed, ${failures.length} failed`);
process.exit(failures.length ? 1 : 0);
