// A CSV table and a signature come in; each row's prediction, or why there is none, comes out.

import { readIdentity, readPredictions, toLitres } from "./answer.js";
import { ask, Refusal } from "./ask.js";
import { CsvError, isNumber } from "./csv.js";

export const MISSING = ["", "?", "NA", "NaN", "nan", "null"]; // as gitops reads training data
const CHUNK_ROWS = 2000, CHUNK_BYTES = 4 << 20; // the server takes 10,000 rows and 8 MiB
const MOST_REFUSALS = 50; // rows that the server may refuse one by one before the rest is given up
const LARGEST = 3.4028234e38;

// Matches the header with the signature; every column that does not fit is named.
export function matchHeader(header, signature) {
  const names = signature.inputs.map(({ name }) => name);
  const lacking = names.filter((name) => !header.includes(name));
  if (lacking.length) throw new CsvError(`The file has no column ${list(lacking)}. The header must name: ${names.join(", ")}.`);
  const twice = names.filter((name) => header.indexOf(name) !== header.lastIndexOf(name));
  if (twice.length) throw new CsvError(`The header names ${list(twice)} more than once.`);
  return header.filter((name) => !names.includes(name));
}

const list = (names) => names.map((name) => `“${name}”`).join(", ");

export class Batch {
  constructor(table, signature, path) {
    this.table = table;
    this.signature = signature;
    this.path = path;
    this.ignored = matchHeader(table.header, signature);
    this.results = table.rows.map(() => null);
    this.waiting = [];
    this.refusals = 0;
    this.models = new Map();
    this.places = signature.inputs.map((input) => ({ input, column: table.header.indexOf(input.name) }));
    table.rows.forEach((record, index) => this.#prepare(record, index));
  }

  get done() {
    return this.results.filter((each) => each !== null).length;
  }

  get failed() {
    return this.results.flatMap((each, index) => (each?.error ? [{ line: this.table.rows[index].line, error: each.error }] : []));
  }

  get finished() {
    return this.waiting.length === 0;
  }

  #prepare(record, index) {
    try {
      const text = JSON.stringify(this.#readRow(record));
      const size = new TextEncoder().encode(text).length;
      if (size > CHUNK_BYTES) throw new CsvError("The row is too large.");
      this.waiting.push({ index, text, size });
    } catch (error) {
      if (!(error instanceof CsvError)) throw error;
      this.results[index] = { error: error.message };
    }
  }

  #readRow({ cells }) {
    const width = this.table.header.length;
    if (cells.length !== width) throw new CsvError(`Has ${cells.length} cells; the header has ${width}.`);
    return Object.fromEntries(this.places.map(({ input, column }) => [input.name, readCell(input, cells[column])]));
  }

  // Sends chunk after chunk; throws a Refusal where it cannot go on, and goes on from there if run again.
  async run(signal, onProgress) {
    while (this.waiting.length) {
      const chunk = takeChunk(this.waiting);
      try {
        const document = await ask(this.path, { rows: chunk.map(({ text }) => text), signal });
        const { predictions, model } = readPredictions(document, chunk.length, this.signature.classes);
        chunk.forEach(({ index }, place) => { this.results[index] = { prediction: predictions[place], model }; });
        this.waiting.splice(0, chunk.length);
        this.models.set(JSON.stringify(model), model);
      } catch (error) {
        this.#refuse(error, chunk);
      }
      onProgress();
    }
  }

  // One row that the server refuses does not spoil the others.
  #refuse(error, chunk) {
    if (!(error instanceof Refusal) || !(error.row in chunk)) throw error;
    const [refused] = this.waiting.splice(error.row, 1);
    this.results[refused.index] = { error: `${error.field ? `${error.field}: ` : ""}${error.message}` };
    this.refusals += 1;
    if (this.refusals >= MOST_REFUSALS) {
      throw new Refusal(`The model refused ${this.refusals} rows, and the rest was not asked. Mend the file and choose it again.`);
    }
  }

  // The table with what was predicted beside it, header first.
  *records() {
    const { header, rows } = this.table;
    yield [...header, ...this.titles().map((title) => unique(title, header))];
    for (const [index, { cells }] of rows.entries()) {
      const padded = header.map((_, place) => cells[place] ?? "");
      yield [...padded, ...this.cellsOf(index)];
    }
  }

  titles() {
    const { target, classes } = this.signature;
    const more = target === "mpg" && !classes.length ? ["litres_per_100_km"] : classes.map((name) => `probability_${name}`);
    return [`${target}_predicted`, ...more, "model_version", "model_commit", "error"];
  }

  cellsOf(index) {
    const result = this.results[index] ?? { error: "Not asked." };
    const figures = this.titles().length - 3;
    if (result.error) return [...Array(figures + 2).fill(""), result.error];
    const { version, commit } = readIdentity(result.model);
    return [...this.#figures(result.prediction), version, commit, ""];
  }

  #figures(prediction) {
    const { target, classes } = this.signature;
    if (classes.length) return [prediction.label, ...classes.map((name) => prediction.probabilities[name])];
    return target === "mpg" ? [prediction, toLitres(target, prediction) ?? ""] : [prediction];
  }
}

function readCell(input, text) {
  const trimmed = text.trim(), known = input.type === "category" && input.categories.includes(text);
  if (!known && MISSING.includes(trimmed)) {
    if (input.missing) return null;
    throw new CsvError(`${input.name}: is missing, and the model was never trained without it.`);
  }
  if (input.type === "category") return known || input.missing || input.unseen ? text : refuseWord(input);
  if (!isNumber(trimmed)) throw new CsvError(`${input.name}: is not a number with a decimal point.`);
  if (Math.abs(Number(trimmed)) > LARGEST) throw new CsvError(`${input.name}: is too large a number.`);
  return Number(trimmed);
}

function refuseWord(input) {
  throw new CsvError(`${input.name}: is a word that training never saw.`);
}

function takeChunk(waiting) {
  let size = 0, count = 0;
  while (count < Math.min(waiting.length, CHUNK_ROWS) && size + waiting[count].size <= CHUNK_BYTES) {
    size += waiting[count].size + 1;
    count += 1;
  }
  return waiting.slice(0, count);
}

function unique(title, taken) {
  let name = title, number = 2;
  while (taken.includes(name)) name = `${title}_${number++}`;
  return name;
}
