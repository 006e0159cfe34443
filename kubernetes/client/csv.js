// Bytes of a CSV file come in as records with their line numbers; records go out as CSV that no
// spreadsheet takes for a formula. RFC 4180: quoted fields, CRLF or LF, UTF-8 with or without BOM,
// comma or semicolon (told apart by the header).

const NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/;
const FORMULA = /^\s*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20]|^[\t\r\n]/;
const BOM = "\uFEFF";

export class CsvError extends Error {}

export const isNumber = (text) => NUMBER.test(text.trim());

export function decode(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new CsvError("The file is not UTF-8 text. Save it as “CSV UTF-8” and choose it again.");
  }
}

export function parseCsv(text) {
  const bom = text.startsWith(BOM);
  const body = bom ? text.slice(1) : text;
  const delimiter = findDelimiter(body);
  const records = [...readRecords(body, delimiter)].filter(({ cells }) => cells.length > 1 || cells[0].trim() !== "");
  if (!records.length) throw new CsvError("The file is empty: it needs a header line with the names of the columns.");
  const [head, ...rows] = records;
  return { bom, delimiter, header: head.cells.map((name) => name.trim()), rows };
}

function findDelimiter(text) {
  const outside = text.replace(/"[^"]*"/g, "").split(/\r?\n|\r/).find((line) => line.trim() !== "") ?? "";
  return outside.includes(";") && !outside.includes(",") ? ";" : ",";
}

function* readRecords(text, delimiter) {
  const place = { at: 0, line: 1 };
  while (place.at < text.length) {
    const line = place.line, cells = [];
    do cells.push(readCell(text, delimiter, place)); while (text[place.at++] === delimiter);
    if (text[place.at - 1] === "\r" && text[place.at] === "\n") place.at += 1;
    place.line += 1;
    yield { line, cells };
  }
}

// Leaves the place at what ends the cell: delimiter, line end or the end of the text.
function readCell(text, delimiter, place) {
  return text[place.at] === '"' ? readQuoted(text, delimiter, place) : readPlain(text, delimiter, place);
}

function readPlain(text, delimiter, place) {
  const start = place.at;
  while (place.at < text.length && !isEnd(text[place.at], delimiter)) place.at += 1;
  return text.slice(start, place.at);
}

function readQuoted(text, delimiter, place) {
  const opened = place.line, parts = [];
  for (;;) {
    const close = text.indexOf('"', place.at + 1);
    if (close < 0) throw new CsvError(`Line ${opened}: a quotation mark is opened and never closed.`);
    const part = text.slice(place.at + 1, close);
    parts.push(part);
    place.line += part.split(/\r\n|\r|\n/).length - 1;
    place.at = close + 1;
    if (text[place.at] !== '"') break;
  }
  if (place.at < text.length && !isEnd(text[place.at], delimiter)) {
    throw new CsvError(`Line ${place.line}: text follows a closing quotation mark.`);
  }
  return parts.join('"');
}

const isEnd = (sign, delimiter) => sign === delimiter || sign === "\n" || sign === "\r";

export function* renderCsv(records, { bom, delimiter }) {
  if (bom) yield BOM;
  for (const cells of records) {
    yield `${cells.map((cell) => quote(guard(String(cell)), delimiter)).join(delimiter)}\r\n`;
  }
}

// A cell that a spreadsheet would run is led by an apostrophe; a number stays a number.
export const guard = (text) => (FORMULA.test(text) && !isNumber(text) ? `'${text}` : text);

function quote(text, delimiter) {
  const plain = !text.includes(delimiter) && !/["\r\n]|^\s|\s$/.test(text);
  return plain ? text : `"${text.replaceAll('"', '""')}"`;
}
