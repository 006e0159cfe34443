// The model's own description comes in; a page that asks it and shows what it answers goes out.

import { readIdentity, readPredictions, renderAnswer, renderIdentity } from "./answer.js";
import { ask, Refusal } from "./ask.js";
import { count, find, make, show } from "./dom.js";
import { openFiles } from "./files.js";
import { makeFields, markField, readRow, showProblems } from "./form.js";

const place = { name: "", bundle: "", signature: null, words: {}, fields: [], asking: null };

async function load() {
  show(find("reload"), false);
  find("loading-text").textContent = "Reading what the model takes …";
  try {
    const { name } = await ask("model.json");
    const [metadata, labels] = await Promise.all([ask(`v2/models/${encodeURIComponent(name)}`), ask("labels.json")]);
    open(name, metadata, labels[name] ?? {});
  } catch (error) {
    find("loading-text").textContent = error instanceof Refusal ? error.message : "The model's description is not one that this page understands.";
    show(find("reload"));
    if (!(error instanceof Refusal)) throw error;
  }
}

function open(name, metadata, words) {
  const { signature } = metadata.parameters, identity = readIdentity(metadata.parameters);
  Object.assign(place, { name, words, signature, bundle: identity.bundle });
  place.fields = makeFields(signature, words.inputs ?? {});
  find("fields").replaceChildren(...place.fields.map(({ element }) => element));
  const target = words.target?.label ?? signature.target;
  document.title = `${name} · ask the model`;
  find("title").textContent = name;
  find("lead").textContent = `Predicts ${target} from ${count(signature.inputs.length, "input")}. Every answer names the model it came from.`;
  find("identity").replaceChildren(...renderIdentity(identity));
  openFiles(signature, path());
  show(find("loading"), false);
  show(find("work"));
}

const path = () => `v1/models/${encodeURIComponent(place.name)}:predict`;

async function predict() {
  const { row, problems } = readRow(place.fields);
  clearProblems();
  if (problems.length) {
    complain(problems);
    return;
  }
  place.asking?.abort();
  const asking = (place.asking = new AbortController());
  setBusy(true);
  try {
    const document = await ask(path(), { rows: [JSON.stringify(row)], signal: asking.signal });
    if (place.asking === asking) showAnswer(readPredictions(document, 1, place.signature.classes));
  } catch (error) {
    if (place.asking === asking) refuse(error);
  } finally {
    if (place.asking === asking) setBusy(false);
  }
}

// The button keeps the focus while it waits, so it is not disabled.
function setBusy(busy) {
  find("predict").textContent = busy ? "Asking …" : "Predict";
  find("form").setAttribute("aria-busy", String(busy));
}

function showAnswer({ predictions, model }) {
  const { parts, spoken } = renderAnswer(predictions[0], place.signature, place.words);
  find("answer").replaceChildren(...parts);
  find("announce").textContent = `Prediction: ${spoken}`;
  find("answer").scrollIntoView({ block: "nearest" });
  find("identity").replaceChildren(...renderIdentity(model));
  show(find("stale"), false);
  const other = place.bundle !== "" && model.bundle !== place.bundle;
  find("changed").textContent = other ? "Another model answers than when this page was loaded. Load it again: its inputs may differ." : "";
  show(find("changed"), other);
}

function refuse(error) {
  if (!(error instanceof Refusal)) throw error;
  const field = place.fields.find(({ input }) => input.name === error.field);
  if (field) complain([{ field, message: error.message }]);
  else complain([], error.message, error.retry ? predict : null);
}

// No earlier answer stays beside a problem: it would look like the answer to these inputs.
function complain(problems, general = "", retry = null) {
  find("answer").replaceChildren(make("p", { class: "soft" }, "No answer to these inputs yet."));
  find("announce").textContent = "";
  show(find("stale"), false);
  for (const { field, message } of problems) markField(field, message);
  showProblems(problems, general, retry);
}

function clearProblems() {
  for (const field of place.fields) markField(field, "");
  showProblems([]);
}

function age() {
  show(find("stale"), find("answer").querySelector("data") !== null);
}

find("form").addEventListener("submit", (event) => {
  event.preventDefault();
  predict();
});
find("form").addEventListener("input", age);
find("form").addEventListener("reset", () => {
  clearProblems();
  age();
  for (const { warning } of place.fields) warning.textContent = "";
});
find("reload").addEventListener("click", load);
load();
