// Elements from values; text is always text, never markup.
export const $ = (id) => document.getElementById(id);

export function el(tag, facts = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(facts)) {
    if (value === false || value == null) continue;
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (name === 'text') made.textContent = value;
    else if (name in made && typeof value !== 'string') made[name] = value;
    else made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return made;
}

export const number = (value) =>
  typeof value === 'number' ? value.toLocaleString('en', { maximumSignificantDigits: 7 }) : String(value);
export const count = (many, word) => `${many.toLocaleString('en')} ${word}${many === 1 ? '' : 's'}`;
export const day = (time) => (time ? time.slice(0, 10) : '');

let waiting = 0;
export function say(text, isError = false) {
  const place = $('message');
  place.hidden = !text;
  place.textContent = text || '';
  place.classList.toggle('error', isError);
  clearTimeout(waiting);
  if (text && !isError) waiting = setTimeout(() => { place.hidden = true; }, 4000);
}

// Calls a function after a pause in which it was not called again.
export function after(milliseconds, call) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...values), milliseconds);
  };
}
