// Names and texts come in; elements go out. Text is always text: nothing here parses HTML.

export const find = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, String(value));
  }
  element.append(...children);
  return element;
}

export function show(element, visible = true) {
  element.hidden = !visible;
}

// Figures of an answer: enough digits to be useful, none that mean nothing.
const figures = new Intl.NumberFormat("en", { maximumSignificantDigits: 4, useGrouping: false });
const counts = new Intl.NumberFormat("en");

export const figure = (number) => figures.format(number);
export const count = (number, noun) => `${counts.format(number)} ${noun}${number === 1 ? "" : "s"}`;
