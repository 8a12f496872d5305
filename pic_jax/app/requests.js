// What the page asks the server for. Every failure is an Error with a line of
// text and, if the server answered, its status.

async function answered(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Error('The program does not answer: is it still running?');
  }
  if (response.ok) return response;
  let text = `The program answered ${response.status}.`;
  try {
    text = (await response.json()).error;
  } catch { /* not ours: a proxy's */ }
  throw Object.assign(new Error(text), {status: response.status});
}

const asJson = (value, signal) => ({
  method: 'POST',
  headers: {'Content-Type': 'application/json'},
  body: JSON.stringify(value),
  signal,
});

export async function model() {
  return (await answered('model')).json();
}

export async function open(file) {
  return (await answered('photographs', {method: 'POST', body: file})).json();
}

export async function describe(id) {
  return (await answered(`photographs/${id}`)).json();
}

export async function* draw(id, asked, signal) {
  const response = await answered(
    `photographs/${id}/draw`, asJson(asked, signal));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const {done, value} = await reader.read();
    if (done) return;
    const lines = (rest + value).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      const result = JSON.parse(line);
      if (result.error) throw new Error(result.error);
      yield result;
    }
  }
}

export async function palette(id, asked) {
  return (await answered(`photographs/${id}/palette`, asJson(asked))).json();
}

export async function order(id, asked) {
  return (await answered(`photographs/${id}/order`, asJson(asked))).json();
}

export async function save(id, asked, signal) {
  return (await answered(
    `photographs/${id}/save`, asJson(asked, signal))).blob();
}
