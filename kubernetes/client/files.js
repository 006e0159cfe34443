// A chosen file comes in; progress, notes, the first rows and a file to download go out.

import { Refusal } from "./ask.js";
import { Batch } from "./batch.js";
import { CsvError, decode, parseCsv, renderCsv } from "./csv.js";
import { count, figure, find, make, show } from "./dom.js";

const MOST_BYTES = 20 << 20;
const MOST_SHOWN = 20, MOST_LINES = 20, MOST_COLUMNS = 16;

export function openFiles(signature, path) {
  const place = { signature, path, name: "", batch: null, stop: null };
  const names = signature.inputs.map(({ name }) => name).join(", ");
  find("file-hint").textContent =
    `UTF-8, comma or semicolon, decimal points, quoted as in RFC 4180; at most 20 MB. The header names ${names}, in any order; other columns are kept and not sent. Empty or ? means missing.`;
  find("start").addEventListener("click", () => begin(place));
  find("resume").addEventListener("click", () => run(place));
  find("stop").addEventListener("click", () => place.stop?.abort());
}

async function begin(place) {
  const [file] = find("file").files;
  place.stop?.abort();
  clear();
  try {
    if (!file) throw new CsvError("Choose a CSV file first.");
    if (file.size > MOST_BYTES) throw new CsvError("The file is larger than 20 MB. Split it, and send the parts.");
    place.name = file.name;
    place.batch = new Batch(parseCsv(decode(await file.arrayBuffer())), place.signature, place.path);
    if (!place.batch.table.rows.length) throw new CsvError("The file has a header and no rows.");
  } catch (error) {
    place.batch = null;
    complain(error instanceof CsvError ? error.message : "The file cannot be read. Choose it again.");
    return;
  }
  await run(place);
}

function clear() {
  for (const id of ["batch-problem", "batch-progress", "resume", "download", "batch-table"]) show(find(id), false);
  find("batch-notes").replaceChildren();
  find("batch-status").textContent = "";
}

async function run(place) {
  const { batch } = place;
  const stop = (place.stop = new AbortController());
  show(find("batch-problem"), false);
  show(find("resume"), false);
  show(find("batch-progress"));
  showProgress(batch);
  let refusal = null;
  try {
    await batch.run(stop.signal, () => place.batch === batch && showProgress(batch));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    refusal = error;
  }
  if (place.batch === batch && place.stop === stop) finish(place, refusal);
}

function showProgress(batch) {
  const total = batch.table.rows.length;
  find("bar").max = total;
  find("bar").value = batch.done;
  find("batch-status").textContent = `${batch.done} of ${count(total, "row")}`;
}

function finish(place, refusal) {
  const { batch } = place, predicted = batch.done - batch.failed.length, total = batch.table.rows.length;
  show(find("batch-progress"), false);
  find("batch-status").textContent = `${count(predicted, "row")} of ${total} predicted.`;
  if (refusal) {
    complain(refusal.message);
    show(find("resume"), refusal.retry);
  }
  showNotes(batch);
  showTable(batch);
  offer(place);
}

function complain(message) {
  const box = find("batch-problem");
  box.textContent = message;
  show(box);
  box.focus();
}

function showNotes(batch) {
  const notes = [];
  if (batch.ignored.length) notes.push(`Not used by the model: ${batch.ignored.join(", ")}.`);
  if (batch.models.size > 1) {
    const versions = [...batch.models.values()].map(({ version, commit }) => version || commit.slice(0, 8) || "unnamed");
    notes.push(`The model changed on the way: ${versions.join(", ")} answered. Each row in the download names its own.`);
  }
  const { failed } = batch;
  notes.push(...failed.slice(0, MOST_LINES).map(({ line, error }) => `Line ${line}: ${error}`));
  if (failed.length > MOST_LINES) notes.push(`And ${count(failed.length - MOST_LINES, "more line")}: the download names each.`);
  find("batch-notes").replaceChildren(...notes.map((note) => make("li", {}, note)));
}

function showTable(batch) {
  const { header, rows } = batch.table, columns = header.slice(0, MOST_COLUMNS);
  const shown = rows.slice(0, MOST_SHOWN), titles = batch.titles();
  const made = titles.map((_, place) => place).filter((place) => worthShowing(titles[place], batch));
  const heading = (title, kind = null) => make("th", { scope: "col", class: kind }, title);
  const head = make("tr", {}, heading("Line"), ...made.map((place) => heading(titles[place], "made")), ...columns.map((name) => heading(name)));
  const body = shown.map((record, index) => makeRow(record, made.map((place) => batch.cellsOf(index)[place]), columns));
  const caption = shown.length < rows.length ? `The first ${shown.length} of ${count(rows.length, "row")}` : count(rows.length, "row");
  find("batch-table").replaceChildren(make("table", {}, make("caption", {}, caption), make("thead", {}, head), make("tbody", {}, ...body)));
  show(find("batch-table"));
}

// The identity stands above, and most files have no errors: the download holds all columns.
function worthShowing(title, batch) {
  return title === "error" ? batch.failed.length > 0 || !batch.finished : !title.startsWith("model_");
}

function makeRow({ line, cells }, made, columns) {
  const text = (value) => (typeof value === "number" ? figure(value) : value);
  return make(
    "tr", {},
    make("th", { scope: "row" }, String(line)),
    ...made.map((value) => make("td", { class: "made" }, text(value))),
    ...columns.map((_, place) => make("td", {}, cells[place] ?? "")),
  );
}

function offer({ batch, name }) {
  const link = find("download");
  if (link.href) URL.revokeObjectURL(link.href);
  const blob = new Blob([...renderCsv(batch.records(), batch.table)], { type: "text/csv;charset=utf-8" });
  link.href = URL.createObjectURL(blob);
  link.download = `${name.replace(/\.[^.]*$/, "") || "rows"}.predictions.csv`;
  show(link);
}
