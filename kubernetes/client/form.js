// A signature comes in; labelled fields come out, and the row that a person filled in.

import { count, figure, find, make } from "./dom.js";

const MOST_OPTIONS = 100; // a longer list is typed into, with suggestions
const MOST_SUGGESTIONS = 1000;

export function makeFields(signature, labels) {
  return signature.inputs.map((input, index) => makeField(input, `field-${index}`, labels[input.name] ?? {}));
}

function makeField(input, id, words) {
  const control = input.type === "number" ? makeNumber(input, id) : makeChoice(input, id);
  const hint = make("p", { id: `${id}-hint`, class: "hint" }, describe(input, words));
  const warning = make("p", { id: `${id}-warning`, class: "warning", role: "status" });
  const error = make("p", { id: `${id}-error`, class: "error" });
  control.setAttribute("aria-describedby", `${id}-hint ${id}-warning ${id}-error`);
  const title = make("span", {}, words.label ?? input.name);
  const label = make("label", { for: id }, title);
  if (words.unit) label.append(" ", make("span", { class: "unit" }, `(${words.unit})`));
  const list = control.hasAttribute("list") ? [makeSuggestions(input, id)] : [];
  const element = make("div", { class: "field" }, label, control, ...list, error, warning, hint);
  const field = { input, control, error, warning, element, title: words.label ?? input.name };
  control.addEventListener("change", () => whenReleased(() => warn(field)));
  return field;
}

// A press on a button ends an edit; a warning that appears at once would move the button from under
// the pointer, and the click would be lost.
let pressed = false;
for (const [name, state] of [["pointerdown", true], ["pointerup", false], ["pointercancel", false]]) {
  document.addEventListener(name, () => { pressed = state; }, { capture: true });
}

function whenReleased(act) {
  if (!pressed) {
    act();
    return;
  }
  for (const name of ["pointerup", "pointercancel"]) {
    document.addEventListener(name, () => setTimeout(act), { once: true });
  }
}

// The range informs and never refuses, so there is no min or max: they would stop the arrow keys.
function makeNumber(input, id) {
  const value = startOf(input);
  return make("input", {
    id, type: "number", inputmode: "decimal", step: stepOf(input), value, "aria-invalid": "false",
    "aria-required": input.missing ? null : "true",
  });
}

function makeChoice(input, id) {
  const shared = { id, "aria-invalid": "false", "aria-required": input.missing ? null : "true" };
  if (input.unseen || input.categories.length > MOST_OPTIONS) {
    return make("input", { ...shared, type: "text", list: `${id}-list`, value: input.categories[0] ?? "" });
  }
  const options = input.categories.map((word) => make("option", { value: word }, word));
  if (input.missing) options.push(make("option", { value: "", "data-missing": true }, "not known"));
  return make("select", shared, ...options);
}

function makeSuggestions(input, id) {
  const words = input.categories.slice(0, MOST_SUGGESTIONS);
  return make("datalist", { id: `${id}-list` }, ...words.map((word) => make("option", { value: word })));
}

function describe(input, words) {
  const parts = [];
  if (words.note) parts.push(words.note);
  if (hasRange(input)) parts.push(`Training saw ${figure(input.low)} to ${figure(input.high)}`);
  if (input.type === "category") parts.push(`Training saw ${count(input.categories.length, "word")}`);
  if (input.missing) parts.push(input.type === "number" || input.unseen ? "leave empty if not known" : "may be not known");
  const name = words.label ? [make("code", {}, input.name), parts.length ? " · " : ""] : [];
  const hint = document.createDocumentFragment();
  hint.append(...name, parts.join(" · "));
  return hint;
}

const hasRange = (input) => Number.isFinite(input.low) && Number.isFinite(input.high);

function stepOf(input) {
  if (!hasRange(input) || input.high <= input.low) return "any";
  const whole = Number.isInteger(input.low) && Number.isInteger(input.high) && input.high - input.low >= 2;
  const step = 10 ** Math.floor(Math.log10((input.high - input.low) / 50));
  return whole ? Math.max(1, step) : Number(step.toPrecision(1));
}

// A form starts in the middle of what training saw, rounded to the step.
function startOf(input) {
  if (!hasRange(input)) return null;
  const middle = (input.low + input.high) / 2, step = stepOf(input);
  if (step === "any") return middle;
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  return Number((Math.round(middle / step) * step).toFixed(Math.min(digits, 20)));
}

// Reads the rows that a person filled in: what each field holds, and which fields cannot be sent.
export function readRow(fields) {
  const problems = [];
  for (const field of fields) {
    warn(field);
    const problem = checkField(field);
    if (problem) problems.push({ field, message: problem });
  }
  const entries = fields.map((field) => [field.input.name, readValue(field)]);
  return { row: Object.fromEntries(entries), problems };
}

function readValue({ input, control }) {
  if (input.type === "number") return control.value === "" ? null : control.valueAsNumber;
  const word = control.value;
  const chosen = control.tagName === "SELECT" && !control.selectedOptions[0]?.hasAttribute("data-missing");
  return word === "" && !chosen ? null : word;
}

function checkField(field) {
  if (field.control.validity.badInput) return "Enter a number, with a point for decimals.";
  if (readValue(field) === null && !field.input.missing) return "Enter a value: the model was never trained without it.";
  return "";
}

function warn({ input, control, warning }) {
  const value = control.valueAsNumber;
  const outside = input.type === "number" && hasRange(input) && (value < input.low || value > input.high);
  const strange = input.type === "category" && control.value !== "" && !input.categories.includes(control.value);
  const text = outside
    ? `Outside what training saw (${figure(input.low)} to ${figure(input.high)}): the answer is a guess.`
    : strange ? "Training never saw this word." : "";
  if (warning.textContent !== text) warning.textContent = text;
}

export function markField(field, message) {
  field.error.textContent = message;
  field.control.setAttribute("aria-invalid", message ? "true" : "false");
}

// Says what is wrong above the form, each with a link to its field, and moves the focus there.
export function showProblems(problems, general = "", retry = null) {
  const box = find("problem");
  const items = problems.map(({ field, message }) => {
    const link = make("a", { href: `#${field.control.id}` }, `${field.title}: ${message}`);
    link.addEventListener("click", (event) => {
      event.preventDefault();
      field.control.focus();
    });
    return make("li", {}, link);
  });
  const title = general || (problems.length === 1 ? "One input needs a look" : problems.length ? `${problems.length} inputs need a look` : "");
  box.replaceChildren(make("p", {}, title));
  if (items.length) box.append(make("ul", {}, ...items));
  if (retry) {
    const button = make("button", { type: "button", class: "plain" }, "Try again");
    button.addEventListener("click", retry);
    box.append(button);
  }
  box.hidden = !title;
  if (!box.hidden) box.focus();
}
