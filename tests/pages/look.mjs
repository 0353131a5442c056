// Look: what a browser makes of pages, at each width and in light and dark.
//
// node look.mjs MODULES CHROMIUM SCREENSHOTS PAGE... prints one JSON array; MODULES has axe-core and puppeteer-core, and
// SCREENSHOTS is a folder that gets PAGE-WIDTH-SCHEME.png, or "".
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const WIDTHS = [360, 768, 1440];
const SCHEMES = ["light", "dark"];
const CONTRAST = 4.5; // of large text, too: WCAG 2.1, criterion 1.4.3, asks 3 of it
const LETTER = 10; // pixels on the screen, of charts' letters at least

const [modules, chromium, screenshots, ...pages] = process.argv.slice(2);
const bring = createRequire(join(resolve(modules), "node_modules/"));
const axe = readFileSync(bring.resolve("axe-core/axe.min.js"), "utf8");
const browser = await bring("puppeteer-core").launch({
  executablePath: chromium,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
const seen = [];
for (const page of pages) {
  for (const scheme of SCHEMES) {
    for (const width of WIDTHS) seen.push(await look(page, width, scheme));
  }
}
await browser.close();
console.log(JSON.stringify(seen));

async function look(path, width, scheme) {
  const tab = await browser.newPage();
  const fetched = [];
  tab.on("request", (request) => fetched.push(request.url()));
  await tab.setViewport({ width, height: 900 });
  await tab.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  const address = pathToFileURL(resolve(path)).href;
  await tab.goto(address, { waitUntil: "load" });
  const found = await tab.evaluate(measure, CONTRAST, LETTER);
  await tab.evaluate(axe);
  found.broken = await tab.evaluate(check, CONTRAST);
  found.fetched = fetched.filter((url) => url !== address && !url.startsWith("data:"));
  if (screenshots) {
    const name = `${basename(path, ".html")}-${width}-${scheme}.png`;
    await tab.screenshot({ path: join(screenshots, name), fullPage: true });
  }
  await tab.close();
  return { page: basename(path), width, scheme, ...found };
}

// In the page: axe's rules of WCAG 2.1 A and AA that are broken, and where.
async function check(contrast) {
  const options = { contrastRatio: { normal: { expected: contrast }, large: { expected: contrast } } };
  window.axe.configure({ checks: [{ id: "color-contrast", options }] });
  const { violations } = await window.axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] });
  return violations.flatMap(({ id, nodes }) => nodes.map(({ target, any }) => `${id}: ${target}: ${any[0]?.message}`));
}

// In the page: what is wider than it, text that is cut or leaves its chart, and text of charts that is too small or pale.
function measure(contrast, letter) {
  const SCROLLED = ["auto", "scroll"];
  const wide = document.documentElement.clientWidth;
  const all = [...document.body.querySelectorAll("*")].filter((one) => one.getClientRects().length);
  const name = (one) => `${one.tagName.toLowerCase()}.${one.getAttribute("class") ?? ""}: ${one.textContent.trim().slice(0, 50)}`;
  const scrolls = (one) => ancestors(one).some((box) => box !== document.body && SCROLLED.includes(getComputedStyle(box).overflowX));
  const speaks = (one) => [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  const texts = all.filter(speaks);
  const overflow = all.filter((one) => one.getBoundingClientRect().right > wide + 0.5 && !scrolls(one.parentElement));
  const cut = texts.filter((one) => !one.ownerSVGElement && !isHidden(one) && isCut(one));
  const letters = texts.filter((one) => one.ownerSVGElement && one.tagName === "text");
  cut.push(...letters.filter((one) => !isWithin(one.getBoundingClientRect(), one.ownerSVGElement.getBoundingClientRect())));
  const pale = letters.map((one) => [one, ratio(paint(one, "fill"), ground(one))]).filter(([, value]) => value < contrast);
  const small = letters.map((one) => [one, size(one)]).filter(([, value]) => value < letter);
  if (document.documentElement.scrollWidth > wide) overflow.push(document.documentElement);
  const told = (found) => found.map(([one, value]) => `${value.toFixed(2)} ${name(one)}`);
  return { overflow: overflow.map(name), cut: cut.map(name), small: told(small), pale: told(pale) };

  // Pixels on the screen of a chart's letters, which shrink and turn with it.
  function size(text) {
    const { c, d } = text.getScreenCTM();
    return parseFloat(getComputedStyle(text).fontSize) * Math.hypot(c, d);
  }

  // Whether only screen readers are to have it: it is clipped away whole, as browsers keep it for them.
  function isHidden(one) {
    return ancestors(one).some((box) => getComputedStyle(box).clipPath === "inset(50%)");
  }

  function ancestors(one) {
    return one.parentElement ? [one, ...ancestors(one.parentElement)] : [one];
  }

  function isCut(one) {
    const cutters = ancestors(one).filter((box) => !["visible", ...SCROLLED].includes(getComputedStyle(box).overflowX));
    return [one, ...cutters].some((box) => leaves(one, box));
  }

  function leaves(one, box) {
    const range = document.createRange();
    range.selectNodeContents(one);
    const inner = range.getBoundingClientRect();
    return inner.right > box.getBoundingClientRect().right + 1 || inner.left < box.getBoundingClientRect().left - 1;
  }

  function isWithin(inner, outer) {
    const free = 1;
    return inner.left >= outer.left - free && inner.right <= outer.right + free && inner.top >= outer.top - free && inner.bottom <= outer.bottom + free;
  }

  // The colour that lies behind a text of a chart: its own halo, the shape below its middle, or the page's.
  function ground(text) {
    const style = getComputedStyle(text);
    if (style.stroke !== "none" && style.paintOrder.startsWith("stroke")) return paint(text, "stroke");
    const { left, top, width, height } = text.getBoundingClientRect();
    const [x, y] = [left + width / 2, top + height / 2];
    const shapes = [...text.ownerSVGElement.querySelectorAll("rect, circle")].filter((one) => {
      const box = one.getBoundingClientRect();
      return x > box.left && x < box.right && y > box.top && y < box.bottom && getComputedStyle(one).fill !== "none";
    });
    if (shapes.length) return paint(shapes.at(-1), "fill");
    const behind = ancestors(text.ownerSVGElement).map((box) => numbers(getComputedStyle(box).backgroundColor));
    return behind.find((colour) => colour[3] !== 0) ?? [255, 255, 255];
  }

  function paint(one, property) {
    return numbers(getComputedStyle(one)[property]);
  }

  function numbers(colour) {
    return colour.match(/[\d.]+/g).map(Number);
  }

  // WCAG 2.1: contrast ratio of two colours by their relative luminance.
  function ratio(one, other) {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  }

  function luminance(colour) {
    const [red, green, blue] = colour.map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }
}
