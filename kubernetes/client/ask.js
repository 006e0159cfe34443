// A path and a body come in; the server's document, or a Refusal in plain words, comes out.

const PATIENCE = 65_000; // milliseconds; nginx gives up after 60 s and says so itself

export class Refusal extends Error {
  constructor(message, { field = "", row = null, retry = false } = {}) {
    super(message);
    this.field = field;
    this.row = row;
    this.retry = retry;
  }
}

// What a status means when a person reads it; other refusals are in the server's own words.
const MEANINGS = {
  404: "There is no such model here.",
  413: "That is more than the model takes in one request.",
  429: "Too many requests. Wait a moment, then try again.",
  502: "The model is not available right now. It may be starting: try again in a moment.",
  503: "The model is not available right now. It may be starting: try again in a moment.",
  504: "The model did not answer in time. Try again in a moment.",
};

export async function ask(path, { rows = null, signal = null } = {}) {
  const clock = new AbortController();
  const timer = setTimeout(() => clock.abort("late"), PATIENCE);
  const stop = () => clock.abort("stopped");
  signal?.addEventListener("abort", stop);
  if (signal?.aborted) stop();
  try {
    const response = await fetch(path, makeRequest(rows, clock.signal));
    const text = await response.text();
    return readAnswer(response, text);
  } catch (error) {
    throw explain(error, clock.signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

function makeRequest(rows, signal) {
  const shared = { signal, credentials: "omit", cache: "no-store", redirect: "error" };
  if (rows === null) return shared;
  const headers = { "content-type": "application/json" };
  return { ...shared, method: "POST", headers, body: `{"instances":[${rows.join(",")}]}` };
}

function readAnswer(response, text) {
  const document = parse(text);
  if (response.ok && document !== null) return document;
  if (response.ok) throw new Refusal("The answer is not one that this page understands.", { retry: true });
  const said = typeof document?.error === "string" ? document.error : "";
  const field = typeof document?.field === "string" ? document.field : "";
  const row = Number.isInteger(document?.row) ? document.row : null;
  const message = MEANINGS[response.status] || capital(withoutPlace(said)) || `The server answered ${response.status}.`;
  throw new Refusal(message, { field, row, retry: response.status >= 500 || response.status === 429 });
}

function parse(text) {
  try {
    const document = JSON.parse(text);
    return document !== null && typeof document === "object" ? document : null;
  } catch {
    return null;
  }
}

// The place is shown as the field or the line that it is.
const withoutPlace = (text) => text.replace(/^row \d+(, field `[^`]*`)?: /, "");

function capital(text) {
  const sentence = text.slice(0, 300).trim();
  return sentence ? sentence[0].toUpperCase() + sentence.slice(1).replace(/[^.]$/, "$&.") : "";
}

function explain(error, signal) {
  if (error instanceof Refusal) return error;
  if (signal.reason === "stopped") return new Refusal("Stopped.", { retry: true });
  if (signal.reason === "late") return new Refusal(MEANINGS[504], { retry: true });
  return new Refusal("The server cannot be reached. Check your connection, then try again.", { retry: true });
}
