"""A page in a browser comes in; what is hard to read or has no name goes out, as scripts find it."""

from __future__ import annotations

# Each visible text against what lies behind it, by the formula of WCAG 2.2.
CONTRAST = """
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const light = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
  .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const found = parse(getComputedStyle(at).backgroundColor);
    if (found.length === 3 || found[3] === 1) return found;
    if (found[3] > 0) throw new Error("half transparent: " + at.outerHTML);
  }
  throw new Error("nothing behind");
};
const ratio = (one, other) => {
  const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
  return (bright + 0.05) / (dark + 0.05);
};
const texts = [...document.querySelectorAll("body *")].filter((element) =>
  element.checkVisibility() && !element.classList.contains("unseen") &&
  ([...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()) ||
   element.matches("input, select")));
if (texts.length < 40) throw new Error("hardly any text: " + texts.length);
return texts.flatMap((element) => {
  const style = getComputedStyle(element), size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
  const found = ratio(parse(style.color), behind(element));
  const edge = element.matches("input, select")
    ? ratio(parse(style.borderTopColor), behind(element.parentElement)) : 21;
  return found < (large ? 3 : 4.5) || edge < 3
    ? [`${found.toFixed(2)} ${edge.toFixed(2)} ${element.outerHTML.slice(0, 120)}`] : [];
});
"""

# Ids used twice, references to nothing, headings that skip a level, a missing language or title.
UNNAMED = """
const all = [...document.querySelectorAll("[id]")].map((element) => element.id);
const twice = all.filter((id, place) => all.indexOf(id) !== place).map((id) => "twice: " + id);
const lost = ["for", "aria-describedby", "aria-labelledby"].flatMap((name) =>
  [...document.querySelectorAll(`[${name}]`)].flatMap((element) =>
    element.getAttribute(name).split(" ").filter((id) => !document.getElementById(id))
      .map((id) => `${name}: ${id}`)));
const levels = [...document.querySelectorAll("h1, h2, h3")].map((each) => Number(each.tagName[1]));
const skips = levels.filter((level, place) => level > (levels[place - 1] ?? 0) + 1)
  .map((level) => "skips to h" + level);
const basics = [document.documentElement.lang === "en" || "no language", !!document.title || "no title",
  document.querySelectorAll("h1").length === 1 || "not one h1", !!document.querySelector("main") || "no main"];
return [...twice, ...lost, ...skips, ...basics.filter((each) => each !== true)];
"""
