// What the parts of the page share.

export const element = (id) => document.getElementById(id);

export const page = {
  model: {}, // what the server says of it
  photo: null, // what the server says of it
  file: null, // to give again, if the server has forgotten it
  name: 'photograph',
  seed: 0,
  temperature: 1,
  saturation: 1,
  pins: [], // [x, y, colour], pixels of the photograph
};

let timer;
export function say(text, isBad = false) {
  const message = element('message');
  message.textContent = text;
  message.classList.toggle('bad', isBad);
  message.hidden = !text;
  clearTimeout(timer);
  timer = setTimeout(() => { message.hidden = true; }, isBad ? 20000 : 5000);
}

// Runs what a person asked for; a failure is shown.
export async function attempt(fn) {
  try {
    await fn();
  } catch (error) {
    if (error.name !== 'AbortError') say(error.message, true);
  }
}
