// The server's answer comes in; what a person reads of it goes out: prediction, and who predicted.

import { Refusal } from "./ask.js";
import { figure, make } from "./dom.js";

const LITRES = 235.214583; // litres per 100 km times miles per US gallon

export const toLitres = (target, value) => (target === "mpg" && value > 0 ? LITRES / value : null);

// Checks an answer before anything is shown of it: as many predictions as rows, of the right kind.
export function readPredictions(document, rows, classes) {
  const found = document.predictions;
  const known = classes.length
    ? (each) => typeof each?.label === "string" && classes.every((name) => Number.isFinite(each.probabilities?.[name]))
    : Number.isFinite;
  if (!Array.isArray(found) || found.length !== rows || !found.every(known)) {
    throw new Refusal("The answer is not one that this page understands.", { retry: true });
  }
  return { predictions: found, model: readIdentity(document.model) };
}

export function readIdentity(model) {
  const text = (name) => (typeof model?.[name] === "string" ? model[name] : "");
  return { name: text("name"), version: text("version"), commit: text("commit"), bundle: text("bundle") };
}

export function renderAnswer(prediction, signature, words) {
  return signature.classes.length
    ? renderClasses(prediction, signature.classes, words.classes ?? {})
    : renderNumber(prediction, signature.target, words.target ?? {});
}

function renderNumber(value, target, words) {
  const unit = words.unit ?? target;
  const parts = [make("p", { class: "figure" }, make("data", { value, id: "prediction" }, figure(value)), " ", make("span", {}, unit))];
  const litres = toLitres(target, value);
  if (litres !== null) {
    const text = make("data", { value: litres, id: "litres" }, figure(litres));
    parts.push(make("p", { class: "second" }, text, " litres per 100 km"));
  }
  const spoken = `${figure(value)} ${unit}` + (litres === null ? "" : `, ${figure(litres)} litres per 100 km`);
  return { parts, spoken };
}

function renderClasses({ label, probabilities }, classes, words) {
  const title = (name) => (words[name] ? `${words[name]} (${name})` : name);
  const order = [...classes].sort((one, other) => probabilities[other] - probabilities[one]);
  const rows = order.map((name) => renderClass(title(name), probabilities[name]));
  const head = make("tr", {}, make("th", { scope: "col" }, "Class"), make("th", { scope: "col" }, "Probability"));
  const table = make("table", { id: "probabilities" }, make("caption", { class: "unseen" }, "Probability of each class"), make("thead", {}, head), make("tbody", {}, ...rows));
  const figureOf = make("p", { class: "figure word" }, make("data", { value: label, id: "prediction" }, title(label)));
  return { parts: [figureOf, table], spoken: `${title(label)}, probability ${percent(probabilities[label])}` };
}

function renderClass(title, probability) {
  const bar = make("span", { class: "bar", "aria-hidden": "true" });
  bar.style.width = `${100 * Math.min(1, Math.max(0, probability))}%`;
  const cell = make("td", {}, make("data", { value: probability }, percent(probability)), make("span", { class: "track", "aria-hidden": "true" }, bar));
  return make("tr", {}, make("th", { scope: "row" }, title), cell);
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;

export function renderIdentity({ name, version, commit, bundle }) {
  const full = (text) => make("code", { class: "full" }, text);
  const known = (text, ...shown) => (text ? shown : [make("span", { class: "soft" }, "not stated")]);
  const short = make("code", { class: "short", "aria-hidden": "true" }, commit.slice(0, 8));
  return [
    ["Name", known(name, name)],
    ["Version", known(version, version)],
    ["Commit", known(commit, ...(commit.length > 8 ? [short] : []), full(commit))],
    ["Bundle", known(bundle, full(bundle))],
  ].map(([term, shown]) => make("div", {}, make("dt", {}, term), make("dd", {}, ...shown)));
}
