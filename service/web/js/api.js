// Talks to the service that served the page, and turns what it refuses into sentences.

import { readEvents } from "./sse.js";

const KEY = "gpo-api-key";
const IN_NO_KEY = /[^ -~]/; // fetch fails at most of these as if nothing had answered

/** The address of `path` ("groups/town"), wherever the page itself is: behind a prefix, too. */
export function addressOf(path) {
  return new URL(path.replace(/^\//, ""), new URL(".", document.baseURI)).href;
}

/** What the service refused, or that it did not answer. `message` is a sentence for a person. */
export class ApiError extends Error {
  /** `status` 0: no answer; `problem`: the body (RFC 9457), or {}; `retryAfter`: seconds or null. */
  constructor(status, problem = {}, { retryAfter = null, hasKey = false, isKey = true } = {}) {
    super(sentenceOf(status, problem, { retryAfter, hasKey, isKey }));
    this.name = "ApiError";
    this.status = status;
    this.problem = problem;
    this.code = problem.code ?? "";
    this.retryAfter = retryAfter;
  }
}

export class Api {
  /** The key lives as long as the tab. */
  get key() {
    return read(KEY);
  }

  set key(value) {
    write(KEY, value.trim());
  }

  /** Before a reload of the page by itself: a key that no storage holds is there afterwards. */
  handOver() {
    handOver();
  }

  get(path, options) {
    return this.json("GET", path, undefined, options);
  }

  post(path, body, options) {
    return this.json("POST", path, body, options);
  }

  /** The decoded answer, null for one without content. Throws ApiError; AbortError if stopped. */
  async json(method, path, body, { headers = {}, signal } = {}) {
    const sent = body === undefined ? {} : { "Content-Type": "application/json" };
    const response = await this.send(method, path, {
      headers: { ...sent, ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
    });
    return response.status === 204 ? null : response.json();
  }

  /** The response, which is no error. `body` goes as it is. Throws as `json` does. */
  async send(method, path, { headers = {}, body, signal } = {}) {
    const key = this.key;
    if (IN_NO_KEY.test(key)) throw new ApiError(401, {}, { hasKey: true, isKey: false });
    const known = key ? { Authorization: `Bearer ${key}` } : {};
    let response;
    try {
      response = await fetch(addressOf(path), { method, headers: { ...known, ...headers }, body, signal });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError(0);
    }
    if (response.ok) return response;
    throw new ApiError(response.status, await problemIn(response), {
      retryAfter: Number(response.headers.get("Retry-After")) || null,
      hasKey: key !== "",
    });
  }

  /**
   * The events of a streamed answer, `{event, data}` with decoded data, as they come:
   *
   *     for await (const { event, data } of api.stream("generate", { …, stream: true }, { signal }))
   *
   * Throws ApiError, for an `error` event too. Leaving the loop hangs up, which stops the work.
   */
  async *stream(path, body, { signal } = {}) {
    const response = await this.send("POST", path, {
      headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
      body: JSON.stringify(body),
      signal,
    });
    let ended = false;
    for await (const { event, data } of readEvents(response.body)) {
      const decoded = JSON.parse(data);
      if (event === "error") throw new ApiError(decoded.status ?? 500, decoded);
      ended ||= event === "done";
      yield { event, data: decoded };
    }
    if (!ended) throw new ApiError(0, { detail: "The answer broke off before its end. Try again." });
  }
}

const STATUSES = {
  0: "The service cannot be reached. Is it still running?",
  404: "There is nothing at this address.",
  413: "This is more than the service takes.",
  500: "The service failed.",
  502: "A part of the service failed.",
  503: "The service is full, or a part of it is down.",
  504: "The time was up before there was an answer.",
};

function sentenceOf(status, problem, { retryAfter, hasKey, isKey }) {
  if (!isKey) return "This is not an API key: a key has letters, digits and signs of ASCII alone. Enter another one.";
  if (status === 401) {
    return hasKey
      ? "This service does not know your API key. Enter another one."
      : "This service asks for an API key. Enter yours.";
  }
  const errors = problem.errors ?? [];
  const said = errors.length
    ? errors.map((error) => `${nameOf(error.pointer)}: ${ended(error.detail)}`).join(" ")
    : ended(problem.detail || STATUSES[status] || `The service answered with status ${status}.`);
  const wait = retryAfter ? ` Try again in ${retryAfter} s.` : "";
  const trace = status >= 500 && problem.request_id ? ` Request ${problem.request_id}.` : "";
  return said + wait + trace;
}

// Fields that the page calls otherwise than the API does.
const LABELS = { "/n": "Candidates", "/max_tokens": "Most tokens of each", "/timeout_s": "Time limit", "/steering": "The language model is told" };

/** A pointer in words: /preferences/1/options/0 is "Preference 2, option 1". */
export function nameOf(pointer) {
  if (pointer in LABELS) return LABELS[pointer];
  const words = [];
  for (const part of pointer.split("/").slice(1)) {
    const name = part.replaceAll("~1", "/").replaceAll("~0", "~");
    if (/^\d+$/.test(name) && words.length) {
      words.push(`${words.pop().replace(/s$/, "")} ${Number(name) + 1}`);
    } else {
      words.push(name.replaceAll("_", " "));
    }
  }
  const text = words.join(", ") || "the request";
  return text[0].toUpperCase() + text.slice(1);
}

function ended(text) {
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}

async function problemIn(response) {
  try {
    return await response.json();
  } catch {
    return {}; // a proxy in between may answer in another way
  }
}

const HANDED = "handedKey"; // in the state of the history, for the time of a reload
let kept = takeOver(); // where the browser forbids storage, the key lives as long as the page

function read(name) {
  if (kept) return kept;
  try {
    return sessionStorage.getItem(name) ?? "";
  } catch {
    return "";
  }
}

function write(name, value) {
  kept = "";
  try {
    if (value) sessionStorage.setItem(name, value);
    else sessionStorage.removeItem(name);
  } catch {
    kept = value;
  }
}

function handOver() {
  if (kept) history.replaceState({ ...history.state, [HANDED]: kept }, "");
}

function takeOver() {
  const { [HANDED]: key = "", ...rest } = history.state ?? {};
  if (key) history.replaceState(rest, "");
  return key;
}
