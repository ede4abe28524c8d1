// Requests to the API. A busy server (503) is asked again a few times.

export class Refusal extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export async function ask(path, options = {}) {
  for (let attempt = 0; ; attempt++) {
    const response = await fetch(path, options);
    if (response.ok) return response.json();
    const problem = await response.json().catch(() => ({ detail: response.statusText }));
    if (response.status !== 503 || attempt === 3) throw new Refusal(response.status, problem.detail);
    await new Promise((done) => setTimeout(done, 300 + 500 * attempt * Math.random()));
  }
}

export const parameters = (values) => new URLSearchParams(Object.entries(values).filter(([, value]) => value !== "" && value !== undefined));
