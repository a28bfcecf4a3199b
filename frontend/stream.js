import { anySignal } from "./platform.js";
import { Refused } from "./requests.js";

const SILENCE_MS = 30_000; // the server sends a comment every 15 seconds

/** Splits a text/event-stream into its events, wherever its chunks begin and end. */
export class Parser {
  retry = 0; // the milliseconds of the last `retry:`
  #decoder = new TextDecoder();
  #rest = ""; // of a line
  #endsInReturn = false;
  #event = "message";
  #data = [];

  /** The events that the chunk completes: {event, data}. */
  *parse(chunk) {
    let text = this.#decoder.decode(chunk, { stream: true });
    if (!text) return;
    if (this.#endsInReturn && text.startsWith("\n")) text = text.slice(1);
    this.#endsInReturn = text.endsWith("\r");
    const lines = (this.#rest + text).split(/\r\n|\r|\n/);
    this.#rest = lines.pop();
    for (const line of lines) {
      if (line) {
        this.#readField(...line.match(/^([^:]*)(?:: ?)?(.*)$/s).slice(1));
      } else {
        if (this.#data.length) yield { event: this.#event, data: this.#data.join("\n") };
        [this.#event, this.#data] = ["message", []];
      }
    }
  }

  /** A comment has an empty name. */
  #readField(name, value) {
    if (name === "event") this.#event = value || "message";
    if (name === "data") this.#data.push(value);
    if (name === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
  }
}

/**
 * The stream of events of the person who is signed in. The tabs of a session share one, because
 * browsers open only six connections to a host under HTTP/1.1. The tab that has the lock reads it,
 * and tells the others over a BroadcastChannel. Without Web Locks, tabs poll.
 *
 * `listener(event, data)` is called for each event, and with "ready" when everything has to be
 * requested.
 */
export class Stream {
  isUp = false; // nobody has to poll
  #session;
  #listener;
  #user = null;
  #end; // aborted when the person signs out
  #channel;
  #connection = null; // of the tab that reads the stream
  #readyAt = 0;
  #heardAt;
  #timer;

  constructor(session, listener) {
    this.#session = session;
    this.#listener = listener;
    session.addEventListener("session", () => {
      if (session.user?.user_id !== this.#user) this.#stop();
    });
    // Otherwise nobody would be told before SILENCE_MS are over.
    addEventListener("offline", () => this.#connection?.abort());
  }

  start() {
    const { user } = this.#session;
    if (!navigator.locks || !user || user.user_id === this.#user) return;
    this.#user = user.user_id;
    this.#end = new AbortController();
    const { signal } = this.#end;
    const name = `stream.${this.#user}`;
    this.#channel = new BroadcastChannel(this.#session.storageKey(name));
    this.#channel.onmessage = ({ data }) => (data ? this.#take(data) : this.#answer());
    this.#session
      .lock(name, () => this.#keepOpen(signal), { signal })
      .catch((error) => {
        if (!signal.aborted) throw error;
      });
    this.check();
  }

  #stop() {
    clearTimeout(this.#timer);
    this.#end?.abort();
    this.#channel?.close();
    this.#user = this.#connection = null;
    this.isUp = false;
  }

  /** Ends a silent stream. Its timer is late after a sleep. */
  check() {
    if (Date.now() - this.#heardAt >= SILENCE_MS) this.#endSilence();
    if (this.#user && !this.#connection) this.#channel.postMessage(null);
  }

  #endSilence() {
    if (this.#connection) this.#connection.abort();
    else if (this.#user) this.#take({ isUp: false });
  }

  /** Another tab asks whether the stream is up. */
  #answer() {
    if (!this.#connection) return;
    this.check();
    this.#tell({ isUp: this.isUp });
  }

  async #keepOpen(signal) {
    for (let failures = 0; ;) {
      const parser = new Parser();
      let seconds, spread;
      this.#readyAt = 0;
      this.#connection = new AbortController();
      try {
        await this.#read(parser, anySignal(signal, this.#connection.signal));
        [seconds, spread] = [parser.retry / 1000, 1];
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Refused) break;
        // Others may have lost their streams at the same time.
        [seconds, spread] = [error.seconds ?? 0, 4];
      }
      if (signal.aborted) return;
      // After a stream that was ready, nobody polls before the next try, which is late in a hidden tab.
      if (!this.#readyAt || document.hidden) this.#tell({ isUp: false });
      else if (Date.now() - this.#readyAt > SILENCE_MS) failures = 0;
      spread *= Math.min(2 ** failures++, 4);
      await this.#session.sleep(seconds + spread * Math.random(), signal);
      if (signal.aborted) return;
    }
    this.#connection = null;
    this.#tell({ isUp: false });
  }

  /** Returns when the stream ends. */
  async #read(parser, signal) {
    this.#startTimer();
    const options = { owner: this.#user, isStream: true, signal };
    const reader = (await this.#session.call("/events/", options)).data.getReader();
    for (let part; !(part = await reader.read()).done;) {
      const events = [...parser.parse(part.value)];
      if (!events.length) this.#tell({ isUp: this.isUp });
      for (const { event, data } of events) {
        if (event === "ready") this.#readyAt = Date.now();
        this.#tell({ isUp: this.#readyAt > 0, event, data: JSON.parse(data) });
      }
    }
  }

  #tell(message) {
    this.#channel.postMessage(message);
    this.#take(message);
  }

  #take({ isUp, event, data }) {
    this.#startTimer();
    const hasChanged = isUp !== this.isUp;
    this.isUp = isUp;
    if (hasChanged) this.#listener("ready", {});
    else if (event) this.#listener(event, data);
  }

  #startTimer() {
    this.#heardAt = Date.now();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#endSilence(), SILENCE_MS);
  }
}
